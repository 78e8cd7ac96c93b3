"""The volume detector: the rows of one closed bucket in, readings out.

What is expected of a key is its `level`, on what `groups` of keys tell together; what was heard of
it is `evidence` against that, in units of the threshold that the budget grants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading, Recent
from monitor.detect.budget import census, classes, grants
from monitor.detect.null import Ints
from monitor.detect.statistic import renew, threshold_of
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
from monitor.detect.volume.evidence import (
    Null,
    evidence_of,
    pass_over,
    update_statistic,
    update_window,
)
from monitor.detect.volume.groups import Groups, group_of
from monitor.detect.volume.level import advance, hear, mean, upper
from monitor.detect.volume.rows import ROW, Judged, Part
from monitor.detect.volume.settings import VolumeSettings
from monitor.detect.witness import Witness
from monitor.events import BUCKET_SECONDS, Bucket
from monitor.keys import ALL

GROUPS = "@groups"
"""Name under which what is known of the groups is stored; not a key."""
_CORE = len([s for s in SORTS if s in (ALL, "topic") or s.startswith("kind")])


class VolumeDetector:
    """See the module. Empty buckets count too: silence is evidence that a burst has ended.

    State per key: one row of 124 bytes; a step is vectorised over the keys that speak.
    """

    name = "volume"

    def __init__(self, settings: VolumeSettings | None = None) -> None:
        self._settings = settings or VolumeSettings()
        self._stepped = False
        self.restore(())

    @property
    def version(self) -> str:
        return f"volume-5/{digest(self._settings)}"

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
        named = 0
        readings: list[Reading] = []
        if spoken.keys:
            part = self._part(spoken, firing, blind)
            fresh = part.rows["at"] == 0
            judged = self._update(now, part, mask(part.keys, blind))
            readings = [
                self._reading(
                    now,
                    part,
                    i,
                    judged,
                    # The table and the groups are what they were before this bucket.
                    self._witness(start, part, i, judged, blind) if judged.alarm[i] else None,
                )
                for i in np.flatnonzero(judged.alarm | part.fires).tolist()
            ]
            self._groups.learn_names(now, part, fresh, judged)
            self._table.put(part.keys, part.places, part.rows)
            named = int(part.n[part.named].sum())
        self._groups.learn_rhythms(now, spoken, named, {*firing, *blind})
        self._stepped = True
        return readings

    def look(self, start: int, spoken: Spoken, firing: Collection[str]) -> list[Reading]:  # noqa: ARG002
        """Nothing: part of a bucket says little of how full it will be."""
        return []

    def again(self, witness: Witness) -> Reading:
        self.restore(witness.states.items())
        part = self._part(witness.touched(), witness.firing, witness.blind, witness.members())
        now = witness.start // BUCKET_SECONDS
        judged = self._update(now, part, mask(part.keys, witness.blind))
        return self._reading(now, part, part.keys.index(witness.key), judged)

    def recent(self, key: str, since: int, start: int) -> Recent:
        row = self._table.one(key)
        if row is None:
            return Recent(0, 0.0, 0.0)
        now = start // BUCKET_SECONDS
        first = max(since // BUCKET_SECONDS, now - LAG + 1)
        inside = slots(row["at"])[0] >= first
        n = int(row["lag"][0][inside].sum())
        code = self._table.codes(self._table.places([key]))
        course, prior = self._groups.seasons.course(), self._groups.prior(code >= _CORE)
        factor = float(course.between(group_of(code), np.array([first]), now + 1)[0])
        return Recent(n, float(n), float(mean(row, prior)[0]) * factor)

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
        return [*drained, (GROUPS, self._groups.state())]

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        by_key = dict(states)
        self._groups = Groups(self._settings, by_key.pop(GROUPS, None))
        self._table = KeyTable(ROW)
        self._table.restore(by_key.items())
        self._stepped = False

    def accept(self, key: str) -> None:
        row = self._table.one(key)
        if row is None:
            return
        code = self._table.codes(self._table.places([key]))
        at = int(row["at"][0])
        if code[0] >= _CORE:  # the last hour says little of who is spoken of ten times a day
            first, n = int(row["since"][0]), int(row["window_n"][0])
        else:
            first, n = at - LAG + 1, int(row["lag"].sum())
        if n > 0:  # when nothing was heard that is no new level
            course, begin = self._groups.seasons.course(), np.array([first])
            row["exposure"] = at - first + 1
            row["documents"] = n * row["exposure"] / course.between(group_of(code), begin, at + 1)
            row["negative"] = row["documents"] * row["window_negative"] / row["window_n"]
            row["young"] = row["young_exposure"] = row["young_negative"] = 0.0
            row["lag"] = 0
        row["u"] = row["cusum"] = 0.0
        self._table.put([key], self._table.places([key]), row)

    # ------------------------------------------------------------------ one bucket

    def _part(
        self,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str],
        shared: Ints | None = None,
    ) -> Part:
        keys, places = spoken.keys, self._table.places(spoken.keys)
        rows, codes = self._table.take(places), self._table.codes(places)
        frozen, fires = mask(keys, {*firing, *blind}), mask(keys, firing)
        return Part(
            keys=keys,
            places=places,
            rows=rows,
            codes=codes,
            named=codes >= _CORE,
            group=group_of(codes),
            n=spoken.n,
            x=spoken.negative,
            frozen=frozen,
            fires=fires,
            shared=shared,
        )

    def _update(self, now: int, part: Part, blind: NDArray[np.bool_]) -> Judged:
        s, groups, rows, named = self._settings, self._groups, part.rows, part.named
        course = groups.seasons.course()
        prior, excess = groups.prior(named), groups.excess(named)
        fresh = rows["at"] == 0
        if np.count_nonzero(fresh):
            rows["at"][fresh] = now - 1
            rows["born"][fresh] = now
            rows["exposure"][fresh & named] = groups.unheard
        at = rows["at"].astype(np.int64)
        renew(rows, part.fires)
        passed_factor = course.between(part.group, at + 1, now)
        # Between them are ``now - 1 - at`` buckets that were passed over.
        pass_over(part, now - 1 - at, upper(rows, prior) * passed_factor, excess, s)
        advance(part, now, course, s.decay, groups.pool.buckets)
        factor = course.at(part.group, now)
        level = upper(rows, prior)
        expected = level * factor
        null = Null(s.slack * expected, groups.echo(part), excess)

        age = now - rows["born"]
        warm_up = s.warm_up * DAY_BUCKETS
        warm = np.where(named, groups.pool.buckets, age) >= warm_up
        kept = warm & ~part.fires
        counted = kept & (part.n > 0)
        activity = np.minimum(level, 1.0) * DAY_BUCKETS
        shares = classes(part.codes >= NAMED, activity)
        members = census(shares, counted) if part.shared is None else part.shared
        granted = grants(s.budget, shares, counted, members)
        update_statistic(now, part, null, groups.negative_share, granted, kept, s)
        update_window(part, expected)
        hear(part, now, factor, blind)
        evidence = evidence_of(rows, named)
        alarm = (evidence >= 1.0) & counted
        usual = mean(rows, prior) * HOUR_BUCKETS
        return Judged(alarm, evidence, granted, expected, usual, members)

    def _witness(
        self,
        start: int,
        part: Part,
        i: int,
        judged: Judged,
        blind: Collection[str],
    ) -> Witness:
        key = part.keys[i]
        return Witness(
            key=key,
            start=start,
            early=False,
            states={**self._table.states([key]), GROUPS: self._groups.state()},
            spoken={key: (int(part.n[i]), int(part.x[i]))},
            firing=(),  # it alarms
            blind=(key,) if key in blind else (),
            shared=tuple(judged.shared.tolist()),
            settings=asdict(self._settings),
        )

    def _reading(
        self, now: int, part: Part, i: int, judged: Judged, witness: Witness | None = None
    ) -> Reading:
        row, threshold = part.rows[i], threshold_of(float(judged.granted[i]))
        hours = (now - int(row["since"]) + 1) / HOUR_BUCKETS
        return Reading(
            key=part.keys[i],
            alarm=bool(judged.alarm[i]),
            evalue=float(judged.evidence[i]) * threshold,
            threshold=threshold,
            bucket_documents=int(part.n[i]),
            observed=float(part.n[i]),
            upper=float(self._settings.slack * judged.expected[i]),
            value=int(row["window_n"]) / hours,
            baseline=float(row["window_expected"]) / hours,
            documents=int(row["window_n"]),
            negative=int(row["window_negative"]),
            since=int(row["since"]) * BUCKET_SECONDS,
            rate=float(judged.usual[i]),
            witness=witness,
        )
