"""Scores of a classifier, from counts; numpy only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Precision, recall and F1 of one class; 0 where undefined. `support` counts its texts."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


def percentile_interval(value: float, samples: Floats) -> Interval:
    """Return a value with the central 95 % of its bootstrap samples [rounds], NaN left out."""
    low, high = np.nanquantile(samples, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def confusion_matrix(truth: Counts, predicted: Counts, classes: int) -> Counts:
    """Return counts [classes, classes]: row = true class, column = predicted class."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: Counts) -> float:
    """Return the share of texts on the diagonal."""
    return float(np.trace(matrix) / max(1, matrix.sum()))


def class_scores(matrix: Counts) -> list[ClassScore]:
    """Return the scores of each class, in label order."""
    precision, recall, f1 = _scores(matrix)
    return [
        ClassScore(float(p), float(r), float(f), int(n))
        for p, r, f, n in zip(precision, recall, f1, matrix.sum(-1), strict=True)
    ]


def macro_f1(matrix: Counts) -> float:
    """Return the mean F1 over the classes that occur in the truth."""
    return float(_macro(matrix))


def weighted_f1(matrix: Counts) -> float:
    """Return the mean F1 weighted by each class's number of texts."""
    support = matrix.sum(-1)
    return float((_scores(matrix)[2] * support).sum() / max(1, support.sum()))


def calibration_error(probabilities: Floats, truth: Counts, bins: int = 15) -> float:
    """Return the expected calibration error over equal-width bins of the top probability.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    top = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    slot = np.minimum((top * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(slot, weights=top - right, minlength=bins)
    return float(np.abs(gaps).sum() / max(1, len(truth)))


def bootstrap(
    truth: Counts, predicted: Counts, classes: int, *, rounds: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return accuracy, macro_f1 and weighted_f1 with 95 % intervals (texts drawn with replacement).

    Drawing n texts from the sample is the multinomial draw of the cells of its confusion matrix.
    """
    matrix = confusion_matrix(truth, predicted, classes)
    total = int(matrix.sum())
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(total, matrix.ravel() / total, size=rounds)
    draws = draws.reshape(rounds, classes, classes)
    support = draws.sum(2)
    samples = {
        "accuracy": np.trace(draws, axis1=1, axis2=2) / total,
        "macro_f1": _macro(draws),
        "weighted_f1": (_scores(draws)[2] * support).sum(1) / total,
    }
    values = {
        "accuracy": accuracy(matrix),
        "macro_f1": macro_f1(matrix),
        "weighted_f1": weighted_f1(matrix),
    }
    return {name: percentile_interval(value, samples[name]) for name, value in values.items()}


def _scores(matrix: Counts) -> tuple[Floats, Floats, Floats]:
    """Precision, recall, F1 over the last axis; `matrix` is [..., classes, classes]."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    predicted, support = matrix.sum(-2), matrix.sum(-1)
    precision = hits / np.maximum(1, predicted)
    recall = hits / np.maximum(1, support)
    f1 = 2 * hits / np.maximum(1, predicted + support)
    return precision, recall, f1


def _macro(matrix: Counts) -> Floats:
    present = matrix.sum(-1) > 0
    f1 = _scores(matrix)[2]
    result: Floats = (f1 * present).sum(-1) / np.maximum(1, present.sum(-1))
    return result
