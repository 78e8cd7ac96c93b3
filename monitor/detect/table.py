"""Detector state of many keys as one structured array, one fixed-size row a key."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import BUCKET_SECONDS, Sums
from monitor.keys import sort_of

Ints = NDArray[np.int64]

DAY_BUCKETS = 86_400 // BUCKET_SECONDS
HOUR_BUCKETS = 3600 // BUCKET_SECONDS
LAG = HOUR_BUCKETS
"""Buckets by which a baseline follows, so that it does not learn the beginning of a spike."""
_BACK = (np.arange(LAG)[:, np.newaxis] - np.arange(LAG)) % LAG  # from a slot back to another

SORTS = ("all", "kind:news", "kind:comment", "topic", "watch", "company", "name", "pair", "other")
"""Sorts of keys as the detectors tell them apart."""
POOL = len(SORTS)
"""Code of a row that holds the sums of a whole sort; its name begins with an at sign."""
_CODE = {sort: code for code, sort in enumerate(SORTS)}
NAMED = _CODE["company"]
"""The sorts from here on are those of which there may be any number."""


def decay_of(half_life: float) -> float:
    """What a bucket leaves of what is halved in so many days."""
    decay: float = 0.5 ** (1.0 / (half_life * DAY_BUCKETS))
    return decay


def code_of(key: str) -> int:
    """Index into ``SORTS``, or ``POOL``."""
    if key.startswith("@"):
        return POOL
    code = _CODE.get(key)
    return _CODE[sort_of(key)] if code is None else code


class KeyTable:
    """Rows of a structured dtype by key. Knows which changed, so that only these are written."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        # NumPy moves rows as bytes many times faster than field by field.
        self._bytes = np.dtype((np.void, dtype.itemsize))
        self.edition = 0
        """Another one after every change of a row, and for every new one."""
        self.restore(())

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        """Forget everything and start from these rows."""
        stored = list(states)
        size = max(64, len(stored))
        self.index: dict[str, int] = {key: i for i, (key, _) in enumerate(stored)}
        self._rows = np.zeros(size, dtype=self._dtype)
        self._codes = np.zeros(size, dtype=np.int8)
        self._free = list(range(size - 1, len(stored) - 1, -1))
        if stored:
            joined = b"".join(state for _, state in stored)
            self._rows[: len(stored)] = np.frombuffer(joined, dtype=self._dtype)
            self._codes[: len(stored)] = [code_of(key) for key, _ in stored]
        self._changed: set[str] = set()
        self._forgotten: set[str] = set()
        self.edition += 1

    def places(self, keys: Sequence[str]) -> Ints:
        """Where the rows of these keys are, int64 [keys]; those that are new get one of zeros."""
        index = self.index
        found = [index.get(key, -1) for key in keys]
        if -1 in found:
            found = [self._add(key) if at < 0 else at for key, at in zip(keys, found, strict=True)]
        return np.fromiter(found, np.int64, len(found))

    def take(self, places: Ints) -> NDArray[Any]:
        """A copy of the rows at these places."""
        return np.frombuffer(self._rows.view(self._bytes)[places], self._dtype)

    def put(self, keys: Sequence[str], places: Ints, rows: NDArray[Any]) -> None:
        """Write rows back."""
        self._rows.view(self._bytes)[places] = rows.view(self._bytes)
        self._changed.update(keys)
        self.edition += 1

    def codes(self, places: Ints) -> NDArray[np.int8]:
        """Their sorts, as indexes into ``SORTS``, or ``POOL``."""
        return self._codes[places]

    def one(self, key: str) -> NDArray[Any] | None:
        """A copy of one row, as an array of one; None: the key is not known."""
        place = self.index.get(key)
        return None if place is None else self.take(np.array([place]))

    def states(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The rows of those of these keys that are known, as they are drained."""
        known = {key: self.one(key) for key in keys}
        return {key: row.tobytes() for key, row in known.items() if row is not None}

    def column(self, field: str) -> NDArray[Any]:
        """One field of all rows, in the order of ``index``."""
        return self._rows[field][np.fromiter(self.index.values(), np.int64, len(self.index))]

    def forget(self, keys: Iterable[str]) -> None:
        """Free the rows of these keys."""
        for key in keys:
            place = self.index.pop(key, None)
            if place is not None:
                self._rows[place] = np.zeros((), dtype=self._dtype)
                self._free.append(place)
                self._changed.discard(key)
                self._forgotten.add(key)
                self.edition += 1

    def drain(self) -> list[tuple[str, bytes]]:
        """(key, row) of those that changed since the last drain; an empty row: forgotten."""
        keys = sorted(self._changed)
        joined = self._rows[[self.index[key] for key in keys]].tobytes() if keys else b""
        size = self._dtype.itemsize
        drained = [(key, joined[i * size : (i + 1) * size]) for i, key in enumerate(keys)]
        drained += [(key, b"") for key in sorted(self._forgotten)]
        self._changed.clear()
        self._forgotten.clear()
        return drained

    def _add(self, key: str) -> int:
        if not self._free:
            size = len(self._rows)
            self._rows = np.concatenate((self._rows, np.zeros(size, dtype=self._dtype)))
            self._codes = np.concatenate((self._codes, np.zeros(size, dtype=np.int8)))
            self._free = list(range(2 * size - 1, size - 1, -1))
        place = self.index[key] = self._free.pop()
        self._codes[place] = code_of(key)
        self._forgotten.discard(key)
        self.edition += 1
        return place


@dataclass(frozen=True, slots=True)
class Spoken:
    """The keys that spoke in one bucket, sorted: sums of floats must not depend on who came first.

    ``n`` and ``negative`` are their voices and negative voices, int64 [keys].
    """

    keys: list[str]
    n: Ints
    negative: Ints

    @classmethod
    def of(cls, sums: Mapping[str, Sums]) -> Spoken:
        """Those with a voice."""
        keys = sorted([key for key, s in sums.items() if s.n > 0])
        there = [sums[key] for key in keys]
        return cls(
            keys,
            np.fromiter([s.n for s in there], np.int64, len(keys)),
            np.fromiter([s.negative for s in there], np.int64, len(keys)),
        )

    def beside(self, silent: Iterable[str]) -> Spoken:
        """With these, too, although they may have said nothing."""
        more = set(silent).difference(self.keys)
        if not more:
            return self
        keys = sorted([*self.keys, *more])
        spoke = ~mask(keys, more)
        n, negative = np.zeros((2, len(keys)), dtype=np.int64)
        n[spoke], negative[spoke] = self.n, self.negative
        return Spoken(keys, n, negative)

    def only(self, among: Collection[str]) -> Spoken:
        """Without all others."""
        here = np.flatnonzero(mask(self.keys, among))
        return Spoken([self.keys[i] for i in here], self.n[here], self.negative[here])

    def voices(self, key: str) -> int:
        """Of one key."""
        i = bisect_left(self.keys, key)
        return int(self.n[i]) if i < len(self.keys) and self.keys[i] == key else 0


def mask(keys: Sequence[str], among: Iterable[str]) -> NDArray[np.bool_]:
    """Which of the keys, sorted, are ``among`` these: bool [keys]."""
    found = np.zeros(len(keys), dtype=bool)
    for key in among:
        i = bisect_left(keys, key)
        if i < len(keys) and keys[i] == key:
            found[i] = True
    return found


def slots(at: Ints) -> Ints:
    """Number of the bucket in each slot of the last hour of rows that were advanced to ``at``,
    [keys, LAG]: a bucket lies in the slot of its number modulo `LAG`."""
    found: Ints = at[:, np.newaxis] - _BACK[at % LAG]
    return found


def left(lag: Ints, bucket: Ints, now: int) -> tuple[Ints, Ints]:
    """Where ``lag``, [keys, LAG] with the numbers of its buckets, holds something that is an hour
    old: slots and rows, by slot and then by row, since sums of floats have an order."""
    leaving = (lag > 0) & (bucket <= now - LAG)
    return np.divmod(leaving.T.ravel().nonzero()[0], len(lag))


def digest(settings: object) -> str:
    """Short hash of a detector's parameters: part of its version."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
