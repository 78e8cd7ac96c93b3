"""Selective classification: what is gained by leaving the least sure verdicts to a person."""

from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import Counts, Floats

POINTS = 200


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The risk-coverage curve of one head.

    `coverage` and `risk` run from the surest text to all of them, thinned to at most `POINTS`;
    `oracle` is the risk of an order that puts every error last. `aurc` is the mean risk over all
    coverages and `coverage_at` maps a risk to the largest coverage that stays within it.
    """

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    oracle: tuple[float, ...]
    aurc: float
    coverage_at: dict[str, float]


def risk_coverage(
    probabilities: Floats, truth: Counts, risks: tuple[float, ...] = (0.05, 0.10)
) -> RiskCoverage:
    """Return the curve over texts ordered by their top probability.

    Texts of the same probability share their errors evenly, so that the order within a tie does
    not count. Source: Geifman & El-Yaniv 2017, "Selective Classification for Deep Neural
    Networks", section 2 (coverage, selective risk); AURC: Geifman et al. 2019, section 3.

    Args:
        probabilities: [n, classes], n at least 1.
        truth: [n], index of the true class.
        risks: shares of wrong verdicts whose coverage is wanted.
    """
    top = probabilities.max(1)
    wrong = (probabilities.argmax(1) != truth).astype(np.float64)
    order = np.argsort(-top, kind="stable")
    _, tie, sizes = np.unique(-top[order], return_inverse=True, return_counts=True)
    shared = (np.bincount(tie, weights=wrong[order]) / sizes)[tie]
    counted = np.arange(1, len(top) + 1)
    risk = np.cumsum(shared) / counted
    oracle = np.cumsum(np.sort(wrong)) / counted
    coverage = counted / len(top)
    # Compared with a little room: 1/20 summed up in floats may lie above 0.05.
    reach = {
        f"{level:g}": float(coverage[risk <= level + 1e-12].max(initial=0.0)) for level in risks
    }
    kept = np.unique(np.linspace(0, len(top) - 1, min(POINTS, len(top))).round().astype(int))
    return RiskCoverage(
        coverage=_rounded(coverage[kept]),
        risk=_rounded(risk[kept]),
        oracle=_rounded(oracle[kept]),
        aurc=float(risk.mean()),
        coverage_at=reach,
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)
