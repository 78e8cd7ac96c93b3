"""The statistic of a rise, as `share` and `volume` keep it: one u_j for each alternative j.

u_j ← (g_j + γ·u_j)·L_j in units of the threshold, of which `budget` says what g pays for. Page's
CUSUM of one of the alternatives dates the beginning: its last zero is the likeliest moment of the
change, and there the window of an alert starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats

ONSET = 1
"""Index of the alternative that dates the beginning of a rise."""
_MOST = 1e30


def accumulate(
    u: NDArray[np.float32], granted: Floats, discount: float, log_ratio: Floats
) -> Floats:
    """The statistics after one more bucket, all [keys, alternatives]; ``discount``: γ."""
    found: Floats = np.minimum((granted + discount * u) * np.exp(log_ratio), _MOST)
    return found


def mean_of(alternatives: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row of some statistics; as ``mean(axis=1)``, without its ceremony."""
    found: NDArray[np.float32] = np.add.reduce(alternatives, axis=1) / alternatives.shape[1]
    return found


def renew(rows: NDArray[Any], fires: NDArray[np.bool_]) -> None:
    """What follows a page is a new rise, in place: another window, and so another alert."""
    if np.count_nonzero(fires):
        rows["u"][fires] = 0.0
        rows["cusum"][fires] = 0.0


def threshold_of(granted: float) -> float:
    """c of a key that was granted so much; 1 of one that was granted nothing."""
    return 1.0 / granted if granted > 0 else 1.0
