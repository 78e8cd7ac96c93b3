"""What a run trains on: the texts of all tasks in one list, each with the labels that it has.

No text of it has a twin among the held-out or validation texts of any task: a tweet held out for
its sentiment would else be learnt from under its topic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from models.dataset.corpus import Corpus
from models.dataset.near import same_key
from models.errors import DataError
from models.labels import LABELS, TASKS, Task

UNLABELLED: Final = -1
_CHUNK: Final = 50
"""Batches sorted by length within chunks of this many, so that the order stays random."""

Parts = Mapping[Task, tuple[Corpus, Corpus]]
"""Of each task: (training, held-out) texts."""
Integers = npt.NDArray[np.int64]


class Origin(IntEnum):
    """Where a training text comes from; recipes weigh texts by it."""

    FILE = 0
    CORPUS = 1
    UNLABELLED = 2


@dataclass(frozen=True, slots=True)
class Material:
    """Training texts, each once, and the held-out texts of each task."""

    texts: tuple[str, ...]
    labels: Mapping[Task, Integers]  # [n], index into LABELS[task], or UNLABELLED
    origins: npt.NDArray[np.int8]  # [n], of `Origin`
    held_out: Mapping[Task, Corpus]

    def __len__(self) -> int:
        return len(self.texts)


def apart(parts: Parts, others: Iterable[str] = ()) -> dict[Task, tuple[Corpus, Corpus]]:
    """Drop the training texts with a twin among the held-out texts of any task, or among `others`.

    Raises:
        DataError: a class has no training text left; names file and class.
    """
    kept = {same_key(text) for text in others}
    kept |= {same_key(text) for _, held in parts.values() for text in held.texts}
    found: dict[Task, tuple[Corpus, Corpus]] = {}
    for task, (training, held) in parts.items():
        rows = [i for i, text in enumerate(training.texts) if same_key(text) not in kept]
        rest = training.take(rows)
        if empty := [name for name, count in rest.counts.items() if not count]:
            raise DataError(
                f"{training.path}: class {empty[0]!r} of {task} has no text to train on once twins"
                " of held-out texts are dropped; add texts of it"
            )
        found[task] = (rest, held)
    return found


def gather(
    parts: Parts,
    *,
    corpora: Iterable[str] = (),
    unlabelled: Iterable[str] = (),
    others: Sequence[str] = (),
) -> Material:
    """Return the training texts of all tasks, twins among them as one text with all its labels.

    Args:
        corpora: the texts of `parts` that come from corpora, not from the tasks' own files.
        unlabelled: texts without any label, for the teachers' targets.
        others: texts whose twins must not be trained on, beside those held out.

    Raises:
        DataError: a class has no training text left.
    """
    parts = apart(parts, others)
    rows: dict[str, int] = {}
    texts: list[str] = []
    own = {same_key(text) for text in corpora}

    def row_of(text: str) -> int:
        key = same_key(text)
        if key not in rows:
            rows[key] = len(texts)
            texts.append(text)
        return rows[key]

    places = {t: np.asarray([row_of(x) for x in part.texts]) for t, (part, _) in parts.items()}
    origins = [Origin.CORPUS if key in own else Origin.FILE for key in rows]
    kept = {same_key(text) for text in others}
    kept |= {same_key(text) for _, held in parts.values() for text in held.texts}
    for text in unlabelled:
        key = same_key(text)
        if key and key not in kept and key not in rows:
            row_of(text)
            origins.append(Origin.UNLABELLED)
    labels = {task: np.full(len(texts), UNLABELLED, dtype=np.int64) for task in TASKS}
    for task, place in places.items():
        labels[task][place] = parts[task][0].labels
    return Material(
        texts=tuple(texts),
        labels=labels,
        origins=np.asarray(origins, dtype=np.int8),
        held_out={task: held for task, (_, held) in parts.items()},
    )


def class_weights(labels: Integers, task: Task, power: float) -> npt.NDArray[np.float64]:
    """Return (mean count / count) ** power, scaled so that the mean weight of a text is 1."""
    classes = len(LABELS[task])
    counts = np.maximum(1, np.bincount(labels[labels != UNLABELLED], minlength=classes))
    weight = (counts.mean() / counts) ** power
    return np.asarray(weight * counts.sum() / (weight * counts).sum())


def batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[Integers]:
    """Return one pass over all rows in random batches of rows of similar length."""
    order = rng.permutation(len(lengths))
    cost = np.asarray(lengths)
    found: list[Integers] = []
    for start in range(0, len(order), size * _CHUNK):
        chunk = order[start : start + size * _CHUNK]
        chunk = chunk[np.argsort(cost[chunk], kind="stable")]
        found.extend(chunk[i : i + size] for i in range(0, len(chunk), size))
    return [found[i] for i in rng.permutation(len(found))]
