"""Vector scaling, and a comparison of calibrations on texts that none of them was fitted on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.evaluation.calibrate import (
    error_by_source,
    fit_temperature,
    source_weights,
)
from models.evaluation.metrics import Counts, Floats, calibration_error
from models.evaluation.reliability import log_loss
from models.softmax import scaled

Fit = Callable[[Floats, Counts, Sequence[str]], Callable[[Floats], Floats]]


@dataclass(frozen=True, slots=True)
class Vector:
    """One factor and one bias for each class: softmax(factor * logits + bias)."""

    factor: Floats  # [classes]
    bias: Floats  # [classes]

    def apply(self, logits: Floats) -> Floats:
        """Return the probabilities, [n, classes]."""
        return scaled(logits * self.factor + self.bias, 1.0)


def fit_vector(
    logits: Floats, truth: Counts, weights: Floats | None = None, penalty: float = 1e-3
) -> Vector:
    """Return the vector scaling that minimises the negative log likelihood.

    Source: Guo et al. 2017, section 4.2 (vector scaling). The `penalty` on squared biases and on
    squared departures of the factors from their mean keeps classes with few texts near the one
    temperature (Kull et al. 2019, section 4, off-diagonal and intercept regularisation).
    """
    from scipy.optimize import minimize

    total, classes = logits.shape
    weight = np.full(total, 1 / total) if weights is None else weights / weights.sum()
    hot = np.zeros_like(logits)
    hot[np.arange(total), truth] = 1.0

    def loss(values: Floats) -> tuple[float, Floats]:
        factor, bias = values[:classes], values[classes:]
        found = scaled(logits * factor + bias, 1.0)
        right = np.maximum(found[np.arange(total), truth], 1e-300)
        slope = (found - hot) * weight[:, None]
        spread = factor - factor.mean()
        value = -(weight * np.log(right)).sum() + penalty * ((spread**2).sum() + (bias**2).sum())
        gradient = np.concatenate([(slope * logits).sum(0), slope.sum(0)])
        gradient += 2 * penalty * np.concatenate([spread, bias])
        return float(value), gradient

    start = np.full(classes, 1 / fit_temperature(logits, truth, weights))
    found = minimize(loss, np.concatenate([start, np.zeros(classes)]), jac=True, method="L-BFGS-B")
    return Vector(factor=found.x[:classes], bias=found.x[classes:])


@dataclass(frozen=True, slots=True)
class Alternative:
    """What one calibration gives: figures on texts that it was not fitted on."""

    name: str
    accuracy: float
    ece: float
    nll: float
    ece_by_source: dict[str, float]


def _fit_pooled(logits: Floats, truth: Counts, _: Sequence[str]) -> Callable[[Floats], Floats]:
    temperature = fit_temperature(logits, truth)
    return lambda others: scaled(others, temperature)


def _fit_balanced(
    logits: Floats, truth: Counts, sources: Sequence[str]
) -> Callable[[Floats], Floats]:
    temperature = fit_temperature(logits, truth, source_weights(sources))
    return lambda others: scaled(others, temperature)


def _fit_vector(
    logits: Floats, truth: Counts, sources: Sequence[str]
) -> Callable[[Floats], Floats]:
    return fit_vector(logits, truth, source_weights(sources)).apply


FITS: Final[dict[str, Fit]] = {
    "one temperature": _fit_pooled,
    "one temperature, sources alike": _fit_balanced,
    "vector scaling, sources alike": _fit_vector,
}


def compare(
    logits: Floats,
    truth: Counts,
    temperature: float,
    sources: Sequence[str] = (),
    *,
    folds: int = 5,
    seed: int = 0,
) -> tuple[Alternative, ...]:
    """Return what the model's own temperature gives, and what fits on texts like these would.

    Every fit is made `folds` times on all folds but one and judged on that one. The sources' fit
    is left out where there are fewer than two sources: it is then the plain one.

    Args:
        logits: [n, classes].
        truth: [n], index of the true class.
        temperature: the model's own.
        sources: [n], source or register of each text; empty: none known.
        folds: how many, at most n.
        seed: of the folds.
    """
    names = list(sources) or [""] * len(truth)
    fits = FITS if len(set(names)) > 1 else {n: f for n, f in FITS.items() if f != _fit_balanced}
    fold = np.random.default_rng(seed).permutation(np.arange(len(truth)) % min(folds, len(truth)))
    found = [_alternative("none", scaled(logits, 1.0), truth, sources)]
    found.append(
        _alternative(
            f"the model's own ({temperature:.2f})", scaled(logits, temperature), truth, sources
        )
    )
    for name, fit in fits.items():
        probabilities = np.empty_like(logits)
        for part in range(int(fold.max()) + 1):
            rest = np.flatnonzero(fold != part)
            if not len(rest):
                return tuple(found)
            apply = fit(logits[rest], truth[rest], [names[i] for i in rest])
            probabilities[fold == part] = apply(logits[fold == part])
        shown = name if len(set(names)) > 1 else name.removesuffix(", sources alike")
        found.append(_alternative(shown, probabilities, truth, sources))
    return tuple(found)


def _alternative(
    name: str, probabilities: Floats, truth: Counts, sources: Sequence[str]
) -> Alternative:
    return Alternative(
        name=name,
        accuracy=float((probabilities.argmax(1) == truth).mean()),
        ece=calibration_error(probabilities, truth),
        nll=log_loss(probabilities, truth),
        ece_by_source=error_by_source(probabilities, truth, sources) if sources else {},
    )
