"""Near-duplicates: pairs of texts whose sets of word 3-grams overlap, exactly and fast.

The join counts each text's 3-grams over the data, looks for partners only through its rarest ones
(prefix filter: two sets of Jaccard ≥ t share a member of their prefixes) and then computes the
Jaccard index of the candidates. Nothing is missed and nothing is estimated.

Source: Chaudhuri, Ganti, Kaushik 2006, "A Primitive Operator for Similarity Joins in Data
Cleaning"; Bayardo, Ma, Srikant 2007, "Scaling Up All Pairs Similarity Search".
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from models.text import normalise, twin_key

THRESHOLD: Final = 0.5
"""Jaccard index of word 3-grams from which two texts count as near-duplicates."""

# Rows joined and pairs compared at a time: bounds the memory where most texts are alike.
_ROWS: Final = 256
_PAIRS: Final = 65_536
_NOT_WORD = re.compile(r"[\W_]+")
# Scripts without spaces between words: each character is taken for a word.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_OTHER_SCRIPT = re.compile(r"[^\W\d_\u0000-\u024f]")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Near-duplicates: row `left[k]` resembles `right[k]`, by the Jaccard index `jaccard[k]`."""

    left: Rows  # [pairs]
    right: Rows  # [pairs]
    jaccard: npt.NDArray[np.float64]  # [pairs], in [threshold, 1]

    def __len__(self) -> int:
        return len(self.left)


def words(text: str) -> list[str]:
    """Return the lower-case words of a text as near-duplicates compare them, of any script."""
    spaced = _UNSPACED.sub(r" \g<0> ", normalise(text).lower())
    return _NOT_WORD.sub(" ", spaced).split()


def foreign(text: str) -> bool:
    """Return whether most letters of a text are of another script than the Latin one."""
    if text.isascii():
        return False
    return len(_OTHER_SCRIPT.findall(text)) > len(_LATIN.findall(text))


def same_key(text: str) -> str:
    """Return what twins share: `twin_key`, or the words of a text in another script.

    Empty for a text without a letter or digit once links are gone.
    """
    return " ".join(words(text)) if foreign(text) else twin_key(text)


def ngrams(found: Sequence[str], n: int = 3) -> list[str]:
    """Return the n-grams of words in order; one of fewer words is one gram, an empty one none."""
    if not found:
        return []
    return [" ".join(found[i : i + n]) for i in range(max(1, len(found) - n + 1))]


def within(texts: Sequence[str], threshold: float = THRESHOLD) -> Pairs:
    """Return all pairs of near-duplicates among the texts, left < right.

    Texts of equal 3-grams are tied to the first of them only, so that a text which occurs a
    thousand times gives 999 pairs and not half a million.
    """
    grams, (first,) = _incidence([texts])
    unique, copy_of = _collapsed(grams, first)
    found = _join(grams[unique], grams[unique], threshold, upper=True)
    copies = np.flatnonzero((copy_of != first) & (np.diff(grams.indptr) > 0))
    return Pairs(
        np.concatenate([copy_of[copies], unique[found.left]]),
        np.concatenate([copies, unique[found.right]]),
        np.concatenate([np.ones(len(copies)), found.jaccard]),
    )


def across(texts: Sequence[str], others: Sequence[str], threshold: float = THRESHOLD) -> Pairs:
    """Return the near-duplicates between texts and others: (row of texts, row of others)."""
    grams, (left, right) = _incidence([texts, others])
    # One of each group of equal others is enough to tell that a text has a partner.
    unique, _ = _collapsed(grams, right)
    found = _join(grams[left], grams[unique], threshold, upper=False)
    return Pairs(found.left, unique[found.right] - len(texts), found.jaccard)


def clusters(texts: Sequence[str], threshold: float = THRESHOLD) -> Rows:
    """Return the cluster of each text [n]: texts joined by a chain of near-duplicates share one.

    Texts without a word are clusters of their own.
    """
    pairs, n = within(texts, threshold), len(texts)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs.left, pairs.right)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _incidence(parts: Iterable[Sequence[str]]) -> tuple[csr_array, list[Rows]]:
    """Return a 0/1 matrix [texts, 3-grams], rarest 3-grams first, and the rows of each part."""
    known: dict[str, int] = {}
    columns: list[int] = []
    ends = [0]
    rows: list[Rows] = []
    for texts in parts:
        start = len(ends) - 1
        for text in texts:
            columns.extend({known.setdefault(g, len(known)) for g in ngrams(words(text))})
            ends.append(len(columns))
        rows.append(np.arange(start, len(ends) - 1))
    index = np.asarray(columns, np.int64)
    frequency = np.bincount(index, minlength=len(known))
    rank = np.empty(len(known), np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(known))
    matrix = csr_array(
        (np.ones(len(index), np.int32), rank[index], np.asarray(ends)),
        shape=(len(ends) - 1, max(1, len(known))),
    )
    matrix.sort_indices()
    return matrix, rows


def _collapsed(grams: csr_array, rows: Rows) -> tuple[Rows, Rows]:
    """Return the first row of each group of equal rows, and for each row the first like it."""
    seen: dict[bytes, int] = {}
    copy_of = np.array(
        [
            seen.setdefault(grams.indices[grams.indptr[r] : grams.indptr[r + 1]].tobytes(), int(r))
            for r in rows
        ],
        np.int64,
    )
    return np.unique(copy_of), copy_of


def _join(left: csr_array, right: csr_array, threshold: float, *, upper: bool) -> Pairs:
    """Return the pairs of Jaccard ≥ threshold; `upper`: of one matrix, left < right only."""
    right_prefix = _prefix(right, threshold).T.tocsr()
    left_prefix = _prefix(left, threshold)
    sizes_left, sizes_right = np.diff(left.indptr), np.diff(right.indptr)
    found: list[tuple[Rows, Rows, npt.NDArray[np.float64]]] = []
    for start in range(0, left.shape[0], _ROWS):
        candidates = (left_prefix[start : start + _ROWS] @ right_prefix).tocoo()
        a, b = candidates.row.astype(np.int64) + start, candidates.col.astype(np.int64)
        small = np.minimum(sizes_left[a], sizes_right[b])
        keep = small >= threshold * np.maximum(sizes_left[a], sizes_right[b])
        if upper:
            keep &= a < b
        a, b = a[keep], b[keep]
        for part in range(0, len(a), _PAIRS):
            i, j = a[part : part + _PAIRS], b[part : part + _PAIRS]
            shared = left[i].multiply(right[j]).sum(axis=1)
            jaccard = shared / (sizes_left[i] + sizes_right[j] - shared)
            near = jaccard >= threshold
            found.append((i[near], j[near], jaccard[near]))
    if not found:
        empty = np.empty(0, np.int64)
        return Pairs(empty, empty, np.empty(0))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _prefix(grams: csr_array, threshold: float) -> csr_array:
    """Keep the |x| − ⌈t·|x|⌉ + 1 rarest 3-grams of each row x."""
    sizes = np.diff(grams.indptr)
    keep = np.where(sizes > 0, sizes - np.ceil(threshold * sizes).astype(np.int64) + 1, 0)
    position = np.arange(grams.nnz) - np.repeat(grams.indptr[:-1], sizes)
    chosen = position < np.repeat(keep, sizes)
    return csr_array(
        (grams.data[chosen], grams.indices[chosen], np.concatenate([[0], np.cumsum(keep)])),
        shape=grams.shape,
    )
