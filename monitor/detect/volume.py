"""Alarm when a key speaks far more than it should at this hour of the week.

Negative-binomial likelihood ratios L = r^x·((κ + μ)/(κ + r·μ))^(x + κ) in the same recursion as
`share`, against μ⁺ = slack × level × hour-of-week factor. Bursty volume breaks the exact bound, so
the budget of this detector is calibrated by experience, not proven.

Voices of a name come in clumps: who is silent for days is spoken of five times in an hour. So for
names 1/κ = 1/2 + (φ − 1)/μ, where φ is the variance of a bucket over its mean, pooled over all
names that seldom speak. A clump then has a logarithmic law, no ratio exceeds φ/(φ − 1) a voice, and
a name that was never heard before can have a null: the rate of new names on their first day, a
gamma prior that its own voices then move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading, Recent
from monitor.detect.budget import grants
from monitor.detect.null import Floats, Ints, silence_log_ratio, volume_log_ratio
from monitor.detect.season import WEEK_HOURS, Course, Seasonality, hour_of_week
from monitor.detect.table import (
    DAY_BUCKETS,
    HOUR_BUCKETS,
    LAG,
    NAMED,
    SORTS,
    KeyTable,
    Spoken,
    digest,
    mask,
    slots,
)
from monitor.events import BUCKET_SECONDS, Bucket
from monitor.keys import ALL

RATIOS = np.array([1.4, 1.8, 2.5, 4.0, 12.0, 40.0])
"""Alternatives; the two large ones are for those who are hardly ever spoken of."""
ONSET = 1
"""Index of the alternative that dates the beginning of a rise."""
SELDOM = 0.5
"""Voices a bucket up to which a name tells how voices clump."""
MOST_IN_CLUMP = 30
MOST_IN_BURST = 10
"""Voices of a burst that tell what is usual of new names."""
HOLD = 0.003
"""Of its threshold: from here on nothing is learned of a key, up to the alarm or until the evidence
has fallen. Else the level of a new name would soon be that of its burst."""
GROUPS = "@groups"
"""Name under which the rhythms and priors of the groups are stored; not a key."""
_MOST = 1e30
_SEASONS = (ALL, "kind:news", "kind:comment", "named")
_NAMED_SEASON = len(_SEASONS) - 1
_SEASON_OF_CODE = np.array(
    [1 if s == "kind:news" else 2 if s == "kind:comment" else 0 if s in (ALL, "topic") else 3
     for s in SORTS]
)  # fmt: skip
_CORE = len([s for s in SORTS if s in (ALL, "topic") or s.startswith("kind")])

_ROW = np.dtype(
    [
        ("documents", "f8"),  # decayed sum of documents / factor, and of buckets
        ("exposure", "f8"),
        ("born", "i4"),  # first bucket, and the one to which the row has been advanced
        ("at", "i4"),
        ("u", "f4", (len(RATIOS),)),  # M / c
        ("cusum", "f4"),
        ("since", "i4"),
        ("window_n", "u4"),
        ("window_negative", "u4"),
        ("window_expected", "f4"),
        ("lag", "u4", (LAG,)),  # by bucket number modulo LAG
    ]
)


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
    """Days that a topic, or for names the installation, is watched before it may alarm."""
    discount: float = 0.9
    """γ of the recursion."""
    new_voices: float = 2.0
    """Voices of a new name on its first day, before new names have been seen …"""
    new_weight: float = 5.0
    """… and how many new names this weighs."""
    clumping: float = 2.0
    """φ before it has been measured …"""
    clumping_weight: float = 200.0
    """… and how many voices this weighs."""


@dataclass(slots=True)
class _Pool:
    """What is known of all names together; decayed with the levels."""

    buckets: float = 0.0  # undecayed: how warm the installation is
    births: float = 0.0
    first_day: float = 0.0  # voices
    spread: float = 0.0  # Σ n·(n − μ) over names that seldom speak, and Σ n
    voices: float = 0.0


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows that a bucket touches, advanced to it. All are [keys]."""

    keys: list[str]
    places: Ints
    rows: NDArray[Any]
    codes: NDArray[np.int8]
    n: Ints
    x: Ints
    frozen: NDArray[np.bool_]
    fires: NDArray[np.bool_]


class VolumeDetector:
    """See the module. Empty buckets count too: silence is evidence that a burst has ended.

    State per key: one row of 116 bytes; a step is vectorised over the keys that speak.
    """

    name = "volume"

    def __init__(self, settings: VolumeSettings | None = None) -> None:
        self._settings = settings or VolumeSettings()
        self._decay = 0.5 ** (1.0 / (self._settings.half_life * DAY_BUCKETS))
        self._stepped = False
        self.restore(())

    @property
    def version(self) -> str:
        return f"volume-2/{digest(self._settings)}"

    @property
    def hot(self) -> Collection[str]:
        return ()

    def step(
        self,
        start: int,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        now = start // BUCKET_SECONDS
        spoken = spoken.beside(key for key in (*firing, *blind) if key in self._table.index)
        course = Course(np.array([season.factors() for season in self._seasons]))
        keys, named = spoken.keys, 0
        readings: list[Reading] = []
        if keys:
            places = self._table.places(keys)
            rows, codes = self._table.take(places), self._table.codes(places)
            frozen, fires = mask(keys, {*firing, *blind}), mask(keys, firing)
            part = _Part(keys, places, rows, codes, spoken.n, spoken.negative, frozen, fires)
            readings = self._update(now, part, course, mask(keys, blind))
            self._table.put(keys, places, rows)
            named = int(spoken.n[codes >= _CORE].sum())
        self._learn_groups(now, spoken, named, {*firing, *blind})
        return readings

    def look(self, start: int, spoken: Spoken, firing: Collection[str]) -> list[Reading]:  # noqa: ARG002
        """Nothing: part of a bucket says little of how full it will be."""
        return []

    def recent(self, key: str, since: int, start: int) -> Recent:
        row = self._table.one(key)
        if row is None:
            return Recent(0, 0.0, 0.0)
        now = start // BUCKET_SECONDS
        first = max(since // BUCKET_SECONDS, now - LAG + 1)
        inside = slots(row["at"])[0] >= first
        n = int(row["lag"][0][inside].sum())
        code = self._table.codes(self._table.places([key]))
        group = _SEASON_OF_CODE[code]
        course = Course(np.array([season.factors() for season in self._seasons]))
        factor = float(course.between(group, np.array([first]), now + 1)[0])
        return Recent(n, float(n), float(self._mean(row, code)[0]) * factor)

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """Nothing: the last forty items of a feed say how it speaks, not how often."""

    def outlives_model(self, key: str, /) -> bool:
        # How much is written does not depend on who judges it; how much on a topic does, and which
        # unlisted names are found.
        return key.partition(":")[0] not in ("topic", "name", "pair")

    def forget(self, keys: Iterable[str]) -> None:
        self._table.forget(keys)

    def drain(self) -> list[tuple[str, bytes]]:
        drained = self._table.drain()
        if not self._stepped:
            return drained
        self._stepped = False
        p = self._pool
        pool = np.array([p.buckets, p.births, p.first_day, p.spread, p.voices])
        parts = [season.state.ravel() for season in self._seasons]
        return [*drained, (GROUPS, np.concatenate([pool, *parts]).tobytes())]

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        by_key = dict(states)
        self._pool = _Pool()
        self._seasons = [Seasonality() for _ in _SEASONS]
        if (groups := by_key.pop(GROUPS, None)) is not None:
            values = np.frombuffer(groups, dtype=np.float64)
            self._pool = _Pool(*values[:5].tolist())
            shape = (len(_SEASONS), 2, WEEK_HOURS)
            self._seasons = [Seasonality(s.copy()) for s in values[5:].reshape(shape)]
        self._table = KeyTable(_ROW)
        self._table.restore(by_key.items())
        self._stepped = False

    def accept(self, key: str) -> None:
        row = self._table.one(key)
        if row is None:
            return
        group = _SEASON_OF_CODE[self._table.codes(self._table.places([key]))]
        factors = self._seasons[int(group[0])].factors()
        at = int(row["at"][0])
        hour = np.mean([factors[hour_of_week(at - i)] for i in range(LAG)])
        if (n := row["lag"].sum()) > 0:  # an hour in which nothing was heard is no new level
            row["documents"], row["exposure"] = n / hour, LAG
            row["lag"] = 0
        row["u"] = 0.0
        self._table.put([key], self._table.places([key]), row)

    # ------------------------------------------------------------------ one bucket

    def _update(
        self, now: int, part: _Part, course: Course, blind: NDArray[np.bool_]
    ) -> list[Reading]:
        s, rows, n, codes = self._settings, part.rows, part.n, part.codes
        group = _SEASON_OF_CODE[codes]
        fresh = rows["at"] == 0
        rows["at"][fresh] = now - 1
        rows["born"][fresh] = now
        silent = now - 1 - rows["at"].astype(np.int64)  # buckets passed over
        passed_factor = course.between(group, rows["at"].astype(np.int64) + 1, now)
        self._advance(rows, now, part.frozen, group, course)
        factor = course.at(group, now)
        level = self._level(rows, codes)
        expected = level * factor
        named = codes >= _CORE
        mu = s.slack * expected
        kappa = self._kappa(mu, named)

        rows["u"][part.fires] = 0.0  # what follows a page is a new rise
        rows["cusum"][part.fires] = 0.0
        self._pass_over(part, silent, level * passed_factor, kappa)
        age = now - rows["born"]
        warm_up = s.warm_up * DAY_BUCKETS
        warm = np.where(named, self._pool.buckets, age) >= warm_up
        counted = (n > 0) & warm & ~part.fires
        activity = np.minimum(level, 1.0) * DAY_BUCKETS
        granted = grants(s.budget, codes >= NAMED, activity, counted)
        self._update_statistic(now, part, mu, kappa, granted, np.flatnonzero(warm & ~part.fires))
        self._update_window(part, n, expected)
        self._learn_names(now, part, fresh, expected)
        rows["lag"][:, now % LAG] = np.where(blind, 0, n)

        alarm = (rows["u"].mean(axis=1) >= 1.0) & counted
        usual = self._mean(rows, codes) * HOUR_BUCKETS
        return [
            self._reading(now, part, i, bool(alarm[i]), granted, expected, usual)
            for i in np.flatnonzero(alarm | part.fires).tolist()
        ]

    def _advance(
        self,
        rows: NDArray[Any],
        now: int,
        frozen: NDArray[np.bool_],
        group: Ints,
        course: Course,
    ) -> None:
        """Bring rows to the bucket ``now``, in place: the level decays and learns what is an hour
        old. One function for every gap, as in `share`."""
        at = rows["at"].astype(np.int64)
        learning = ~frozen & (rows["u"].mean(axis=1) < HOLD)
        gap = np.maximum(now - at, 0)
        passed = self._decay**gap
        # An exposure, too, follows an hour behind; a row that is younger has none.
        exposed = np.clip(now - LAG - np.maximum(at - LAG, rows["born"] - 1), 0, gap)
        more = (1.0 - self._decay**exposed) / (1.0 - self._decay)
        rows["documents"] = np.where(learning, rows["documents"] * passed, rows["documents"])
        rows["exposure"] = np.where(learning, rows["exposure"] * passed + more, rows["exposure"])
        bucket = slots(at)
        leaving = (rows["lag"] > 0) & (bucket <= now - LAG)
        slot, due = np.nonzero(leaving.T)  # by slot: sums of floats have an order
        if len(due):
            kept_in = learning[due]
            learned, of = due[kept_in], slot[kept_in]
            weight = self._decay ** (now - LAG - bucket[learned, of])
            factor = course.at(group[learned], bucket[learned, of])
            np.add.at(rows["documents"], learned, rows["lag"][learned, of] / factor * weight)
            rows["lag"][due, slot] = 0
        rows["at"] = np.maximum(at, now)

    def _pass_over(self, part: _Part, silent: Ints, expected: Floats, kappa: Floats) -> None:
        """The evidence of the buckets since the last touch, which were all empty.

        The log-ratio of an empty bucket is convex in μ, so that as many times that of the mean μ is
        the most that such a silence can weigh: the statistic falls at least as far as it should.
        There is no discount of γ: who is spoken of three times an hour, and was not spoken of for
        weeks, must be able to add that up.
        """
        where = np.flatnonzero(silent > 0)
        if not len(where):
            return
        rows, k = part.rows, silent[where].astype(np.float64)
        mu = self._settings.slack * expected[where] / k
        log_ratio = silence_log_ratio(mu, kappa[where], RATIOS) * k[:, np.newaxis]
        rows["u"][where] = rows["u"][where] * np.exp(log_ratio)
        rows["cusum"][where] = np.maximum(rows["cusum"][where] + log_ratio[:, ONSET], 0.0)
        rows["window_expected"][where] += expected[where]

    def _update_statistic(
        self, now: int, part: _Part, mu: Floats, kappa: Floats, granted: Floats, where: Ints
    ) -> None:
        """u_j ← (g_j + γ·u_j)·L_j.

        A key is granted something only where it speaks, and that it speaks is what is tested: what
        it may cost is P(speaks | alternative j) / P(speaks | null) of the grant, so g_j is less.
        """
        rows = part.rows
        log_ratio = volume_log_ratio(part.n, mu, kappa, RATIOS)
        empty = silence_log_ratio(mu, kappa, RATIOS)
        spoken = -np.expm1(kappa * np.log(kappa / (kappa + mu)))
        loud = -np.expm1(empty + np.log1p(-spoken)[:, np.newaxis])
        paid = granted[:, np.newaxis] * spoken[:, np.newaxis] / loud
        u = (paid + self._settings.discount * rows["u"]) * np.exp(log_ratio)
        kept = np.zeros(len(part.keys), dtype=bool)
        kept[where] = True
        rows["u"] = np.where(kept[:, np.newaxis], np.minimum(u, _MOST), 0.0)
        begin = rows["cusum"] <= 0
        rows["cusum"] = np.maximum(rows["cusum"], 0) + log_ratio[:, ONSET]
        rows["since"][begin] = now
        for field in ("window_n", "window_negative", "window_expected"):
            rows[field][begin] = 0

    def _update_window(self, part: _Part, n: Ints, expected: Floats) -> None:
        rows = part.rows
        rows["window_n"] += n.astype(np.uint32)
        rows["window_negative"] += part.x.astype(np.uint32)
        rows["window_expected"] += expected

    def _reading(
        self,
        now: int,
        part: _Part,
        i: int,
        alarm: bool,
        granted: Floats,
        expected: Floats,
        usual: Floats,
    ) -> Reading:
        row = part.rows[i]
        hours = (now - int(row["since"]) + 1) / HOUR_BUCKETS
        threshold = 1.0 / float(granted[i]) if granted[i] > 0 else 1.0
        return Reading(
            key=part.keys[i],
            alarm=alarm,
            evalue=float(row["u"].mean()) * threshold,
            threshold=threshold,
            bucket_documents=int(part.n[i]),
            observed=float(part.n[i]),
            upper=float(self._settings.slack * expected[i]),
            value=int(row["window_n"]) / hours,
            baseline=float(row["window_expected"]) / hours,
            documents=int(row["window_n"]),
            negative=int(row["window_negative"]),
            since=int(row["since"]) * BUCKET_SECONDS,
            rate=float(usual[i]),
        )

    # ------------------------------------------------------------------ levels and pools

    def _prior(self, codes: NDArray[np.int8]) -> tuple[Floats, Floats]:
        """Gamma prior of a level: documents and buckets, [keys] each.

        Of a name that of the new ones on their first day; a topic has none worth a word, and waits
        for its own.
        """
        s, p = self._settings, self._pool
        first = (p.first_day + s.new_weight * s.new_voices) / (p.births + s.new_weight)
        named = codes >= _CORE
        return np.where(named, first, 0.0), np.where(named, float(DAY_BUCKETS), 0.0)

    def _level(self, rows: NDArray[Any], codes: NDArray[np.int8]) -> Floats:
        """Upper estimate of documents a bucket at an average hour, [keys]: one standard deviation
        of a Poisson above the mean, and never nought: a key that hardly ever spoke has a level that
        is unknown, not one of zero."""
        documents, buckets = self._prior(codes)
        total = rows["documents"] + documents
        spare = np.where(codes >= _CORE, 0.0, 1.0)
        level: Floats = (total + np.sqrt(total) + spare) / np.maximum(
            rows["exposure"] + buckets, 1.0
        )
        return level

    def _mean(self, rows: NDArray[Any], codes: NDArray[np.int8]) -> Floats:
        """Documents a bucket at an average hour, [keys]."""
        documents, buckets = self._prior(codes)
        mean: Floats = (rows["documents"] + documents) / np.maximum(rows["exposure"] + buckets, 1.0)
        return mean

    def _kappa(self, mu: Floats, named: NDArray[np.bool_]) -> Floats:
        s, p = self._settings, self._pool
        seen = (p.spread + s.clumping * s.clumping_weight) / (p.voices + s.clumping_weight)
        phi = np.where(named, np.clip(1.0 + 1.5 * (seen - 1.0), 1.3, 6.0), 1.0)
        kappa: Floats = 1.0 / (1.0 / s.dispersion + (phi - 1.0) / mu)
        return kappa

    def _learn_names(
        self, now: int, part: _Part, fresh: NDArray[np.bool_], expected: Floats
    ) -> None:
        """The rate of new names on their first day, and how voices clump."""
        p, rows, named = self._pool, part.rows, part.codes >= NAMED
        for field in ("births", "first_day", "spread", "voices"):
            setattr(p, field, getattr(p, field) * self._decay)
        held = rows["u"].mean(axis=1) >= HOLD
        calm = named & ~part.frozen & (~held | (rows["window_n"] <= MOST_IN_BURST))
        clump = np.minimum(part.n, MOST_IN_CLUMP)
        if p.buckets >= self._settings.warm_up * DAY_BUCKETS:  # before that everybody is new
            young = calm & (now - rows["born"] < DAY_BUCKETS)
            p.births += int((fresh & named).sum())
            p.first_day += int(clump[young].sum())
        seldom = calm & (expected < SELDOM)
        p.spread += float((clump[seldom] * (clump[seldom] - expected[seldom])).sum())
        p.voices += int(clump[seldom].sum())

    def _learn_groups(self, now: int, spoken: Spoken, named: int, still: Collection[str]) -> None:
        """The rhythm is not learned while the whole stream bursts, or is not heard."""
        self._stepped = True
        self._pool.buckets += 1.0
        if ALL in still:
            return
        hour = hour_of_week(now)
        voices = [*(spoken.voices(name) for name in _SEASONS[:_NAMED_SEASON]), named]
        for season, n in zip(self._seasons, voices, strict=True):
            season.learn(hour, n, self._decay)
