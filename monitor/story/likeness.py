"""Whether one text is a copy of another, for many pairs of prints at once: pure.

A copy is contained in its original, or contains it: cut short, with a longer end, under another
headline, with some words edited. So what counts is how much of either text the other has, where
figures and names weigh more than other words: texts that fill one form differ in just these. And
the words must stand in the same order, at least by twos.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from monitor.story.fingerprint import FIGURE, NAME, SHORT, Prints, Words
from monitor.story.opposites import NEGATION_COUNT, sides

LEAST: Final = 3
"""Words below which a text is nobody's copy: whoever says "buy the dip" says it for himself."""
CONTAINED: Final = 0.845
"""Weighted share of the words of one text that the other has, from which they are copies …"""
IN_ORDER: Final = 0.6
"""… if this share of the pairs of neighbours is the same too …"""
CITED: Final = 0.8
"""… or this, where one has more than twice the words: some words of a long text are in any short
one on its subject …"""
BRIEF: Final = 8
"""… and, of fewer words than this, at the beginning: a headline alone, not a phrase in passing."""

_FIGURE, _NAME, _WORD, _SHORT = 3.0, 2.0, 1.0, 0.5
_HASH: Final = 0x1FFF
_LEAD: Final = 4  # words that may stand in front of a headline
_PAIRS: Final = 256  # compared at a time, at least: …
_CELLS: Final = 1 << 14  # … of short texts as many as have so many words, which stay in the cache

Rows = npt.NDArray[np.intp]
Shares = npt.NDArray[np.float32]


def copies(found: Prints, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
    """Of pairs of rows of ``found`` [p], which are copies of one another [p]."""
    alike = np.zeros(len(left), bool)
    swap = found.sizes[left] < found.sizes[right]
    longer, shorter = np.where(swap, right, left), np.where(swap, left, right)
    # Those of like length together: short ones are compared over few columns.
    order = np.lexsort((found.sizes[longer], found.sizes[shorter]))
    widths = found.sizes[longer[order]]
    start = 0
    while start < len(order):
        cells = np.maximum.accumulate(widths[start : start + _CELLS])
        cells *= np.arange(1, len(cells) + 1)
        end = start + max(_PAIRS, int(np.searchsorted(cells, _CELLS, "right")))
        part = order[start:end]
        start = end
        one, other = longer[part], shorter[part]
        width, narrow = int(found.sizes[one].max()), int(found.sizes[other].max())
        alike[part] = _copies(found.words[one, :width], found.words[other, :narrow])
    return alike


def _copies(longer: Words, shorter: Words) -> npt.NDArray[np.bool_]:
    alike = contained(longer, shorter) >= CONTAINED
    which = np.flatnonzero(alike)
    if not len(which):
        return alike
    longer, shorter = longer[which], shorter[which]
    more, fewer = (np.count_nonzero(words, axis=1) for words in (longer, shorter))
    order = in_order(longer, shorter)
    brief = np.flatnonzero(fewer < BRIEF)
    if len(brief):
        order[brief] = in_order(longer[brief, : BRIEF + _LEAD], shorter[brief])
    enough = np.where(more > 2 * fewer, CITED, IN_ORDER)
    alike[which] = (order >= enough) & ~opposed(longer, shorter)
    return alike


def contained(left: Words, right: Words) -> Shares:
    """The larger of the weighted shares of either text's words that the other has [p]."""
    # Word by word of all pairs at once: numpy reduces along the last axis one pair at a time.
    left, right = np.ascontiguousarray(left.T), np.ascontiguousarray(right.T)
    one, other = _plain(left), _plain(right)
    left_has = np.zeros(one.shape, bool)
    right_has = np.zeros(other.shape, bool)
    same = np.empty(one.shape, bool)
    for word, has in zip(other, right_has, strict=True):
        np.equal(one, word, out=same)
        left_has |= same
        np.logical_or.reduce(same, axis=0, out=has)
    larger: Shares = np.maximum(_share(left, left_has), _share(right, right_has))
    return larger


def _share(words: Words, has: npt.NDArray[np.bool_]) -> Shares:
    """The weighted share of the words [w, p] that the other has [p]."""
    weights = _weights(words)
    total = np.maximum(np.add.reduce(weights, axis=0), np.float32(_SHORT))
    weights *= has
    share: Shares = np.add.reduce(weights, axis=0) / total
    return share


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
    share: Shares = (both / np.maximum(fewer, 1)).astype(np.float32)
    return share


def opposed(left: Words, right: Words) -> npt.NDArray[np.bool_]:
    """Whether one text says the opposite of the other [p]: one has a word and the other has none of
    its side but one of the opposite side, or one has a "not" where the other has none."""
    found = np.zeros(len(left), bool)
    left_turns, right_turns = _turns(left), _turns(right)
    which = np.flatnonzero(left_turns.any(axis=1) | right_turns.any(axis=1))
    if not len(which):
        return found
    left, right = left[which], right[which]
    left_turns, right_turns = left_turns[which], right_turns[which]
    left_first, left_second = _sides_of(left, left_turns)
    right_first, right_second = _sides_of(right, right_turns)
    turned = (left_first & ~right_first & right_second & ~left_second) | (
        right_first & ~left_first & left_second & ~right_second
    )
    negated = _negated(left, left_turns, right) | _negated(right, right_turns, left)
    found[which] = (turned > 0) | negated
    return found


def _turns(words: Words) -> npt.NDArray[np.bool_]:
    """Which words turn a report."""
    turns: npt.NDArray[np.bool_] = (words & (FIGURE | SHORT)) == FIGURE | SHORT
    return turns


def _sides_of(
    words: Words, turns: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The pairs of opposites of which a text has the first and the second side, as bits [p]."""
    place = np.where(turns, words & _HASH, 0)
    first, second = _sides()
    return (
        np.bitwise_or.reduce(first[place], axis=1, initial=0),
        np.bitwise_or.reduce(second[place], axis=1, initial=0),
    )


@cache
def _sides() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    first, second = sides()
    return np.array([0, *first], np.uint32), np.array([0, *second], np.uint32)


def _negated(words: Words, turns: npt.NDArray[np.bool_], others: Words) -> npt.NDArray[np.bool_]:
    """Whether the others have, side by side, what a "not" stands between in the words [p]."""
    negation = turns & ((words & _HASH) <= NEGATION_COUNT)
    row, place = np.nonzero(negation[:, 1:-1])
    found = np.zeros(len(words), bool)
    if len(row):
        plain = _plain(words)
        before, behind = plain[row, place], plain[row, place + 2]
        theirs = _plain(others)[row]
        beside = (theirs[:, :-1] == before[:, None]) & (theirs[:, 1:] == behind[:, None])
        found[row[beside.any(axis=1) & (behind > 0)]] = True
    return found


def _plain(words: Words) -> Words:
    """Without what depends on how a word is written."""
    return words & np.uint16(0xFFFF & ~NAME)


def _weights(words: Words) -> Shares:
    return _weight_of().take(words)


@cache
def _weight_of() -> Shares:
    """The weight of each of the 65,536 words."""
    words = np.arange(0x10000)
    # A word that turns a report weighs as any other: it is looked at by itself.
    weights = np.where((words & (SHORT | FIGURE)) == SHORT, np.float32(_SHORT), np.float32(_WORD))
    weights[(words & NAME) != 0] = _NAME
    weights[(words & (FIGURE | SHORT)) == FIGURE] = _FIGURE
    weights[0] = 0
    return weights


def _neighbours(words: Words) -> npt.NDArray[np.uint64]:
    """Pairs of neighbours as numbers below 2**32; 0 behind the last."""
    plain = _plain(words).astype(np.uint64)
    return np.where(plain[:, 1:] > 0, plain[:, :-1] << np.uint64(16) | plain[:, 1:], 0)
