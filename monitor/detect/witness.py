"""What one reading followed from, so that it can be given anew years later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.detect.table import Ints, Spoken


@dataclass(frozen=True, slots=True)
class Witness:
    """Everything that `Detector.again` needs to give a reading anew, to the bit.

    Taken of a key that alarms, before its bucket is written into the detector's state.
    """

    key: str
    start: int
    """Of the bucket, seconds since the epoch."""
    early: bool
    """The bucket was still open: `Detector.look`."""
    states: Mapping[str, bytes]
    """The states before the bucket, as they are drained: of the key, and of those on which its null
    leans."""
    spoken: Mapping[str, tuple[int, int]]
    """Voices and negative voices of these keys and pools, as far as the bucket touched them."""
    firing: tuple[str, ...]
    """Those of them whose baselines stood still because they fired …"""
    blind: tuple[str, ...]
    """… or because a source did not speak."""
    shared: tuple[int, ...]
    """How many keys of each class shared in the bucket's part of the budget: `budget.census`."""
    settings: Mapping[str, float]
    """Of the detector."""

    def touched(self) -> Spoken:
        """``spoken`` as the detectors see a bucket."""
        keys = sorted(self.spoken)
        return Spoken(
            keys,
            np.array([self.spoken[key][0] for key in keys], dtype=np.int64),
            np.array([self.spoken[key][1] for key in keys], dtype=np.int64),
        )

    def members(self) -> Ints:
        """``shared`` as an array."""
        return np.array(self.shared, dtype=np.int64)
