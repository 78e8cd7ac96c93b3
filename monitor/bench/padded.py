"""Batches of rows sorted by length, padded, within a budget of tokens: what the peers are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from monitor.bench.contestant import Floats

Ids = npt.NDArray[np.int64]

BUDGET: Final = 1_024
"""Tokens of a batch, padding included."""


def batches(lengths: Sequence[int], budget: int = BUDGET) -> list[list[int]]:
    """Return the rows of each batch, shortest first, at most `budget` tokens, or one row alone."""
    found: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if found and lengths[row] * (len(found[-1]) + 1) <= budget:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Ids, Ids]:
    """Return ids and mask, int64 [n, longest], padded on the right."""
    ids = np.full((len(rows), max(map(len, rows))), pad, np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


def sorted_logits(
    rows: Sequence[Sequence[int]],
    pad: int,
    forward: Callable[[Ids, Ids], Floats],
    budget: int = BUDGET,
) -> Floats:
    """Return the logits [n, 23] of all rows in their own order."""
    found = np.empty((len(rows), 23), np.float32)
    for batch in batches([len(row) for row in rows], budget):
        found[batch] = forward(*padded([rows[i] for i in batch], pad))
    return found
