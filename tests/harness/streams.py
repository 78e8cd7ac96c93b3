"""Streams of counts with known truth, a bucket at a time, for measuring detectors on many keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from harness.samples import DAY_BUCKETS, MONDAY
from numpy.typing import NDArray

from monitor.detect.table import Spoken
from monitor.events import BUCKET_SECONDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Stream:
    """Beta-binomial shares, negative-binomial volume, from a seed; every key speaks by itself."""

    shares: Floats
    """P(negative) of each key."""
    documents: float | Floats = 4.0
    """Voices a bucket, on top of ``at_least``."""
    overdispersion: float = 0.05
    at_least: int = 0
    drift: float = 0.0
    """Standard deviation of the logit of a share, which wanders with ``memory``."""
    memory: float = 2.0
    """Days."""
    rhythm: float = 0.0
    """Amplitude of the day's wave in the volume."""
    burstiness: float = 0.0
    """Variance of the gamma factor of a bucket's volume."""
    sort: str = "topic"
    seed: int = 1
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [f"{self.sort}:{i:06d}" for i in range(len(self.shares))]
        self._rng = np.random.default_rng(self.seed)
        self._away = self._rng.normal(0, self.drift, len(self.shares))
        self._bucket = 0

    @property
    def start(self) -> int:
        """Of the next bucket, seconds since the epoch."""
        return MONDAY + self._bucket * BUCKET_SECONDS

    def next(
        self, odds: float | Floats = 1.0, volume: float | Floats = 1.0
    ) -> tuple[int, Ints, Ints]:
        """Start, voices and negative voices [keys] of the next bucket, with the odds of the shares
        and the volume times so much."""
        start, size, rng = self.start, len(self.shares), self._rng
        if self.drift:
            kept = np.exp(-1.0 / (self.memory * DAY_BUCKETS))
            noise = rng.normal(0, self.drift * np.sqrt(1 - kept**2), size)
            self._away = kept * self._away + noise
        odds = self.shares / (1 - self.shares) * np.exp(self._away) * odds
        p = odds / (1 + odds)
        wave = 1 + self.rhythm * np.sin(2 * np.pi * self._bucket / DAY_BUCKETS)
        rate = np.broadcast_to(self.documents * wave * volume, size)
        if self.burstiness:
            rate = rate * rng.gamma(1 / self.burstiness, self.burstiness, size)
        n = np.rint(self.at_least * np.broadcast_to(volume, size)).astype(int) + rng.poisson(rate)
        if self.overdispersion:
            scale = (1 - self.overdispersion) / self.overdispersion
            p = rng.beta(p * scale, (1 - p) * scale)
        self._bucket += 1
        return start, n, rng.binomial(n, p)


def spoken_of(keys: Sequence[str], n: Ints, x: Ints, whole: bool = True) -> Spoken:
    """One bucket as the detectors see it, with the whole stream if it is wanted."""
    there = np.flatnonzero(n > 0).tolist()
    names = [keys[i] for i in there]
    if not whole:
        return Spoken(names, n[there], x[there])
    return Spoken(["all", *names], np.append(n.sum(), n[there]), np.append(x.sum(), x[there]))


def episodes(loud: NDArray[np.bool_], pause: int = 36) -> int:
    """Alarms in [buckets, keys], where those of one key within ``pause`` buckets are one."""
    found = 0
    quiet_until = np.zeros(loud.shape[1], dtype=np.int64)
    for i in np.flatnonzero(loud.any(axis=1)):
        new = loud[i] & (quiet_until <= i)
        found += int(new.sum())
        quiet_until[loud[i]] = i + pause
    return found


def matched(statistic: NDArray[np.float32], allowed: int) -> float:
    """The lowest threshold with at most so many `episodes` in [buckets, keys]."""
    levels = np.sort(statistic.ravel())[::-1][: 200 * max(allowed, 1)]
    low, high = 0, len(levels) - 1
    while low < high:  # episodes grow as the threshold falls, nearly
        middle = (low + high + 1) // 2
        if episodes(statistic >= levels[middle]) <= allowed:
            low = middle
        else:
            high = middle - 1
    return float(levels[low])
