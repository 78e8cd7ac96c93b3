"""Other ways to see a spike, on the same counts: a statistic for every bucket and key.

All look at the number of negative documents, which rises both with the share and with the volume.
"""

from __future__ import annotations

import numpy as np
from harness.samples import DAY_BUCKETS
from numpy.typing import NDArray
from scipy.stats import nbinom

Counts = NDArray[np.int64]
Statistic = NDArray[np.float32]


def rolling_z(counts: Counts, days: int = 7) -> Statistic:
    """(count − mean) / standard deviation of the ``days`` before, [buckets, keys]."""
    window = days * DAY_BUCKETS
    zero = np.zeros((1, counts.shape[1]))
    sums = np.vstack((zero, np.cumsum(counts, axis=0)))
    squares = np.vstack((zero, np.cumsum(counts.astype(np.float64) ** 2, axis=0)))
    end = np.arange(len(counts))
    begin = np.maximum(end - window, 0)
    size = np.maximum(end - begin, 1)[:, np.newaxis]
    mean = (sums[end] - sums[begin]) / size
    variance = np.maximum((squares[end] - squares[begin]) / size - mean**2, 0.25)
    return ((counts - mean) / np.sqrt(variance)).astype(np.float32)


def ears_c2(counts: Counts, baseline: int = 7, guard: int = 2) -> Statistic:
    """EARS-C2 (Hutwagner et al., 2003) with the same time of the day on seven days as baseline, two
    days before today as guard; the hour around it, because one bucket has few documents."""
    smooth = _hourly(counts)
    found = np.zeros(counts.shape, dtype=np.float32)
    for i in range((baseline + guard) * DAY_BUCKETS, len(counts)):
        days = i - DAY_BUCKETS * np.arange(guard + 1, guard + baseline + 1)
        past = smooth[days]
        deviation = np.maximum(past.std(axis=0, ddof=1), 0.2)
        found[i] = (smooth[i] - past.mean(axis=0)) / deviation
    return found


def seasonal_tail(counts: Counts, half_life: float = 2.0) -> Statistic:
    """−ln P(X >= count), X negative binomial with the key's level, decayed and an hour behind, the
    hour of the day's factor, and its dispersion by moments, leaning on that of all keys."""
    size, keys = counts.shape
    decay = 0.5 ** (1 / (half_life * DAY_BUCKETS))
    day = np.arange(size) // 12 % 24
    level_n, level_b = np.zeros(keys), 0.0
    hour_n, hour_b = np.full(24, 1.0), np.full(24, 1.0)
    excess, square = np.zeros(keys), np.zeros(keys)
    found = np.zeros(counts.shape, dtype=np.float32)
    for i in range(size):
        factor = hour_n / hour_b
        factor = factor / factor.mean()
        mean = np.maximum(level_n / max(level_b, 1.0), 0.02) * factor[day[i]]
        pooled = max(float(excess.sum()) / max(float(square.sum()), 1.0), 1e-3)
        weight = 200 * mean**2
        kappa = (square + weight) / np.maximum(excess + weight * pooled, 1e-9)
        kappa = np.clip(kappa, 0.2, 1e4)
        if i > DAY_BUCKETS:
            found[i] = -nbinom.logsf(counts[i] - 1, kappa, kappa / (kappa + mean))
            excess = decay * excess + ((counts[i] - mean) ** 2 - mean)
            square = decay * square + mean**2
        if i >= 12:
            old = counts[i - 12]
            level_n = decay * level_n + old / factor[day[i - 12]]
            level_b = decay * level_b + 1
            hour_n[day[i - 12]] += old.mean()
            hour_b[day[i - 12]] += 1
    return found


def _hourly(counts: Counts) -> NDArray[np.float64]:
    zero = np.zeros((1, counts.shape[1]))
    sums = np.vstack((zero, np.cumsum(counts, axis=0)))
    end = np.arange(1, len(counts) + 1)
    begin = np.maximum(end - 12, 0)
    return np.asarray(sums[end] - sums[begin], dtype=np.float64)
