"""Detector state of many keys as one structured array, one fixed-size row a key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import Sums


class KeyTable:
    """Rows of a structured dtype by key; rows are added as keys appear and never move."""

    def __init__(self, dtype: np.dtype[Any], keys: Iterable[str], initial: NDArray[Any]) -> None:
        self._dtype = dtype
        self._initial = initial
        self._first = tuple(keys)
        self.index: dict[str, int] = {}
        self.keys: list[str] = []
        self.rows: NDArray[Any] = np.empty(0, dtype=dtype)
        self.restore(())

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        """Start from these rows; the keys known beforehand are there in any case."""
        stored = {k: np.frombuffer(b, dtype=self._dtype)[0] for k, b in states}
        self.keys = list(dict.fromkeys((*self._first, *stored)))
        self.index = {key: i for i, key in enumerate(self.keys)}
        self.rows = np.empty(len(self.keys), dtype=self._dtype)
        self.rows[:] = self._initial
        for key, row in stored.items():
            self.rows[self.index[key]] = row

    def dump(self) -> list[tuple[str, bytes]]:
        """(key, row) of every key."""
        return [(key, self.rows[i].tobytes()) for key, i in self.index.items()]

    def mask(self, keys: Iterable[str]) -> NDArray[np.bool_]:
        """Which rows belong to these keys, bool [keys]; keys without a row are left out."""
        found = np.zeros(len(self.keys), dtype=bool)
        if known := [self.index[key] for key in keys if key in self.index]:
            found[known] = True
        return found

    def add(self, keys: Iterable[str]) -> None:
        """Give those of them that are new a row."""
        new = [key for key in dict.fromkeys(keys) if key not in self.index]
        if new:
            rows = np.empty(len(self.keys) + len(new), dtype=self._dtype)
            rows[: len(self.keys)] = self.rows
            rows[len(self.keys) :] = self._initial
            self.rows = rows
            for key in new:
                self.index[key] = len(self.keys)
                self.keys.append(key)

    def counts(self, sums: Mapping[str, Sums]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Voices and negative voices of one bucket, int64 [keys]; new keys get a row."""
        self.add(sums)
        n = np.zeros(len(self.keys), dtype=np.int64)
        negative = np.zeros(len(self.keys), dtype=np.int64)
        for key, s in sums.items():
            i = self.index[key]
            n[i] = s.n
            negative[i] = s.negative
        return n, negative


def digest(settings: object) -> str:
    """Short hash of a detector's parameters: part of its version."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
