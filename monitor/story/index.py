"""Finds the prints that may be copies of a print, in memory that does not grow.

A text's keys are a selection of its word 3-grams: of every few in a row the least by a hash that
prefers long words and figures (winnowing). Two texts with enough words in a row in common share a
key, wherever the words stand: that finds truncated copies and those under another headline, which
bands of a MinHash of whole texts do not. Long texts select more thinly than short ones, and what a
long one selects, a short one with the same words selects as well.

Source: Schleimer, Wilkerson, Aiken 2003, "Winnowing: local algorithms for document fingerprinting".
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from monitor.story.fingerprint import NAME, SHORT, WIDTH, Prints

KEYS: Final = 12
"""Keys of a text, at most: of a long one the first, since a copy repeats the beginning."""
DEPTH: Final = 8
"""Prints that one bucket holds: of a turn of phrase that more texts share, the newest."""

Keys = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.intp]

_GRAM: Final = 3
_WINDOWS: Final = ((12, 1), (24, 3), (48, 5), (WIDTH, 8))
"""Up to this many 3-grams in a text: the least of that many in a row."""
_TAG_BITS: Final = 10
MOST: Final = (1 << (32 - _TAG_BITS)) - 1
"""Rows that an index can number."""


def keys_of(found: Prints) -> Keys:
    """The keys of each print [n, KEYS], 0 behind the last; none for fewer words than a 3-gram."""
    order = _order(found)
    grams = np.maximum(found.sizes - _GRAM + 1, 0)
    keys = np.zeros((len(order), KEYS), np.uint32)
    least = 0
    for most, window in _WINDOWS:
        rows = np.flatnonzero((grams > least) & (grams <= most))
        if len(rows):
            keys[rows] = _selected(order[rows, :most], grams[rows], window)
        least = most
    return keys


def _order(found: Prints) -> Keys:
    """Of each 3-gram [n, WIDTH - 2] a hash whose top bits count its short words."""
    words = (found.words & np.uint16(~NAME & 0xFFFF)).astype(np.uint32)
    short = (found.words & SHORT) != 0
    count = width = words.shape[1] - _GRAM + 1
    hashed = np.zeros((len(words), width), np.uint32)
    count = np.zeros((len(words), width), np.uint32)
    for place in range(_GRAM):
        hashed = (hashed ^ words[:, place : place + width]) * np.uint32(0x9E3779B1)
        hashed ^= hashed >> np.uint32(15)
        count += short[:, place : place + width]
    hashed *= np.uint32(0x85EBCA77)
    return count << np.uint32(30) | hashed >> np.uint32(2) | np.uint32(1)


def _selected(order: Keys, grams: Rows, window: int) -> Keys:
    width = order.shape[1]
    behind = np.arange(width) >= grams[:, None]
    order = np.where(behind, np.uint32(0xFFFFFFFF), order)
    least = order
    reach = 1
    while reach < window:  # doubling: the least of `reach` in a row
        step = min(reach, window - reach)
        if least.shape[1] <= step:
            break
        least = np.minimum(least[:, :-step], least[:, step:])
        reach += step
    # A text always has more 3-grams than its window is wide: those that end behind it are no windows.
    whole = np.arange(least.shape[1]) <= (grams - reach)[:, None]
    new = whole.copy()
    new[:, 1:] &= least[:, 1:] != least[:, :-1]
    rank = np.cumsum(new, axis=1) - 1
    row, place = np.nonzero(new & (rank < KEYS))
    keys = np.zeros((len(order), KEYS), np.uint32)
    keys[row, rank[row, place]] = least[row, place]
    return keys


class Index:
    """Buckets of rows by key, each a ring of `DEPTH` places."""

    def __init__(self, rows: int) -> None:
        """For up to ``rows`` rows, at most `MOST`; takes 128 bytes for each, once they are used."""
        if not 0 < rows <= MOST:
            raise ValueError(f"an index of {rows:,} rows: at least 1 and at most {MOST:,}")
        # A quarter to a half of the places in use when every row has all its keys.
        self._bits = max(6, int(np.ceil(np.log2(rows * KEYS / (DEPTH / 2)))))
        self._places = np.zeros((1 << self._bits, DEPTH), np.uint32)  # row + 1 and tag of the key
        self._turn = np.zeros(1 << self._bits, np.uint8)

    def add(self, keys: Keys, rows: Rows) -> None:
        """Enter rows [n] under their keys [n, KEYS]."""
        owner, place = np.nonzero(keys)
        bucket, tag = self._split(keys[owner, place])
        order = np.argsort(bucket, kind="stable")
        bucket = bucket[order]
        entry = ((rows[owner] + 1).astype(np.uint32) << np.uint32(_TAG_BITS) | tag)[order]
        begins = np.flatnonzero(np.diff(bucket, prepend=-1))
        sizes = np.diff(begins, append=len(bucket))
        rank = np.arange(len(bucket)) - np.repeat(begins, sizes)
        last = rank >= np.repeat(sizes, sizes) - DEPTH  # of more, the last ones stay
        turn = (self._turn[bucket] + rank) % DEPTH
        self._places[bucket[last], turn[last]] = entry[last]
        self._turn[bucket[begins]] = (self._turn[bucket[begins]] + sizes) % DEPTH

    def remove(self, keys: Keys, rows: Rows) -> None:
        """Take out rows [n] that were entered under these keys [n, KEYS]."""
        owner, place = np.nonzero(keys)
        bucket, tag = self._split(keys[owner, place])
        entry = (rows[owner] + 1).astype(np.uint32) << np.uint32(_TAG_BITS) | tag
        held, turn = np.nonzero(self._places[bucket] == entry[:, None])
        self._places[bucket[held], turn] = 0

    def near(self, keys: Keys) -> tuple[Rows, Rows]:
        """Candidates for n rows of keys: the row of keys and the row entered, each pair once."""
        owner, place = np.nonzero(keys)
        bucket, tag = self._split(keys[owner, place])
        held = self._places[bucket]  # [keys, DEPTH]
        hit, turn = np.nonzero((held & np.uint32((1 << _TAG_BITS) - 1)) == tag[:, None])
        row = (held[hit, turn] >> np.uint32(_TAG_BITS)).astype(np.int64) - 1  # -1: a free place
        some = row >= 0
        pair = np.unique(owner[hit[some]].astype(np.int64) << 32 | row[some])
        return pair >> 32, pair & 0xFFFFFFFF

    def _split(self, keys: Keys) -> tuple[Rows, Keys]:
        mixed = keys * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(16)
        mixed *= np.uint32(0x85EBCA6B)
        bucket = (mixed >> np.uint32(32 - self._bits)).astype(np.intp)
        return bucket, keys & np.uint32((1 << _TAG_BITS) - 1)
