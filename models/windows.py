"""Long texts: windows of tokens that the encoder takes, and one verdict pooled from them. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

from models.labels import LABELS, SENTIMENTS, Task

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Pooling = Literal["mean", "salient"]
Rows = Sequence[Sequence[int]]

_NEUTRAL: Final = SENTIMENTS.index("neutral")
LEAST: Final = 1e-6
"""Least weight of a token: a text of windows that are all neutral still has a mean."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Cuts a row of token ids into windows, each with the specials of the row.

    `length`: tokens of a window, specials included. `overlap`: least number of tokens that
    neighbours share, so that no sentence is seen only in halves. `limit`: windows of one text.
    `before` and `after`: how many specials open and close a row.
    """

    length: int
    overlap: int
    limit: int
    before: int = 1
    after: int = 1

    @classmethod
    def fitting(cls, length: int, overlap: int, limit: int, *, before: int, after: int) -> Self:
        """Return a reader whose overlap is at most a third of what a window holds."""
        return cls(length, min(overlap, (length - before - after) // 3), limit, before, after)

    @property
    def longest(self) -> int:
        """Return the tokens of the longest row that is read whole, specials included."""
        inner = self.length - self.before - self.after
        return self.length + (self.limit - 1) * (inner - self.overlap)

    def capped(self, row: Sequence[int]) -> list[int]:
        """Return the row without the tokens beyond the last window; its closing specials stay."""
        if len(row) <= self.longest:
            return list(row)
        return [*row[: self.longest - self.after], *row[len(row) - self.after :]]

    def cut(self, row: Sequence[int]) -> list[list[int]]:
        """Return the windows of a row: all of it, evenly spread, each of full length.

        A window of full length gives the encoder as much context as it can have; the price is a
        wider overlap than asked for.

        Raises:
            ValueError: the row is empty, or longer than `longest`.
        """
        starts = self.starts(len(row))
        if len(row) <= self.length:
            return [list(row)]
        end = len(row) - self.after
        opening, inner, closing = row[: self.before], row[self.before : end], row[end:]
        return [[*opening, *inner[start : start + self.held], *closing] for start in starts]

    @property
    def held(self) -> int:
        """Return the tokens of a window, specials left out."""
        return self.length - self.before - self.after

    def starts(self, tokens: int) -> list[int]:
        """Return where each window of a row of so many tokens begins among its inner ones.

        Raises:
            ValueError: the row is empty, or longer than `longest`.
        """
        if not 0 < tokens <= self.longest:
            raise ValueError(f"rows must hold 1 to {self.longest} tokens; use encode()")
        inner = tokens - self.before - self.after
        if tokens <= self.length:
            return [0]
        count = math.ceil((inner - self.overlap) / (self.held - self.overlap))
        return [round(i * (inner - self.held) / (count - 1)) for i in range(count)]

    def cost(self, tokens: int) -> int:
        """Return the tokens that are read of a row of so many: those of all its windows.

        Raises:
            ValueError: see `starts`.
        """
        return min(tokens, self.length) * len(self.starts(tokens))

    def places(self, tokens: int) -> list[Integers]:
        """Return for each window of `cut` which tokens of the row it holds.

        Raises:
            ValueError: see `starts`.
        """
        starts = self.starts(tokens)
        if tokens <= self.length:
            return [np.arange(tokens)]
        opening, closing = np.arange(self.before), np.arange(tokens - self.after, tokens)
        return [
            np.concatenate((opening, self.before + start + np.arange(self.held), closing))
            for start in starts
        ]

    def deepest(self, tokens: int) -> Integers:
        """Return for each token of a row its place in the row's windows laid end to end.

        Of the windows that hold it, the one counts in whose middle it is most: there it has been
        read with the most context on its poorer side.
        """
        if tokens <= self.length:
            return np.arange(tokens)
        starts = np.array(self.starts(tokens))
        inner = np.arange(tokens - self.before - self.after)
        left = inner - starts[:, None]
        window = np.minimum(left, self.held - 1 - left).argmax(0)
        middle = window * self.length + self.before + left[window, inner]
        last = len(starts) * self.length
        return np.concatenate((np.arange(self.before), middle, np.arange(last - self.after, last)))


def judge(
    rows: Rows,
    reader: Reader,
    pooling: Pooling,
    forward: Callable[[list[list[int]]], Mapping[Task, Floats]],
) -> dict[Task, Floats]:
    """Return one row of logits a text, each task [n, classes]; `forward` judges all windows.

    Raises:
        ValueError: a row that the reader refuses.
    """
    cuts = [reader.cut(row) for row in rows]
    return pool_all(forward([window for cut in cuts for window in cut]), cuts, pooling)


def pool_all(
    found: Mapping[Task, Floats], cuts: Sequence[Sequence[Sequence[int]]], pooling: Pooling
) -> dict[Task, Floats]:
    """Return one row of logits a text, each task [n, classes], from those of all windows.

    `found`: logits of the windows of `cuts`, text by text, each task [windows, classes].
    """
    ends = np.cumsum([len(cut) for cut in cuts])
    if not len(cuts) or ends[-1] == len(cuts):
        return dict(found)
    pooled = {task: found[task][ends - 1] for task in LABELS}  # right where there is one window
    for index, (cut, end) in enumerate(zip(cuts, ends, strict=True)):
        if len(cut) == 1:
            continue
        part = slice(end - len(cut), end)
        tokens = np.array([len(window) for window in cut])
        for task in LABELS:
            pooled[task][index] = pool(found[task][part], tokens, task, pooling)
    return pooled


def pool(logits: Floats, tokens: npt.NDArray[np.int64], task: Task, pooling: Pooling) -> Floats:
    """Return the logits of a text, [classes], from those of its windows, [windows, classes].

    `mean`: windows count by their tokens. `salient`: by tokens times how far they are from
    neutral, 1 - p(neutral), or for topics by tokens times confidence, the greatest probability.
    """
    weights = tokens.astype(np.float64)
    if pooling == "salient":
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        shares = shifted / shifted.sum(1, keepdims=True)
        telling = 1 - shares[:, _NEUTRAL] if task == "sentiment" else shares.max(1)
        weights *= np.maximum(telling, LEAST)
    mean: Floats = np.average(logits, axis=0, weights=weights)
    return mean
