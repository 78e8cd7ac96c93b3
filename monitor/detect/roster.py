"""Which names are followed one by one, when there are more of them than there is room.

Frequent items in the manner of Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient
computation of frequent and top-k elements in data streams", ICDT 2005), with counters that fade:
who has the smallest counter gives up the place. A newcomer must outweigh it with one bucket alone,
else it is counted under ``other:<sort>``; it does not inherit the counter, because its baselines
begin anew with it. Decided once a bucket and in the order of the keys, so that the order in which
documents came does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import DAY_BUCKETS
from monitor.detect.table import KeyTable, Spoken
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
        speaking = sorted(k for k, s in sums.items() if s.n > 0 and is_capped(k))
        weight = start // BUCKET_SECONDS * self._pace
        known = [key for key in speaking if key in self._table.index]
        self._count(known, sums, weight)
        new = [key for key in speaking if key not in self._table.index]
        room = self._capacity - len(self._table.index)
        gone: list[str] = []
        if len(new) > room:
            new.sort(key=lambda key: (-sums[key].n, key))
            wanting, new = new[room:], new[:room]
            gone = self._weakest(len(wanting), {*speaking, *keep})
            strength = self._scores(gone)
            places = [
                key
                for key, weak in zip(wanting, strength, strict=False)
                if np.log2(sums[key].n) + weight > weak
            ]
            gone = gone[: len(places)]
            self._table.forget(gone)
            new += places
        self._count(sorted(new), sums, weight)
        outside = [key for key in speaking if key not in self._table.index]
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
        n = np.array([sums[key].n for key in keys], dtype=np.float64)
        added = np.log2(n) + weight
        fresh = rows["score"] == 0.0
        rows["score"] = np.where(fresh, added, np.logaddexp2(rows["score"], added))
        self._table.put(keys, places, rows)

    def _weakest(self, number: int, kept: Collection[str]) -> list[str]:
        """The keys with the smallest counters, the smallest first."""
        keys = np.array(list(self._table.index), dtype=object)
        order = np.lexsort((keys.astype(str), self._table.column("score")))
        found: list[str] = []
        for key in keys[order]:
            if len(found) == number:
                break
            if key not in kept:
                found.append(str(key))
        return found

    def _scores(self, keys: list[str]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self._table.take(self._table.places(keys))["score"]
        return scores

    def _seen(self, sums: dict[str, Sums], outside: list[str]) -> Spoken:
        if not outside:
            return Spoken.of(sums)
        left = set(outside)
        seen = {key: of for key, of in sums.items() if key not in left}
        for key in outside:
            seen.setdefault(other_key(key.partition(":")[0]), Sums()).add(sums[key])
        return Spoken.of(seen)
