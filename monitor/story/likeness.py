"""Whether one text is a copy of another, for many pairs of prints at once: pure.

A copy is contained in its original, or contains it: cut short, with a longer end, under another
headline, with some words edited. So what counts is how much of either text the other has, where
figures and names weigh more than other words: texts that fill one form differ in just these. And
the words must stand in the same order, at least by twos.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from monitor.story.fingerprint import FIGURE, NAME, SHORT, Prints, Words

LEAST: Final = 3
"""Words below which a text is nobody's copy: whoever says "buy the dip" says it for himself."""
CONTAINED: Final = 0.8
"""Weighted share of the words of one text that the other has, from which they are copies …"""
IN_ORDER: Final = 0.4
"""… if this share of the pairs of neighbours is the same too."""

_FIGURE, _NAME, _WORD, _SHORT = 3.0, 2.0, 1.0, 0.5
_PAIRS: Final = 512  # compared at a time

Rows = npt.NDArray[np.intp]
Shares = npt.NDArray[np.float32]


def copies(found: Prints, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
    """Of pairs of rows of ``found`` [p], which are copies of one another [p]."""
    alike = np.zeros(len(left), bool)
    # Those of like length together: short ones are compared over few columns.
    order = np.argsort(np.maximum(found.sizes[left], found.sizes[right]), kind="stable")
    for start in range(0, len(order), _PAIRS):
        part = order[start : start + _PAIRS]
        one, other = left[part], right[part]
        width = int(max(found.sizes[one].max(), found.sizes[other].max(), 1))
        alike[part] = _copies(found.words[one, :width], found.words[other, :width])
    return alike


def _copies(left: Words, right: Words) -> npt.NDArray[np.bool_]:
    alike = contained(left, right) >= CONTAINED
    which = np.flatnonzero(alike)
    alike[which] = in_order(left[which], right[which]) >= IN_ORDER
    return alike


def contained(left: Words, right: Words) -> Shares:
    """The larger of the weighted shares of either text's words that the other has [p]."""
    one, other = _plain(left), _plain(right)
    shares = []
    for words, mine, theirs in ((left, one, other), (right, other, one)):
        has = np.zeros(mine.shape, bool)
        for column in range(theirs.shape[1]):
            has |= mine == theirs[:, column : column + 1]
        weights = _weights(words)
        shares.append((weights * has).sum(axis=1) / np.maximum(weights.sum(axis=1), _SHORT))
    return np.maximum(*shares)


def in_order(left: Words, right: Words) -> Shares:
    """The share of the different pairs of neighbours of the text with fewer that both have [p]."""
    pairs = np.concatenate([_neighbours(left) << 1, _neighbours(right) << 1 | 1], axis=1)
    pairs.sort(axis=1)
    side, pair = (pairs & 1).astype(bool), pairs >> 1
    new = np.ones(pairs.shape, bool)
    new[:, 1:] = pairs[:, 1:] != pairs[:, :-1]
    new &= pair > 0
    # Sorted, a pair of both comes once as a step from the left's to the right's.
    both = (new[:, 1:] & (pair[:, 1:] == pair[:, :-1])).sum(axis=1)
    fewer = np.minimum((new & ~side).sum(axis=1), (new & side).sum(axis=1))
    return (both / np.maximum(fewer, 1)).astype(np.float32)


def _plain(words: Words) -> Words:
    """Without what depends on how a word is written."""
    return words & np.uint16(0xFFFF & ~NAME)


def _weights(words: Words) -> Shares:
    weights = np.where(words & SHORT, np.float32(_SHORT), np.float32(_WORD))
    weights[(words & NAME) != 0] = _NAME
    weights[(words & FIGURE) != 0] = _FIGURE
    weights[words == 0] = 0
    return weights


def _neighbours(words: Words) -> npt.NDArray[np.uint64]:
    """Pairs of neighbours as numbers below 2**32; 0 behind the last."""
    plain = _plain(words).astype(np.uint64)
    return np.where(plain[:, 1:] > 0, plain[:, :-1] << np.uint64(16) | plain[:, 1:], 0)
