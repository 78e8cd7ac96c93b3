"""Alarm when a key speaks far more than it should at this hour of the week.

Negative-binomial likelihood ratios L = r^x·((κ + μ)/(κ + r·μ))^(x + κ) in the same recursion as
`share`, against μ⁺ = slack × level × hour-of-week factor. Bursty volume breaks the exact bound, so
the budget of this detector is calibrated by experience, not proven.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading
from monitor.detect.share import DAY_BUCKETS, LAG, ONSET, RATIOS, UNHEARD, Floats, push
from monitor.detect.table import KeyTable, digest
from monitor.events import BUCKET_SECONDS, Bucket, Sums
from monitor.keys import ALL

HOUR_BUCKETS = 3600 // BUCKET_SECONDS
WEEK_HOURS = 168
_LOG_RATIOS = np.log(RATIOS)
_MOST_LOG = 460.0  # e^460 is far above the bound of the statistic, and their product is finite

_ROW = np.dtype(
    [
        ("documents", "f8"),  # decayed sum of documents / factor, and of buckets
        ("exposure", "f8"),
        ("seen", "i8"),  # buckets, undecayed: how warm the key is
        ("m", "f8", (4,)),
        ("cusum", "f8"),
        ("lag", "i4", (LAG,)),
        ("since", "i8"),
        ("window_buckets", "i8"),
        ("window_n", "i8"),
        ("window_negative", "i8"),
        ("window_expected", "f8"),
    ]
)

SEASON = "@season"
"""Name under which the pooled hour-of-week profile is stored; not a key of the aggregates."""


@dataclass(frozen=True, slots=True)
class VolumeSettings:
    """Parameters of the volume detector."""

    budget: float = 0.5
    """Expected false alarms a day, over all keys together (calibrated, not proven)."""
    slack: float = 2.0
    """μ⁺ against the expected count."""
    dispersion: float = 2.0
    """κ of the negative binomial: variance μ + μ²/κ."""
    half_life: float = 7.0
    """Half-life of the level in days."""
    warm_up: float = 1.0
    """Days that a key is watched before it may alarm: one whole daily cycle."""
    discount: float = 0.9
    """γ of the recursion."""


class Seasonality:
    """Hour-of-week factors of the whole stream, shrunk to hour-of-day, shrunk to 1."""

    def __init__(self) -> None:
        self._documents = np.zeros(WEEK_HOURS)
        self._buckets = np.zeros(WEEK_HOURS)

    def factor(self, start: int) -> float:
        """Expected documents in the hour of ``start`` over those of an average hour."""
        buckets = float(self._buckets.sum())
        documents = float(self._documents.sum())
        if buckets < DAY_BUCKETS or documents <= 0:
            return 1.0
        mean = documents / buckets
        hour = _hour_of_week(start)
        day_hours = slice(hour % 24, WEEK_HOURS, 24)
        weight = 2.0 * HOUR_BUCKETS
        daily = (self._documents[day_hours].sum() + weight * mean) / (
            self._buckets[day_hours].sum() + weight
        )
        weekly = (self._documents[hour] + 2 * weight * daily) / (self._buckets[hour] + 2 * weight)
        return float(max(weekly / mean, 0.1))

    def learn(self, start: int, documents: int, decay: float) -> None:
        """Add one bucket of the whole stream."""
        hour = _hour_of_week(start)
        self._documents *= decay
        self._buckets *= decay
        self._documents[hour] += documents
        self._buckets[hour] += 1

    def dump(self) -> bytes:
        return np.concatenate([self._documents, self._buckets]).tobytes()

    def restore(self, state: bytes) -> None:
        both = np.frombuffer(state, dtype=np.float64)
        self._documents, self._buckets = both[:WEEK_HOURS].copy(), both[WEEK_HOURS:].copy()


class VolumeDetector:
    """See the module. Empty buckets count too: silence is evidence that a burst has ended."""

    name = "volume"

    def __init__(self, keys: Iterable[str], settings: VolumeSettings | None = None) -> None:
        self._settings = settings or VolumeSettings()
        self._table = KeyTable(_ROW, keys, np.zeros((), dtype=_ROW))
        self._season = Seasonality()
        self._decay = 0.5 ** (1.0 / (self._settings.half_life * DAY_BUCKETS))
        self._start = 0
        self._dirty = False

    @property
    def version(self) -> str:
        return f"volume-1/{digest(self._settings)}"

    def step(
        self,
        start: int,
        sums: Mapping[str, Sums],
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        n, x = self._table.counts(sums)
        rows = self._table.rows
        factor = self._season.factor(start)
        expected = self._level() * factor
        frozen = self._table.mask(firing)
        warm = rows["seen"] >= self._settings.warm_up * DAY_BUCKETS
        self._update_statistic(start, n, x, expected, warm)
        self._update_level(start, n, frozen, self._table.mask(blind))
        evalue = rows["m"].sum(axis=1) / len(RATIOS)
        threshold = DAY_BUCKETS * len(rows) / self._settings.budget
        alarm = (evalue >= threshold) & (n > 0) & ~frozen
        self._dirty = True
        readings = []
        for i in np.flatnonzero(alarm | frozen):
            row = rows[i]
            hours = max(int(row["window_buckets"]), 1) / HOUR_BUCKETS
            readings.append(
                Reading(
                    key=self._table.keys[i],
                    alarm=bool(alarm[i]),
                    evalue=float(evalue[i]),
                    threshold=float(threshold),
                    bucket_documents=int(n[i]),
                    observed=float(n[i]),
                    upper=float(self._settings.slack * expected[i]),
                    value=float(row["window_n"]) / hours,
                    baseline=float(row["window_expected"]) / hours,
                    documents=int(row["window_n"]),
                    negative=int(row["window_negative"]),
                    since=int(row["since"]),
                )
            )
        # What follows a page is a new rise: another window, and so another alert.
        rows["m"][frozen] = 0.0
        rows["cusum"][frozen] = 0.0
        return readings

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """Nothing: the last forty items of a feed say how it speaks, not how often."""

    def outlives_model(self, key: str, /) -> bool:
        # How much is written does not depend on who judges it; how much on a topic does.
        return not key.startswith("topic:")

    def drain(self) -> list[tuple[str, bytes]]:
        if not self._dirty:
            return []
        self._dirty = False
        return [*self._table.dump(), (SEASON, self._season.dump())]

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        by_key = dict(states)
        self._season = Seasonality()
        if (season := by_key.pop(SEASON, None)) is not None:
            self._season.restore(season)
        self._table.restore(by_key.items())
        self._dirty = False

    def accept(self, key: str) -> None:
        row = self._table.rows[self._table.index[key]]
        ages = range(LAG - 1, -1, -1)
        hour = np.array([self._season.factor(self._start - i * BUCKET_SECONDS) for i in ages])
        heard = row["lag"] != UNHEARD
        if heard.any():
            row["documents"] = row["lag"][heard].sum() / np.mean(hour[heard])
            row["exposure"] = heard.sum()
        row["m"] = 0.0

    def _level(self) -> Floats:
        """Upper estimate of documents a bucket at an average hour, [keys].

        One standard deviation of a Poisson above the mean, and never nought: a key that hardly ever
        spoke has a level that is unknown, not one of zero.
        """
        rows = self._table.rows
        total = rows["documents"]
        level: Floats = (total + np.sqrt(total) + 1.0) / np.maximum(rows["exposure"], 1.0)
        return level

    def _update_statistic(
        self,
        start: int,
        n: NDArray[np.int64],
        x: NDArray[np.int64],
        expected: Floats,
        warm: NDArray[np.bool_],
    ) -> None:
        s = self._settings
        rows = self._table.rows
        mu = s.slack * expected
        alternatives = s.dispersion + RATIOS * mu[:, np.newaxis]  # [keys, alternatives]
        shrunk = np.log((s.dispersion + mu)[:, np.newaxis] / alternatives)
        log_likelihood = n[:, np.newaxis] * _LOG_RATIOS + (n + s.dispersion)[:, np.newaxis] * shrunk
        growth = np.exp(np.minimum(log_likelihood, _MOST_LOG))
        m = np.minimum((1.0 + s.discount * rows["m"]) * growth, 1e100)
        m[~warm] = 0.0
        rows["m"] = m
        fresh = rows["cusum"] <= 0
        rows["cusum"] = np.maximum(rows["cusum"], 0) + log_likelihood[:, ONSET]
        np.copyto(rows["since"], start, where=fresh)
        for field in ("window_buckets", "window_n", "window_negative", "window_expected"):
            np.copyto(rows[field], 0, where=fresh)
        rows["window_buckets"] += 1
        rows["window_n"] += n
        rows["window_negative"] += x
        rows["window_expected"] += expected

    def _update_level(
        self,
        start: int,
        n: NDArray[np.int64],
        frozen: NDArray[np.bool_],
        blind: NDArray[np.bool_],
    ) -> None:
        rows = self._table.rows
        self._start = start
        lagged_factor = self._season.factor(start - LAG * BUCKET_SECONDS)
        old = push(rows["lag"], n)
        rows["lag"][blind] = UNHEARD
        learning = ~frozen & ~blind & (old != UNHEARD)
        rows["seen"] += ~blind
        documents = rows["documents"] * self._decay + old / lagged_factor
        np.copyto(rows["documents"], documents, where=learning)
        np.copyto(rows["exposure"], rows["exposure"] * self._decay + 1.0, where=learning)
        root = self._table.index[ALL]
        if not (frozen[root] or blind[root]):
            self._season.learn(start, int(n[root]), self._decay)


def _hour_of_week(start: int) -> int:
    return start // 3600 % WEEK_HOURS  # the epoch's Thursday is as good a first day as any
