"""The state of a key, and of the keys that a bucket touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats, Ints
from monitor.detect.table import LAG

RATIOS = np.array([1.4, 1.8, 2.5, 4.0, 12.0, 40.0])
"""Alternatives: the first four of what everything counts for, the last four of names, which are
hardly ever spoken of."""
EACH = np.ones(LAG)
"""Times ``lag``: its sum, as a float."""

ROW = np.dtype(
    [
        ("documents", "f4"),  # decayed sum of documents / factor, and of buckets
        ("exposure", "f4"),
        ("young", "f4"),  # the same of late, which a name's level has not followed yet
        ("young_exposure", "f4"),
        ("negative", "f4"),  # negative ones among the documents, and among the young
        ("young_negative", "f4"),
        ("born", "i4"),  # first bucket, and the one to which the row has been advanced
        ("at", "i4"),
        ("u", "f4", (len(RATIOS),)),  # M / c
        ("cusum", "f4"),
        ("since", "i4"),
        ("window_n", "u4"),
        ("window_negative", "u4"),
        ("window_expected", "f4"),
        ("lag", "u4", (LAG,)),  # by bucket number modulo LAG
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that a bucket touches, advanced to it. All are [keys]."""

    keys: list[str]
    places: Ints
    rows: NDArray[Any]
    codes: NDArray[np.int8]
    named: NDArray[np.bool_]
    """Which of them count for what is named."""
    group: Ints
    """That of its rhythm."""
    n: Ints
    x: Ints
    frozen: NDArray[np.bool_]
    fires: NDArray[np.bool_]
    shared: Ints | None = None
    """Members of each class of the budget; None: they are all that the bucket touches."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a bucket came to. All are [keys], but for the members of each class of the budget."""

    alarm: NDArray[np.bool_]
    evidence: Floats
    granted: Floats
    expected: Floats
    usual: Floats
    shared: Ints
