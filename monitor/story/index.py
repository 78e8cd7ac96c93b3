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

from monitor.story.fingerprint import NAME, SHORT, WIDTH, Prints, Words

KEYS: Final = 16
"""Keys of a text, at most: of a long one the first, since a copy repeats the beginning."""
DEPTH: Final = 8
"""Prints that one bucket holds: of a turn of phrase that more texts share, the newest."""

Keys = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.intp]

_GRAM: Final = 3
_WINDOWS: Final = ((16, 1), (32, 3), (64, 5), (WIDTH, 8))
"""Up to this many 3-grams in a text: the least of that many in a row."""
_LONG: Final = 16
_TAG_BITS: Final = 10
MOST: Final = (1 << (32 - _TAG_BITS)) - 1
"""Rows that an index can number."""


def keys_of(found: Prints) -> Keys:
    """The keys of each print [n, KEYS], 0 behind the last; none for fewer words than a 3-gram."""
    grams = np.maximum(found.sizes - _GRAM + 1, 0)
    keys = np.zeros((len(grams), KEYS), np.uint32)
    least = 0
    for most, window in _WINDOWS:
        rows = np.flatnonzero((grams > least) & (grams <= most))
        if len(rows):
            words = found.words[rows, : most + _GRAM - 1]
            keys[rows] = _selected(_order(words), grams[rows], window)
        least = most
    return keys


def _order(words: Words) -> Keys:
    """Of each 3-gram [n, words - 2] a hash whose top bits count its short words."""
    plain = (words & np.uint16(0xFFFF & ~NAME)).astype(np.uint32)
    short = ((words & np.uint16(SHORT)) != 0).view(np.uint8)
    width = words.shape[1] - _GRAM + 1
    hashed = plain[:, :width] * np.uint32(0x9E3779B1)
    count = short[:, :width].copy()
    for place in range(1, _GRAM):
        hashed ^= hashed >> np.uint32(15)
        hashed ^= plain[:, place : place + width]
        hashed *= np.uint32(0x9E3779B1)
        count += short[:, place : place + width]
    hashed ^= hashed >> np.uint32(15)
    hashed *= np.uint32(0x85EBCA77)
    hashed >>= np.uint32(2)
    hashed |= count.astype(np.uint32) << np.uint32(30)
    hashed |= np.uint32(1)
    return hashed


def _selected(order: Keys, grams: Rows, window: int) -> Keys:
    """Of each text the least of every ``window`` in a row, in the order of the text."""
    order[np.arange(order.shape[1]) >= grams[:, None]] = 0xFFFFFFFF
    least = order
    reach = 1
    while reach < window:  # the least of `reach` in a row
        step = min(reach, window - reach)
        least = np.minimum(least[:, :-step], least[:, step:])
        reach += step
    # A text has more 3-grams than its window is wide: windows that end behind it are none.
    new = np.arange(least.shape[1]) <= (grams - reach)[:, None]
    new[:, 1:] &= least[:, 1:] != least[:, :-1]
    row, place = np.nonzero(new)
    begins = np.searchsorted(row, np.arange(len(order)))
    rank = np.arange(len(row)) - begins[row]
    kept = rank < KEYS
    row, place, rank = row[kept], place[kept], rank[kept]
    keys = np.zeros((len(order), KEYS), np.uint32)
    keys[row, rank] = least[row, place]
    return keys


def enough(shared: Rows, sizes: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Whether so many shared keys make a comparison worth while, for texts of so many words [p].

    One key is enough where a text is short, or much shorter than the other; of two long ones that
    share one, a turn of phrase is all they share.
    """
    shorter = np.minimum(sizes, others)
    return (shared > 1) | (shorter < _LONG) | (2 * shorter < np.maximum(sizes, others))


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

    def near(self, keys: Keys) -> tuple[Rows, Rows, Rows]:
        """Candidates for n rows of keys: the row of keys and the row entered, each pair once, and
        how many keys they share."""
        owner, place = np.nonzero(keys)
        bucket, tag = self._split(keys[owner, place])
        held = self._places[bucket]  # [keys, DEPTH]
        hit, turn = np.nonzero((held & np.uint32((1 << _TAG_BITS) - 1)) == tag[:, None])
        row = (held[hit, turn] >> np.uint32(_TAG_BITS)).astype(np.int64) - 1  # -1: a free place
        some = row >= 0
        pairs = np.sort(owner[hit[some]].astype(np.int64) << 32 | row[some])
        new = np.flatnonzero(np.diff(pairs, prepend=-1))
        shared = np.diff(new, append=len(pairs))
        pairs = pairs[new]
        return pairs >> 32, pairs & 0xFFFFFFFF, shared

    def _split(self, keys: Keys) -> tuple[Rows, Keys]:
        mixed = keys * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(16)
        mixed *= np.uint32(0x85EBCA6B)
        bucket = (mixed >> np.uint32(32 - self._bits)).astype(np.intp)
        return bucket, keys & np.uint32((1 << _TAG_BITS) - 1)
