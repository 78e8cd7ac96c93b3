"""The gate: a candidate is held against the current model, class by class, on texts held out.

The rule. On the same texts the paired difference (candidate minus current) of F1 and of recall is
taken for each class, with its 95 % bootstrap interval. A candidate is refused when

1. the interval of a class lies wholly below -0.01: it fell by more than a point, chance allowed
   for, in F1 or in recall;
2. the macro-F1 of a task fell by more than a point and its interval lies wholly below 0: losses
   that are too small to be told in any one class add up;
3. a class has no held-out text: what nobody looks at may be forgotten unnoticed.

Why not the point estimate, or the interval's lower bound: with twenty classes, some of them of
eight texts, an equally good candidate falls by more than a point in some class nearly always, and
nearly always some lower bound lies below a point; a gate that refuses everything is soon walked
around. This one sees a class of eight texts that was forgotten whole or by half, not the loss of
one text or two, and says of each class how far it may have fallen unseen (`unsure`, with the
interval). `strict` asks for less: a fall of more than a point whose interval excludes 0. The
figures of both stand in `docs/decisions.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from models.dataset.corpus import Corpus
from models.errors import ModelError
from models.evaluation.metrics import Counts, Floats, Interval
from models.labels import LABELS, TASKS, Task

MARGIN: Final = 0.01
ROUNDS: Final = 2000
_LEVEL: Final = (0.025, 0.975)

Verdict = Literal["held", "unsure", "fell", "no texts"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One score of both models, and the paired difference with its 95 % interval."""

    before: float
    after: float
    difference: Interval


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What became of one class. `unsure`: it did not fall, but may have, by more than a point."""

    name: str
    texts: int
    f1: Measure
    recall: Measure
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What became of one task."""

    task: Task
    texts: int
    classes: tuple[ClassChange, ...]
    macro_f1: Measure
    accuracy: Measure
    fell: bool
    """Whether the macro-F1 did."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the candidate may be promoted; `reasons` says why not, a sentence each."""

    tasks: tuple[TaskChange, ...]
    passed: bool
    reasons: tuple[str, ...]


def decide(
    truth: Mapping[Task, Counts],
    before: Mapping[Task, Counts],
    after: Mapping[Task, Counts],
    *,
    strict: bool = False,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Decision:
    """Hold the candidate's predicted classes against the current model's.

    Args:
        truth: of each task [n], index of the true class.
        before: of each task [n], what the current model predicts.
        after: the same of the candidate, for the same texts.
        strict: refuse a class's fall already when its interval excludes 0.
        rounds: of the bootstrap.
        seed: of the bootstrap.
    """
    tasks = tuple(
        _compare(task, truth[task], before[task], after[task], strict, rounds, seed)
        for task in TASKS
        if task in truth
    )
    reasons: list[str] = []
    for change in tasks:
        for found in change.classes:
            if found.verdict == "fell":
                measure, name = _worse(found)
                reasons.append(
                    f"{change.task}, class {found.name!r}: {name} fell from {measure.before:.3f} to"
                    f" {measure.after:.3f}, by {_points(-measure.difference.high)} to"
                    f" {_points(-measure.difference.low)} points (95 %), on {found.texts} texts"
                )
            elif found.verdict == "no texts":
                reasons.append(
                    f"{change.task}, class {found.name!r}: no held-out text, so that nobody would"
                    " see it forgotten; add some"
                )
        if change.fell:
            macro = change.macro_f1
            reasons.append(
                f"{change.task}: macro-F1 fell from {macro.before:.3f} to {macro.after:.3f}, by"
                f" {_points(-macro.difference.high)} to {_points(-macro.difference.low)} points"
                " (95 %)"
            )
    return Decision(tasks, not reasons, tuple(reasons))


def compare_models(
    current: Path,
    candidate: Path,
    corpora: Sequence[Corpus],
    *,
    strict: bool = False,
    device: str = "auto",
    threads: int | None = None,
) -> Decision:
    """Let both models judge the corpora, one after the other, and decide.

    Several corpora of one task count as one. Both models run in float32, so that a difference is
    one of weights.

    Raises:
        ModelError: a model cannot be loaded, or there is nothing to judge.
    """
    from models.network import sorted_batches
    from models.predict import Predictor

    if not corpora:
        raise ModelError("nothing to compare on: give held-out texts of sentiment or topic")
    texts = {t: [x for c in corpora if c.task == t for x in c.texts] for t in TASKS}
    truth: dict[Task, Counts] = {
        task: np.concatenate([c.labels for c in corpora if c.task == task])
        for task in TASKS
        if texts[task]
    }
    predicted: list[dict[Task, Counts]] = []
    for folder in (current, candidate):
        predictor = Predictor.load(folder, device=device, dtype="float32", threads=threads)
        predicted.append(
            {
                task: sorted_batches(predictor.encode(texts[task]), _BUDGET, predictor.logits)[
                    task
                ].argmax(1)
                for task in truth
            }
        )
    return decide(truth, predicted[0], predicted[1], strict=strict)


_BUDGET: Final = 4_096


def _compare(
    task: Task, truth: Counts, before: Counts, after: Counts, strict: bool, rounds: int, seed: int
) -> TaskChange:
    names = LABELS[task]
    support = np.bincount(truth, minlength=len(names))
    drawn = _draws(truth, before, after, len(names), rounds, seed)
    points = tuple(_hits(truth, predicted, len(names)) for predicted in (before, after))
    f1 = _measures(*(_f1(*p, support) for p in (*points, *drawn)))
    recall = _measures(*(_recall(p[0], support) for p in (*points, *drawn)))
    present = support > 0
    macro = _measures(*(_f1(*p, support)[..., present].mean(-1) for p in (*points, *drawn)))[0]
    right = _measures(*(p[0].sum(-1) / len(truth) for p in (*points, *drawn)))[0]
    classes = tuple(
        ClassChange(name, int(n), f, r, _verdict(int(n), (f, r), strict))
        for name, n, f, r in zip(names, support, f1, recall, strict=True)
    )
    fell = macro.difference.value < -MARGIN and macro.difference.high < 0
    return TaskChange(task, len(truth), classes, macro, right, fell)


def _verdict(texts: int, measures: Sequence[Measure], strict: bool) -> Verdict:
    if not texts:
        return "no texts"
    changes = [measure.difference for measure in measures]
    limit = 0.0 if strict else -MARGIN
    if any(c.high < limit and c.value < -MARGIN for c in changes):
        return "fell"
    return "unsure" if any(c.low < -MARGIN for c in changes) else "held"


Hits = tuple[Floats, Floats]
"""Texts of each class that were found, and texts that were taken for it, [..., classes]."""


def _hits(truth: Counts, predicted: Counts, classes: int) -> Hits:
    found = np.bincount(truth[truth == predicted], minlength=classes)
    return found.astype(np.float64), np.bincount(predicted, minlength=classes).astype(np.float64)


def _draws(
    truth: Counts, before: Counts, after: Counts, classes: int, rounds: int, seed: int
) -> tuple[Hits, Hits]:
    """Draw the texts with replacement, each with both models' verdicts, `rounds` times.

    Class by class, so that each keeps its number of texts: of a class with three, a draw from all
    texts would leave out the whole class once in twenty times. A draw of texts is the multinomial
    draw of their cells (truth, before, after).
    """
    rng = np.random.default_rng(seed)
    shape = (rounds, classes)
    found = (np.zeros(shape), np.zeros(shape))
    taken = (np.zeros(shape), np.zeros(shape))
    for label in range(classes):
        rows = np.flatnonzero(truth == label)
        if not len(rows):
            continue
        pairs = np.stack([before[rows], after[rows]])
        cells, counts = np.unique(pairs, axis=1, return_counts=True)
        drawn = rng.multinomial(len(rows), counts / len(rows), size=rounds)
        for cell, times in zip(cells.T, drawn.T, strict=True):
            for model, predicted in enumerate(cell):
                taken[model][:, predicted] += times
                if predicted == label:
                    found[model][:, label] += times
    return (found[0], taken[0]), (found[1], taken[1])


def _f1(found: Floats, taken: Floats, support: npt.NDArray[np.int64]) -> Floats:
    result: Floats = 2 * found / np.maximum(1, taken + support)
    return result


def _recall(found: Floats, support: npt.NDArray[np.int64]) -> Floats:
    result: Floats = found / np.maximum(1, support)
    return result


def _measures(
    before: Floats, after: Floats, drawn_before: Floats, drawn_after: Floats
) -> list[Measure]:
    low, high = np.quantile(drawn_after - drawn_before, _LEVEL, axis=0)
    return [
        Measure(float(b), float(a), Interval(float(a - b), float(lo), float(hi)))
        for b, a, lo, hi in zip(*map(np.atleast_1d, (before, after, low, high)), strict=True)
    ]


def _worse(change: ClassChange) -> tuple[Measure, str]:
    both = ((change.f1, "F1"), (change.recall, "recall"))
    return min(both, key=lambda item: item[0].difference.high)


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
