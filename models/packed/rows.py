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
    row i of the line is row `order[i]` of what was packed.
    """

    ids: Ints
    offsets: Ints
    order: npt.NDArray[np.int64]

    @property
    def lengths(self) -> Ints:
        """Return the tokens of each row of the line, int32 [n]."""
        return np.diff(self.offsets)

    @property
    def positions(self) -> Ints:
        """Return the place of each token in its row, int32 [T]."""
        starts = np.repeat(self.offsets[:-1], self.lengths)
        return np.arange(len(self.ids), dtype=_KIND) - starts

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


def pack(rows: Sequence[Row]) -> Packed:
    """Lay rows end to end.

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
    return Packed(flat([rows[i] for i in order]), offsets, order)


def flat(rows: Sequence[Row]) -> Ints:
    """Return the tokens of all rows in one line, int32."""
    if rows and all(isinstance(row, np.ndarray) for row in rows):
        return np.concatenate(rows).astype(_KIND, copy=False)
    return np.fromiter(chain.from_iterable(rows), _KIND, sum(map(len, rows)))


def unpacked(values: npt.NDArray[np.float64], packed: Packed) -> npt.NDArray[np.float64]:
    """Return values of the line's rows, [n, ...], in the order of what was packed."""
    found = np.empty_like(values)
    found[packed.order] = values
    return found
