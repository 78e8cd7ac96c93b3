"""How far probabilities can be believed: reliability bins, calibration errors, proper scores."""

from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import Counts, Floats

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts whose top probability lies in [low, high); confidence and accuracy are their means.

    Both are 0 where `count` is 0.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability_bins(probabilities: Floats, truth: Counts, bins: int = BINS) -> tuple[Bin, ...]:
    """Return the equal-width bins of the reliability diagram.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.

    Args:
        probabilities: [n, classes], rows summing to 1.
        truth: [n], index of the true class.
        bins: how many.
    """
    top = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    slot = np.minimum((top * bins).astype(np.int64), bins - 1)
    counts = np.bincount(slot, minlength=bins)
    divisor = np.maximum(1, counts)
    confidence = np.bincount(slot, weights=top, minlength=bins) / divisor
    accuracy = np.bincount(slot, weights=right, minlength=bins) / divisor
    return tuple(
        Bin(i / bins, (i + 1) / bins, int(counts[i]), float(confidence[i]), float(accuracy[i]))
        for i in range(bins)
    )


def classwise_error(probabilities: Floats, truth: Counts, bins: int = BINS) -> float:
    """Return the classwise expected calibration error, the mean over the classes.

    Of each class the probability itself is binned and held against how often the class is true,
    so a class that is seldom the top one counts as well. A class that occurs in no text counts.
    Source: Kull et al. 2019, "Beyond temperature scaling", equation 3.
    """
    total, classes = probabilities.shape
    errors = []
    for label in range(classes):
        column = probabilities[:, label]
        slot = np.minimum((column * bins).astype(np.int64), bins - 1)
        gaps = np.bincount(slot, weights=column - (truth == label), minlength=bins)
        errors.append(np.abs(gaps).sum() / max(1, total))
    return float(np.mean(errors))


def brier(probabilities: Floats, truth: Counts) -> float:
    """Return the mean squared distance to the one-hot truth, summed over classes: 0 to 2.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
    """
    hot = np.zeros_like(probabilities)
    hot[np.arange(len(truth)), truth] = 1.0
    return float(((probabilities - hot) ** 2).sum(1).mean())


def log_loss(probabilities: Floats, truth: Counts) -> float:
    """Return the mean negative log likelihood of the truth, in nats."""
    right = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(right, 1e-300)).mean())
