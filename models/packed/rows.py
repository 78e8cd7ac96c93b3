"""Rows of tokens laid end to end, without padding. Pure; numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from models.segments import Group

Ints = npt.NDArray[np.int32]
Row = Sequence[int] | Ints

_KIND: Final = np.dtype(np.int32)


@dataclass(frozen=True, slots=True)
class Packed:
    """The tokens of n rows in one line, shortest row first.

    `ids` int32 [T]; `offsets` int32 [n + 1], where each row begins and, last, T; `order` int64 [n]:
    row i of the line is row `order[i]` of what was packed; `shapes` int32 [T] where a head over
    tokens wants them.
    """

    ids: Ints
    offsets: Ints
    order: npt.NDArray[np.int64]
    shapes: Ints | None = None

    @property
    def lengths(self) -> Ints:
        """Return the tokens of each row of the line, int32 [n]."""
        return np.diff(self.offsets)

    @property
    def positions(self) -> Ints:
        """Return the place of each token in its row, int32 [T]."""
        starts = np.repeat(self.offsets[:-1], self.lengths)
        return np.arange(len(self.ids), dtype=_KIND) - starts

    def blocks(self, size: int) -> Ints:
        """Return the blocks of at most `size` neighbours of a row, int32 [blocks, 3].

        Of each: where its row begins and ends in the line, and where the block begins.
        """
        counts = -(-self.lengths // size)
        found = np.empty((int(counts.sum()), 3), _KIND)
        found[:, 0] = np.repeat(self.offsets[:-1], counts)
        found[:, 1] = np.repeat(self.offsets[1:], counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        found[:, 2] = found[:, 0] + size * (np.arange(len(found), dtype=_KIND) - before)
        return found

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return the runs of rows of equal length, in the order of the line."""
        lengths = self.lengths
        heads = np.flatnonzero(np.diff(lengths, prepend=-1))
        counts = np.diff(np.append(heads, len(lengths)))
        return tuple(
            Group(int(self.offsets[head]), int(count), int(lengths[head]))
            for head, count in zip(heads, counts, strict=True)
        )


def pack(rows: Sequence[Row], shapes: Sequence[Row] | None = None) -> Packed:
    """Lay rows end to end, and the shapes of their tokens.

    Sorted by length, so that rows of equal length are one dense block for attention on a CPU.

    Raises:
        ValueError: a row without tokens.
    """
    lengths = np.fromiter(map(len, rows), _KIND, len(rows))
    if not lengths.all():
        raise ValueError("rows must hold at least one token")
    order = np.argsort(lengths, kind="stable")
    offsets = np.zeros(len(rows) + 1, _KIND)
    np.cumsum(lengths[order], out=offsets[1:])
    beside = None if shapes is None else flat([shapes[i] for i in order])
    return Packed(flat([rows[i] for i in order]), offsets, order, beside)


def flat(rows: Sequence[Row]) -> Ints:
    """Return the tokens of all rows in one line, int32."""
    if rows and isinstance(rows[0], np.ndarray):
        return np.concatenate(rows).astype(_KIND, copy=False)
    return np.fromiter(chain.from_iterable(rows), _KIND, sum(map(len, rows)))
