"""How far two people who label the same texts agree."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.dataset.corpus import Corpus
from models.dataset.read import read
from models.dataset.table import Fault, Row, complaint, read_table
from models.errors import DataError
from models.evaluation.metrics import (
    Counts,
    Interval,
    accuracy,
    class_scores,
    confusion_matrix,
    percentile_interval,
)
from models.labels import LABELS, TASKS, Task

_ROUNDS: Final = 2_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """How often each labeller chose a class, both at once, and their specific agreement.

    Specific agreement: 2·both / (first + second), the chance that one chooses the class where the
    other does.
    """

    first: int
    second: int
    both: int
    agreement: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two labellings of the same texts for one task."""

    task: Task
    texts: int
    share: float
    """Share of texts with the same label."""
    kappa: Interval | None
    """Cohen's kappa with a 95 % interval; None where both chose one and the same class only."""
    classes: Mapping[str, ClassAgreement]
    confusion: tuple[tuple[int, ...], ...]
    """Counts: row = class of the first labelling, column = of the second."""
    disagreements: tuple[tuple[str, str, str, str], ...]
    """Place, first label, second label, text."""


def compare(path: Path, second: Path) -> list[Agreement]:
    """Compare a second labelling with the first, for each task that the second has labels of.

    Args:
        path: the texts with their first labels, columns `sentiment` and `topic`.
        second: rows with `sentiment`, `topic` or both, and the text they label: `text_sha256` (of
            the text in UTF-8) or `row` (the line of `path`, the first line being 1).

    Raises:
        DataError: a file or row cannot be read, names no text of `path`, or labels one twice.
    """
    table = read_table(second)
    tasks = [task for task in TASKS if task in table.columns]
    if not tasks:
        raise DataError(f"{second}: no column {' or '.join(TASKS)}; add the second labels")
    found = []
    for task in tasks:
        corpus = read(path, task)
        rows, labels = _matched(corpus, table.rows, table.faults, task)
        if not rows:
            raise DataError(f"{second}: no label of {task}; add some, or remove the column")
        found.append(agreement(corpus.take(rows), np.asarray(labels, np.int64)))
    return found


def agreement(first: Corpus, second: npt.NDArray[np.int64]) -> Agreement:
    """Compare the labels of a corpus with second ones of the same texts [n]."""
    names = LABELS[first.task]
    matrix = confusion_matrix(first.labels, second, len(names))
    scores = class_scores(matrix)
    return Agreement(
        task=first.task,
        texts=len(first),
        share=accuracy(matrix),
        kappa=_interval(matrix),
        classes={
            name: ClassAgreement(
                first=int(matrix[i].sum()),
                second=int(matrix[:, i].sum()),
                both=int(matrix[i, i]),
                agreement=scores[i].f1,
            )
            for i, name in enumerate(names)
        },
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        disagreements=tuple(
            (first.place(row), first.label(row), names[int(second[row])], first.texts[row])
            for row in np.flatnonzero(first.labels != second).tolist()
        ),
    )


def cohen_kappa(matrix: Counts) -> Floats:
    """Return (p_o − p_e) / (1 − p_e) of count matrices [..., classes, classes]; NaN where p_e = 1.

    Source: Cohen 1960, "A Coefficient of Agreement for Nominal Scales".
    """
    total = np.maximum(1, matrix.sum((-2, -1)))
    observed = np.trace(matrix, axis1=-2, axis2=-1) / total
    expected = (matrix.sum(-1) * matrix.sum(-2)).sum(-1) / total**2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected < 1, (observed - expected) / (1 - expected), np.nan))


def _interval(matrix: Counts) -> Interval | None:
    """Return kappa with its percentile bootstrap interval, texts drawn with replacement."""
    value = float(cohen_kappa(matrix))
    if np.isnan(value):
        return None
    total = int(matrix.sum())
    rng = np.random.default_rng(0)
    draws = rng.multinomial(total, matrix.ravel() / total, size=_ROUNDS)
    found = cohen_kappa(draws.reshape(_ROUNDS, *matrix.shape))
    return percentile_interval(value, found)


def _matched(
    corpus: Corpus, rows: Sequence[Row], unreadable: Sequence[Fault], task: Task
) -> tuple[list[int], list[int]]:
    """Return the rows of the corpus that have a second label, and these labels."""
    by_hash = {hashlib.sha256(text.encode()).hexdigest(): i for i, text in enumerate(corpus.texts)}
    by_line = {int(place.rsplit(" ", 1)[1]): i for i, place in enumerate(corpus.places)}
    found: dict[int, int] = {}
    faults = list(unreadable)
    for row in rows:
        label, digest, line = (row.cells.get(name) for name in (task, "text_sha256", "row"))
        match = by_hash.get(str(digest)) if digest else by_line.get(_number(line))
        if label in (None, ""):
            continue
        if match is None:
            named = f"text_sha256 {digest}" if digest else f"row {line}"
            reason = f"no text of {corpus.path} has {named}; correct it"
        elif match in found:
            reason = f"labels {corpus.place(match)} a second time; keep one"
        elif label not in LABELS[task]:
            reason = f"{label!r} is no class of {task}; use one of {', '.join(LABELS[task])}"
        else:
            found[match] = LABELS[task].index(label)
            continue
        faults.append(Fault(row.place, row.number, reason))
    if faults:
        raise DataError(complaint(faults))
    return list(found), list(found.values())


def _number(cell: object) -> int:
    try:
        return int(str(cell))
    except ValueError:
        return 0
