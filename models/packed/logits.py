"""The logits of rows, filled in by passes that each read some of them in an order of their own."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.labels import LABELS
from models.spans.head import COLUMNS
from models.spans.verdicts import runs

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

CLASSES: Final = sum(len(names) for names in LABELS.values())
"""Columns of the sentence heads' logits side by side, in the order of `LABELS`."""


class Logits:
    """`rows` float64 [n, CLASSES]; `tokens` float32 [T, COLUMNS], row after row, or None."""

    def __init__(self, rows: Sequence[object], *, tokens: bool) -> None:
        """`rows`: what is to be judged, each of a known length; `tokens`: whether each token is."""
        self.rows = np.empty((len(rows), CLASSES))
        self.tokens: npt.NDArray[np.float32] | None = None
        if tokens:
            self._lengths = np.fromiter(map(len, rows), np.int64, len(rows))  # type: ignore[arg-type]
            self._starts = np.cumsum(self._lengths) - self._lengths
            self.tokens = np.empty((int(self._lengths.sum()), COLUMNS), np.float32)

    def put(self, part: npt.NDArray[np.int64], rows: Floats, tokens: Floats | None) -> None:
        """Take the logits of a pass over the rows `part`, [len(part), CLASSES], in that order.

        `tokens` [of these rows, COLUMNS], in the order of the pass too.
        """
        self.rows[part] = rows
        if self.tokens is not None:
            self.tokens[runs(self._starts[part], self._lengths[part])] = tokens
