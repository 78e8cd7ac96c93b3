"""How many documents are to be expected when: an hourly rate for each hour of the week.

Few sources speak often enough for 168 rates of their own, so that the rate of an hour of the week
is shrunk towards that of its hour of the day times that of its day of the week, and these towards
the mean of all hours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR = 3600
DAY_HOURS = 24
WEEK_DAYS = 7
WEEK_HOURS = DAY_HOURS * WEEK_DAYS
SHRINK = 2.0
"""Hours' worth of the mean in the rate of an hour of the day, and of a day of the week …"""
SHRINK_HOUR = 4.0
"""… and of their product in the rate of an hour of the week."""


def hour_of_week(seconds: float) -> int:
    """From 0 to 167; the week begins where the epoch did, on a Thursday."""
    return int(seconds // HOUR) % WEEK_HOURS


def rates(documents: Floats, hours: Floats) -> Floats:
    """Documents an hour, [sources, 168], from what was counted and how long: the same shape."""
    shape = (len(documents), WEEK_DAYS, DAY_HOURS)
    n, exposure = documents.reshape(shape), hours.reshape(shape)
    watched = np.maximum(exposure.sum(axis=(1, 2), keepdims=True), 1e-9)
    mean = n.sum(axis=(1, 2), keepdims=True) / watched
    unit = np.maximum(mean, 1e-12)

    def factor(axis: int) -> Floats:
        """Of an hour of the day, or of a day, against the mean of all."""
        seen = n.sum(axis=axis, keepdims=True) + SHRINK * mean
        value: Floats = seen / (exposure.sum(axis=axis, keepdims=True) + SHRINK) / unit
        return value

    product = mean * factor(1) * factor(2)
    found = (n + SHRINK_HOUR * product) / (exposure + SHRINK_HOUR)
    # The factors of days and hours that were not watched alike do not average to one.
    level = (found * exposure).sum(axis=(1, 2), keepdims=True) / watched
    found *= np.where(level > 0, mean / np.maximum(level, 1e-12), 1.0)
    hourly: Floats = found.reshape(len(documents), WEEK_HOURS)
    return hourly


class Expectation:
    """Documents expected between any two moments, of many sources at once."""

    def __init__(self, hourly: Floats) -> None:
        """``hourly``: documents an hour, [sources, 168]."""
        self.hourly = hourly
        zero = np.zeros((len(hourly), 1))
        self._before = np.concatenate((zero, np.cumsum(hourly, axis=1)), axis=1)

    def between(self, since: Floats, until: float) -> Floats:
        """Documents from ``since`` (seconds since the epoch, [sources]) to ``until``, [sources]."""
        found: Floats = np.maximum(self._until(np.full_like(since, until)) - self._until(since), 0)
        return found

    def of_last_day(self, hour: int) -> Floats:
        """Documents in the 24 hours that end with the hour number ``hour`` since the epoch,
        [sources]."""
        cells = np.arange(hour - DAY_HOURS + 1, hour + 1) % WEEK_HOURS
        found: Floats = self.hourly[:, cells].sum(axis=1)
        return found

    def _until(self, moment: Floats) -> Floats:
        hours = moment / HOUR
        whole = np.floor(hours)
        weeks, hour = np.divmod(whole, WEEK_HOURS)
        rows, columns = np.arange(len(moment)), hour.astype(np.int64)
        value: Floats = (
            weeks * self._before[:, -1]
            + self._before[rows, columns]
            + self.hourly[rows, columns] * (hours - whole)
        )
        return value
