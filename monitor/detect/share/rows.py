"""The state of a key, and of the keys that a bucket touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats, Ints
from monitor.detect.table import LAG

RATIOS = np.array([1.4, 1.8, 2.5, 4.0])
"""Alternatives: odds of the share against the odds of p⁺."""

ROW = np.dtype(
    [
        ("negative", "f8"),  # S: decayed sum of negative documents
        ("documents", "f8"),  # N: decayed sum of documents
        ("excess", "f4"),  # decayed Pearson excess and its weight: the overdispersion's moments
        ("pairs", "f4"),
        ("active", "f4"),  # decayed number of buckets with documents, of all, and of documents
        ("seen", "f4"),
        ("voices", "f4"),
        ("at", "i4"),  # the bucket to which the row has been advanced, since the epoch
        ("u", "f4", (len(RATIOS),)),  # M / c
        ("cusum", "f4"),
        ("since", "i4"),  # first bucket of the window
        ("window_n", "u4"),
        ("window_negative", "u4"),
        ("lag_n", "u4", (LAG,)),  # by bucket number modulo LAG
        ("lag_negative", "u4", (LAG,)),
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that a bucket touches, advanced to it, and their null. All are [keys]."""

    keys: list[str]
    places: Ints
    rows: NDArray[Any]
    n: Ints
    x: Ints
    frozen: NDArray[np.bool_]
    base: Floats
    upper: Floats
    counted: NDArray[np.bool_]
    shared: Ints
    """Members of each class of the budget."""
    granted: Floats
