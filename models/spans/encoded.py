"""Rows of tokens that know where in the text they stand and how their words are written."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from models.spans.shapes import shapes_of_all
from models.text import normalise

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ints = npt.NDArray[np.int32]


class Encoded(Sequence[int]):
    """The tokens of one text: a sequence of their ids, with places and shapes beside them."""

    __slots__ = ("_data",)
    __hash__ = None  # type: ignore[assignment]  # the array can be written to

    def __init__(self, data: Ints) -> None:
        """`data` int32 [4, tokens]: ids; first and last character, the latter excluded; shapes."""
        self._data = data

    @property
    def data(self) -> Ints:
        """Return ids, starts, ends and shapes, int32 [4, tokens]."""
        return self._data

    @property
    def ids(self) -> Ints:
        """Return the ids, int32 [tokens]."""
        found: Ints = self._data[0]
        return found

    @property
    def shapes(self) -> Ints:
        """Return how their words are written, int32 [tokens]; see `models.spans.shapes`."""
        found: Ints = self._data[3]
        return found

    def take(self, places: npt.NDArray[np.int64]) -> "Encoded":
        """Return the row of these tokens of it."""
        return Encoded(self._data[:, places])

    def __len__(self) -> int:
        return int(self._data.shape[1])

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        found: int | list[int] = self._data[0, place].tolist()
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self._data[0].tolist())

    def __eq__(self, other: object) -> bool:
        """Whether the other says the same of the same tokens."""
        if not isinstance(other, Encoded):
            return NotImplemented
        return np.array_equal(self._data, other._data)

    def __repr__(self) -> str:
        return f"Encoded({list(self)})"


def told(rows: Sequence[Sequence[int]]) -> list[Encoded] | None:
    """Return the rows if all of them know their places and shapes and there is one at least."""
    found = [row for row in rows if isinstance(row, Encoded)]
    return found if found and len(found) == len(rows) else None


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[Encoded]:
    """Return the tokens of each text, normalised first, specials included."""
    batch = [normalise(text) for text in texts]
    # `encode_batch_fast`, which rows without places come from, keeps no offsets.
    found = tokenizer.encode_batch(batch)
    counts = np.fromiter(map(len, found), np.int64, len(found))
    total = int(counts.sum())
    data = np.empty((4, total), np.int32)
    data[0] = np.fromiter(chain.from_iterable(row.ids for row in found), np.int32, total)
    pairs = chain.from_iterable(chain.from_iterable(row.offsets for row in found))
    data[1:3] = np.fromiter(pairs, np.int32, 2 * total).reshape(-1, 2).T
    data[3] = shapes_of_all(batch, data[1], data[2], counts)
    ends = np.cumsum(counts).tolist()
    return [Encoded(data[:, a:b]) for a, b in zip([0, *ends], ends, strict=False)]
