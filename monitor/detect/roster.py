"""Which names are followed one by one, when there are more of them than there is room.

Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements
in data streams", ICDT 2005) with counters that fade: a newcomer takes the place of the smallest
counter and inherits it, so that whoever speaks more than 1 / capacity of all has a place. In the
bucket in which it comes it is counted under ``other:<sort>``, unless that bucket alone outweighs
the counter that it displaces. Its baselines begin anew. Decided once a bucket and in the order of
the keys, so that the order in which documents came does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from monitor.detect.table import DAY_BUCKETS, KeyTable, Spoken
from monitor.events import BUCKET_SECONDS, Bucket, Sums
from monitor.keys import is_capped, other_key

NAME = "roster"
VERSION = "roster-1"

# log2 of the voices, each weighed 2^(bucket / half-life): a counter that fades without being
# touched keeps its place in the order of all of them.
_ROW = np.dtype([("score", "f8")])


class Roster:
    """At most ``capacity`` companies, names and pairs together; 8 bytes each."""

    def __init__(self, capacity: int = 100_000, half_life: float = 7.0) -> None:
        """``half_life`` of a counter in days."""
        self._capacity = capacity
        self._pace = 1.0 / (half_life * DAY_BUCKETS)
        self._table = KeyTable(_ROW)

    def admit(
        self, start: int, sums: dict[str, Sums], keep: Collection[str] = ()
    ) -> tuple[Spoken, list[str]]:
        """What the detectors are to see of the bucket at ``start``, and whom they are to forget.

        Those in ``keep`` never give up their places.
        """
        known, spoken = self._table.index, Spoken.of(sums)
        speaking = [k for k in spoken.keys if k in known or is_capped(k)]
        weight = start // BUCKET_SECONDS * self._pace
        if len(known) + len(speaking) <= self._capacity:
            self._count(speaking, sums, weight)
            return spoken, []
        new = [key for key in speaking if key not in known]
        self._count([key for key in speaking if key in known], sums, weight)
        room = max(self._capacity - len(known), 0)
        new.sort(key=lambda key: (-sums[key].n, key))
        self._count(sorted(new[:room]), sums, weight)
        wanting = new[room:]
        weakest = self._weakest(len(wanting), {*speaking, *keep}) if wanting else []
        outside = wanting[len(weakest) :]
        gone = [key for key, _ in weakest]
        self._table.forget(gone)
        for key, (_, score) in zip(wanting, weakest, strict=False):
            if np.log2(sums[key].n) + weight <= score:
                outside.append(key)
            self._put(key, float(np.logaddexp2(score, np.log2(sums[key].n) + weight)))
        return self._seen(sums, outside), gone

    def count(self, past: Iterable[Bucket]) -> list[Bucket]:
        """Those of known history that are followed, or for whom there is room."""
        found = []
        for bucket in sorted(past, key=lambda b: (b.key, b.start)):
            if not is_capped(bucket.key) or bucket.key in self._table.index:
                found.append(bucket)
            elif len(self._table.index) < self._capacity and bucket.n > 0:
                self._count([bucket.key], {bucket.key: Sums(bucket.n)}, self._pace * bucket.start
                            / BUCKET_SECONDS)  # fmt: skip
                found.append(bucket)
        return found

    def drain(self) -> list[tuple[str, bytes]]:
        """(key, counter) of those that changed; empty: gone."""
        return self._table.drain()

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        """Go on from these."""
        self._table.restore(states)

    @property
    def followed(self) -> int:
        """How many there are."""
        return len(self._table.index)

    def _count(self, keys: list[str], sums: dict[str, Sums], weight: float) -> None:
        if not keys:
            return
        places = self._table.places(keys)
        rows = self._table.take(places)
        n = np.fromiter([sums[key].n for key in keys], np.float64, len(keys))
        added = np.log2(n) + weight
        fresh = rows["score"] == 0.0
        rows["score"] = np.where(fresh, added, np.logaddexp2(rows["score"], added))
        self._table.put(keys, places, rows)

    def _put(self, key: str, score: float) -> None:
        places = self._table.places([key])
        rows = self._table.take(places)
        rows["score"] = score
        self._table.put([key], places, rows)

    def _weakest(self, number: int, kept: Collection[str]) -> list[tuple[str, float]]:
        """The keys with the smallest counters, and these, the smallest first."""
        keys, scores = list(self._table.index), self._table.column("score")
        # Of equal counters the first by name; ties at the end are few, and all of them compete.
        enough = min(number + len(kept), len(keys)) - 1
        limit = np.partition(scores, enough)[enough]
        weak = sorted((float(scores[i]), keys[i]) for i in np.flatnonzero(scores <= limit))
        return [(key, score) for score, key in weak if key not in kept][:number]

    def _seen(self, sums: dict[str, Sums], outside: list[str]) -> Spoken:
        if not outside:
            return Spoken.of(sums)
        left = set(outside)
        seen = {key: of for key, of in sums.items() if key not in left}
        for key in outside:
            seen.setdefault(other_key(key.partition(":")[0]), Sums()).add(sums[key])
        return Spoken.of(seen)
