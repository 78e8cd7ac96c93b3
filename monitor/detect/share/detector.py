"""The share detector: a Shiryaev–Roberts e-detector.

Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
New England Journal of Statistics in Data Science. The statistic is a sum of likelihood ratios of
beta-binomial counts against an upper null p⁺; because E[M_t | past] <= 1 + γ·M_(t−1), the expected
number of alarms is at most what `budget` pays out, and it adds up over keys whatever their
dependence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading, Recent
from monitor.detect.budget import census, classes, grants
from monitor.detect.null import Ints, scale_odds, share_log_ratio
from monitor.detect.share.baseline import Baselines, hear, kin_of, pooled
from monitor.detect.share.rows import RATIOS, ROW, Part
from monitor.detect.share.settings import ShareSettings
from monitor.detect.statistic import ONSET, accumulate, mean_of, renew, threshold_of
from monitor.detect.table import (
    DAY_BUCKETS,
    HOUR_BUCKETS,
    LAG,
    NAMED,
    POOL,
    KeyTable,
    Spoken,
    digest,
    mask,
    slots,
)
from monitor.detect.witness import Witness
from monitor.events import BUCKET_SECONDS, Bucket

HOT = 0.01
"""Of its threshold: from here on a key is looked at before its bucket is complete."""


class ShareDetector:
    """See the module. State per key: one row of 164 bytes; a step is vectorised over the keys."""

    name = "share"

    def __init__(self, settings: ShareSettings | None = None) -> None:
        self._settings = settings or ShareSettings()
        self._table = KeyTable(ROW)
        self._baselines = Baselines(self._settings, self._table)
        self._hot: set[str] = set()

    @property
    def version(self) -> str:
        return f"share-2/{digest(self._settings)}"

    @property
    def hot(self) -> Collection[str]:
        return self._hot

    def step(
        self,
        start: int,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        now = start // BUCKET_SECONDS
        part = self._part(now, spoken, firing, blind)
        if part is None:
            return []
        rows, fires = part.rows, mask(part.keys, firing)
        self._update(now, part, fires, blind)
        level = mean_of(rows["u"])
        alarm = (level >= 1.0) & part.counted
        readings = [
            self._reading(
                part,
                i,
                bool(alarm[i]),
                # The table holds what was before this bucket.
                self._witness(start, part, i, firing, blind) if alarm[i] else None,
            )
            for i in np.flatnonzero(alarm | fires).tolist()
        ]
        self._table.put(part.keys, part.places, rows)
        self._hot.difference_update(part.keys)
        self._hot.update(part.keys[i] for i in np.flatnonzero(level >= HOT))
        return readings

    def look(self, start: int, spoken: Spoken, firing: Collection[str]) -> list[Reading]:
        """Optional stopping: the ratio is a martingale document by document, as the null is that of
        the bucket's beginning; what the bucket is granted is paid at its close, so that
        γ·u·L alone must reach the threshold."""
        now = start // BUCKET_SECONDS
        part = self._part(now, spoken.only(self._hot.difference(firing)), (), ())
        if part is None:
            return []
        self._peek(now, part)
        alarm = (mean_of(part.rows["u"]) >= 1.0) & part.counted
        return [
            self._reading(
                part, i, alarm=True, witness=self._witness(start, part, i, (), (), early=True)
            )
            for i in np.flatnonzero(alarm).tolist()
        ]

    def again(self, witness: Witness) -> Reading:
        now, spoken = witness.start // BUCKET_SECONDS, witness.touched()
        self.restore(witness.states.items())
        places = self._table.places(spoken.keys)
        part = self._part_of(now, spoken, places, witness.firing, witness.blind, witness.members())
        if witness.early:
            self._peek(now, part)
        else:
            self._update(now, part, mask(part.keys, witness.firing), witness.blind)
        i = part.keys.index(witness.key)
        level = mean_of(part.rows["u"])
        return self._reading(part, i, bool(level[i] >= 1.0 and part.counted[i]))

    def recent(self, key: str, since: int, start: int) -> Recent:
        row = self._table.one(key)
        if row is None:
            return Recent(0, 0.0, 0.0)
        now = start // BUCKET_SECONDS
        inside = slots(row["at"])[0] >= max(since // BUCKET_SECONDS, now - LAG + 1)
        n = int(row["lag_n"][0][inside].sum())
        if not n:  # as of most pairs
            return Recent(0, 0.0, 0.0)
        x = int(row["lag_negative"][0][inside].sum())
        return Recent(n, float(x), n * self._baselines.of(key, now))

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """As old as they are, so little they still weigh."""
        by_key: dict[str, list[Bucket]] = {}
        for bucket in past:
            by_key.setdefault(bucket.key, []).append(bucket)
        if not by_key:
            return
        keys = sorted(by_key)
        places = self._table.places(keys)
        rows = self._table.take(places)
        newest, decay = now // BUCKET_SECONDS, self._settings.decay
        self._baselines.advance(rows, newest, np.zeros(len(keys), dtype=bool))
        for i, key in enumerate(keys):
            for bucket in by_key[key]:
                age = max(newest - bucket.start // BUCKET_SECONDS, 0)
                rows["documents"][i] += bucket.n * decay**age
                rows["negative"][i] += bucket.negative * decay**age
        self._table.put(keys, places, rows)

    def outlives_model(self, _key: str, /) -> bool:
        return False

    def forget(self, keys: Iterable[str]) -> None:
        gone = list(keys)
        self._table.forget(gone)
        self._hot.difference_update(gone)

    def drain(self) -> list[tuple[str, bytes]]:
        return self._table.drain()

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        self._table.restore(states)
        level = mean_of(self._table.column("u"))
        keys = list(self._table.index)
        self._hot = {keys[i] for i in np.flatnonzero(level >= HOT)}

    def accept(self, key: str) -> None:
        row = self._table.one(key)
        if row is None:
            return
        if (n := row["lag_n"].sum()) > 0:
            row["documents"], row["negative"] = n, row["lag_negative"].sum()
            row["lag_n"] = row["lag_negative"] = 0
        row["u"] = 0.0
        self._table.put([key], self._table.places([key]), row)

    # ------------------------------------------------------------------ the rows of a bucket

    def _part(
        self, now: int, spoken: Spoken, firing: Collection[str], blind: Collection[str]
    ) -> Part | None:
        """The keys that speak, and those whose baselines stand still; None: there are none."""
        still = [key for key in (*firing, *blind) if key in self._table.index]
        spoken = spoken.beside(still)
        if not spoken.keys:
            return None
        places = self._table.places(spoken.keys)
        pools, n, x = pooled(spoken, self._table.codes(places))
        keys = [*pools, *spoken.keys]  # an at sign sorts before all letters
        if pools:
            places = np.concatenate((self._table.places(pools), places))
        return self._part_of(now, Spoken(keys, n, x), places, firing, blind)

    def _part_of(
        self,
        now: int,
        touched: Spoken,
        places: Ints,
        firing: Collection[str],
        blind: Collection[str],
        shared: Ints | None = None,
    ) -> Part:
        """The rows of these keys and pools. ``shared``: None, they are all that the bucket
        touches; else how many there were of each class of the budget."""
        keys, n = touched.keys, touched.n
        rows = self._table.take(places)
        frozen = mask(keys, {*firing, *blind})
        codes = self._table.codes(places)
        self._baselines.advance(rows, now, frozen)
        base, upper = self._baselines.null(now, keys, codes, rows)
        fires = mask(keys, firing)
        warm = rows["documents"] >= self._settings.min_baseline
        counted = (n > 0) & warm & ~fires & (codes != POOL)
        activity = rows["active"] / np.maximum(rows["seen"], 1.0) * DAY_BUCKETS
        group = classes(codes >= NAMED, activity)
        members = census(group, counted) if shared is None else shared
        granted = grants(self._settings.budget, group, counted, members)
        return Part(
            keys, places, rows, n, touched.negative, frozen, base, upper, counted, members, granted
        )

    # ------------------------------------------------------------------ updates

    def _update(
        self, now: int, part: Part, fires: NDArray[np.bool_], blind: Collection[str]
    ) -> None:
        """A whole bucket."""
        renew(part.rows, fires)
        self._update_statistic(now, part)
        hear(part, now, mask(part.keys, blind))

    def _peek(self, now: int, part: Part) -> None:
        """The part of a bucket that is there already: nothing is granted before its end."""
        part.granted[:] = 0.0
        self._update_statistic(now, part)

    def _update_statistic(self, now: int, part: Part) -> None:
        """u_j ← (g + γ·u_j)·L_j for the keys that spoke and are not cold."""
        where = part.counted.nonzero()[0]
        if not len(where):
            return
        rows, null = part.rows, part.upper[where]
        n, x = part.n[where], part.x[where]
        other = scale_odds(null[:, np.newaxis], RATIOS)
        rho = self._baselines.overdispersion(rows["excess"][where], rows["pairs"][where])
        log_ratio = share_log_ratio(x, n, null, other, rho)
        granted, discount = part.granted[where, np.newaxis], self._settings.discount
        rows["u"][where] = accumulate(rows["u"][where], granted, discount, log_ratio)
        cusum = rows["cusum"][where]
        rows["cusum"][where] = np.maximum(cusum, 0) + log_ratio[:, ONSET]
        begin = where[cusum <= 0]
        rows["since"][begin] = now
        rows["window_n"][begin] = 0
        rows["window_negative"][begin] = 0
        rows["window_n"][where] += n.astype(np.uint32)
        rows["window_negative"][where] += x.astype(np.uint32)

    def _witness(
        self,
        start: int,
        part: Part,
        i: int,
        firing: Collection[str],
        blind: Collection[str],
        early: bool = False,
    ) -> Witness:
        key = part.keys[i]
        kin = kin_of(key)
        touched = np.flatnonzero(mask(part.keys, kin)).tolist()
        return Witness(
            key=key,
            start=start,
            early=early,
            states=self._table.states(kin),
            spoken={part.keys[j]: (int(part.n[j]), int(part.x[j])) for j in touched},
            firing=tuple(k for k in kin if k in firing),
            blind=tuple(k for k in kin if k in blind),
            shared=tuple(part.shared.tolist()),
            settings=asdict(self._settings),
        )

    def _reading(self, part: Part, i: int, alarm: bool, witness: Witness | None = None) -> Reading:
        row, n = part.rows[i], int(part.n[i])
        window_n, negative = int(row["window_n"]), int(row["window_negative"])
        threshold = threshold_of(float(part.granted[i]))
        return Reading(
            key=part.keys[i],
            alarm=alarm,
            evalue=float(row["u"].mean()) * threshold,
            threshold=threshold,
            bucket_documents=n,
            observed=float(part.x[i]),
            upper=float(part.upper[i] * n),
            value=negative / window_n if window_n else 0.0,
            baseline=float(part.base[i]),
            documents=window_n,
            negative=negative,
            since=int(row["since"]) * BUCKET_SECONDS,
            rate=float(row["voices"] / max(row["seen"], 1.0)) * HOUR_BUCKETS,
            witness=witness,
        )
