"""Likelihood ratios: the ratio of the probabilities, with expectation 1 under the null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import betabinom, nbinom

from monitor.detect.null import (
    MOST_LOG,
    Floats,
    scale_odds,
    share_log_ratio,
    silence_log_ratio,
    volume_log_ratios,
)

shares = st.floats(0.02, 0.9)
overdispersions = st.floats(0.005, 0.4)


def ratios(n: int, null: float, other: float, rho: float) -> tuple[Floats, Floats]:
    """ln of the ratio for every x of ``n``, and the probability of x under the null."""
    x = np.arange(n + 1)
    same = np.full(n + 1, 1.0)
    got = share_log_ratio(
        x, np.full(n + 1, n), same * null, (same * other)[:, np.newaxis], same * rho
    )[:, 0]
    scale = (1 - rho) / rho
    return got, betabinom.pmf(x, n, null * scale, (1 - null) * scale)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 3, 8, 9, 40]), shares, shares, overdispersions)
def test_a_share_s_ratio_is_that_of_its_probabilities(
    n: int, null: float, other: float, rho: float
) -> None:
    got, probability = ratios(n, null, other, rho)
    scale = (1 - rho) / rho
    wanted = betabinom.logpmf(np.arange(n + 1), n, other * scale, (1 - other) * scale)
    exact = wanted - np.log(probability)
    assert np.minimum(exact, MOST_LOG) == pytest.approx(got, abs=1e-6)
    assert float((probability * np.exp(exact)).sum()) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), shares, shares, overdispersions, st.data())
def test_a_share_s_ratio_is_a_martingale_document_by_document(
    n: int, null: float, other: float, rho: float, data: st.DataObject
) -> None:
    """Pólya's urn: after x of n the next is negative with probability (a + x) / (a + b + n)."""
    x = data.draw(st.integers(0, n))
    now = ratios(n, null, other, rho)[0][x]
    following = ratios(n + 1, null, other, rho)[0]
    scale = (1 - rho) / rho
    negative = (null * scale + x) / (scale + n)
    expected = negative * np.exp(following[x + 1]) + (1 - negative) * np.exp(following[x])
    assert float(expected) == pytest.approx(float(np.exp(now)))


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-3, 50), st.floats(0, 5), st.floats(1.1, 40))
def test_a_volume_s_ratio_is_that_of_its_probabilities(
    mu: float, excess: float, ratio: float
) -> None:
    def law(mean: float) -> NDArray[np.float64]:
        shape = 1 / (0.5 + excess / mean)
        found: NDArray[np.float64] = nbinom.logpmf(n, shape, shape / (shape + mean))
        return found

    n = np.arange(60)
    same = np.ones(60)
    found = volume_log_ratios(n, same * mu, same * excess, 0.5, np.array([ratio]))
    got, silence, silent = (of[:, 0] for of in found)
    assert np.minimum(law(ratio * mu) - law(mu), MOST_LOG) == pytest.approx(got, abs=1e-6)
    one = np.array([mu]), np.array([excess])
    empty = silence_log_ratio(*one, 0.5, np.array([ratio]))
    assert float(empty[0, 0]) == float(silent[0]) == pytest.approx(float(got[0]))
    assert float(np.exp(law(mu)[0])) == pytest.approx(float(silence[0]))


def test_of_a_name_that_is_seldom_spoken_of_a_clump_counts_as_one_voice() -> None:
    seldom, excess = np.full(4, 1e-3), np.full(4, 0.5)
    n, ratio = np.array([1, 2, 5, 9]), np.array([12.0])
    found = np.exp(volume_log_ratios(n, seldom, excess, 0.5, ratio)[0])[:, 0]
    assert found == pytest.approx(12.0, rel=0.15)


def test_odds_are_scaled_and_stay_odds() -> None:
    assert 0.5 == pytest.approx(float(scale_odds(np.array([0.2]), 4.0)[0]))
