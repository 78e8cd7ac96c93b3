"""Labelled texts of one task, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.labels import LABELS, Task

ATTRIBUTES: Final = ("id", "source", "kind", "author", "date", "register", "split")
"""Columns that are kept beside a text where a file has them, to slice a report by."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts of one task with their labels; `texts` are raw, as read from the file."""

    task: Task
    texts: tuple[str, ...]
    labels: npt.NDArray[np.int64]  # [n], index into LABELS[task]
    path: Path
    sha256: str
    places: tuple[str, ...] = ()
    """Where each text was read: file and row. Empty for texts that come from no file."""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further columns by name, of `ATTRIBUTES`; "" where a row has none."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of texts of each class, in label order."""
        found = np.bincount(self.labels, minlength=len(LABELS[self.task]))
        return {name: int(n) for name, n in zip(LABELS[self.task], found, strict=True)}

    def label(self, row: int) -> str:
        """Return the class name of one text."""
        return LABELS[self.task][int(self.labels[row])]

    def place(self, row: int) -> str:
        """Return where a text was read, as a person finds it."""
        return self.places[row] if self.places else f"{self.path}, text {row + 1}"

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> "Corpus":
        """Return the corpus of these rows, in this order."""
        index = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            texts=tuple(self.texts[i] for i in index),
            labels=self.labels[index],
            places=tuple(self.places[i] for i in index) if self.places else (),
            attributes={
                name: tuple(cells[i] for i in index) for name, cells in self.attributes.items()
            },
        )


def joined(first: Corpus, *others: Corpus) -> Corpus:
    """Return all texts as one corpus of the first one's file; attributes that one lacks are ""."""
    corpora = (first, *others)
    names = [name for name in ATTRIBUTES if any(name in c.attributes for c in corpora)]
    return replace(
        first,
        texts=tuple(text for corpus in corpora for text in corpus.texts),
        labels=np.concatenate([corpus.labels for corpus in corpora]),
        places=tuple(corpus.place(row) for corpus in corpora for row in range(len(corpus))),
        attributes={
            name: tuple(
                cell
                for corpus in corpora
                for cell in corpus.attributes.get(name, ("",) * len(corpus))
            )
            for name in names
        },
    )
