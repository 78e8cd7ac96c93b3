"""Likelihood ratios of counts against their upper null, and odds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_LOG = 69.0
"""ln of the largest ratio of one bucket: e^69 = 10^30, and float32 holds its product with 1."""
_FEW = 8  # documents up to which a product of ratios is quicker than gammas


def scale_odds(p: Floats, ratio: float | Floats) -> Floats:
    """The probability whose odds are ``ratio`` times those of ``p``."""
    odds = p / (1 - p) * ratio
    scaled: Floats = odds / (1 + odds)
    return scaled


def share_log_ratio(x: Ints, n: Ints, null: Floats, other: Floats, rho: Floats) -> Floats:
    """ln BB(x; n, p, ρ) / BB(x; n, p₀, ρ), [keys, alternatives].

    ``x``, ``n``, ``null`` (p₀) and ``rho`` are [keys], ``other`` (p) [keys, alternatives]. With
    a = p(1−ρ)/ρ, b = (1−p)(1−ρ)/ρ, whose sum does not depend on p, the ratio is
    Π (a+i)/(a₀+i) over i < x times Π (b+i)/(b₀+i) over i < n−x: a Pólya urn, so it is a martingale
    document by document.
    """
    scale = (1 - rho) / rho
    a0, b0 = (null * scale)[:, np.newaxis], ((1 - null) * scale)[:, np.newaxis]
    a, b = other * scale[:, np.newaxis], (1 - other) * scale[:, np.newaxis]
    ratio = np.zeros(other.shape)
    few, many = (n <= _FEW).nonzero()[0], (n > _FEW).nonzero()[0]
    if len(few):
        k, rest = x[few], n[few] - x[few]
        ratio[few] = np.log(_rising(k, a[few], a0[few]) * _rising(rest, b[few], b0[few]))
    if len(many):
        k, rest = x[many, np.newaxis], (n - x)[many, np.newaxis]
        ratio[many] = (
            _log_rising(k, a[many])
            - _log_rising(k, a0[many])
            + _log_rising(rest, b[many])
            - _log_rising(rest, b0[many])
        )
    return np.minimum(ratio, MOST_LOG)


def volume_log_ratios(
    n: Ints, mu: Floats, excess: Floats, spread: float, ratios: Floats
) -> tuple[Floats, Floats, Floats]:
    """ln NB(n; r·μ) / NB(n; μ), [keys, alternatives]; NB(0; μ), [keys, 1]; and the first of an
    empty bucket. n, μ and the excess φ − 1 are [keys].

    The shape κ of the law of the mean m follows 1/κ = spread + (φ − 1)/m. Where φ = 1 it is the
    same for all means, and the ratio r^n·((κ + μ)/(κ + r·μ))^(n + κ). Where m is small it is
    m/(φ − 1): clumps of a size that φ gives, so many of them as m says, and an alternative has
    r times as many, not larger ones.
    """
    m, many, more = mu[:, np.newaxis], n[:, np.newaxis], ratios * mu[:, np.newaxis]
    null, other = _shape(m, excess, spread), _shape(more, excess, spread)
    silence, silence_of_more = _silence(m, null), _silence(more, other)
    found: Floats = (
        gammaln(many + other)
        - gammaln(other)
        - gammaln(many + null)
        + gammaln(null)
        + many * (np.log(ratios) + np.log((null + m) / (other + more)))
        + silence_of_more
        - silence
    )
    return np.minimum(found, MOST_LOG), np.exp(silence), silence_of_more - silence


def silence_log_ratio(mu: Floats, excess: Floats, spread: float, ratios: Floats) -> Floats:
    """The log-ratio of an empty bucket alone, [keys, alternatives]."""
    m, more = mu[:, np.newaxis], ratios * mu[:, np.newaxis]
    null, other = _shape(m, excess, spread), _shape(more, excess, spread)
    return _silence(more, other) - _silence(m, null)


def _shape(mean: Floats, excess: Floats, spread: float) -> Floats:
    found: Floats = 1.0 / (spread + excess[:, np.newaxis] / mean)
    return found


def _silence(mean: Floats, shape: Floats) -> Floats:
    found: Floats = -shape * np.log1p(mean / shape)
    return found


def _rising(count: Ints, top: Floats, bottom: Floats) -> Floats:
    """Π (top + i)/(bottom + i) over i < count, [keys, alternatives]."""
    product = np.ones(top.shape)
    where = count.nonzero()[0]
    if not len(where):
        return product
    some = count[where]
    end = np.add.accumulate(some)
    row = where.repeat(some)
    i = (np.arange(len(row)) - (end - some).repeat(some))[:, np.newaxis]
    factors = (top[row] + i) / (bottom[row] + i)
    product[where] = np.multiply.reduceat(factors, end - some)
    return product


def _log_rising(count: Ints, a: Floats) -> Floats:
    found: Floats = gammaln(a + count) - gammaln(a)
    return found
