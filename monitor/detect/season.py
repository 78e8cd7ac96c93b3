"""The rhythm of the week: how the documents of a group are spread over its 168 hours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.detect.null import Floats, Ints
from monitor.detect.table import DAY_BUCKETS, HOUR_BUCKETS

WEEK_HOURS = 168
WEEK_BUCKETS = WEEK_HOURS * HOUR_BUCKETS
PRIOR_DOCUMENTS = 20.0
PRIOR_BUCKETS = 2.0 * HOUR_BUCKETS
"""Weight of the hour of the day against its mean, and twice that of the hour of the week against
the hour of the day: so many documents, and as many as come in so many buckets."""
LEAST = 0.1
"""No hour is so quiet that one document is a burst."""


class Seasonality:
    """Hour-of-week factors of some groups: shrunk to hour-of-day, and that to 1."""

    def __init__(self, state: Floats) -> None:
        """``state``: documents and buckets of each hour, [groups, 2, 168]."""
        self.state = state
        self._course: Course | None = None

    @classmethod
    def unknown(cls, groups: int) -> Seasonality:
        """Of so many groups, before the first document."""
        return cls(np.zeros((groups, 2, WEEK_HOURS)))

    def factors(self) -> Floats:
        """Expected documents of each hour over those of an average hour, [groups, 168]."""
        watched, spoken = self.state[:, 1].sum(axis=1), self.state[:, 0].sum(axis=1)
        known = (watched >= DAY_BUCKETS / 2) & (spoken > 0)
        if not known.any():
            return np.ones((len(self.state), WEEK_HOURS))
        by_day = self.state.reshape(len(self.state), 2, -1, 24)  # [groups, 2, days, hours]
        mean = (spoken / np.where(known, watched, 1.0))[:, np.newaxis]
        weight = PRIOR_DOCUMENTS + PRIOR_BUCKETS * mean
        of_day = by_day.sum(axis=2)
        daily = (of_day[:, 0] + weight) / (of_day[:, 1] * mean + weight)
        mean, weight = mean[:, :, np.newaxis], weight[:, :, np.newaxis]
        weekly: Floats = (by_day[:, 0] + 2 * weight * daily[:, np.newaxis]) / (
            by_day[:, 1] * mean + 2 * weight
        )
        weekly = np.maximum(weekly, LEAST).reshape(len(self.state), WEEK_HOURS)
        weekly[~known] = 1.0
        return weekly

    def course(self) -> Course:
        """The factors up to the last bucket."""
        if self._course is None:
            self._course = Course(self.factors())
        return self._course

    def learn(self, hour: int, documents: Sequence[int], decay: float) -> None:
        """Add one bucket of each group in this hour of the week."""
        self._course = None
        self.state *= decay
        self.state[:, 0, hour] += documents
        self.state[:, 1, hour] += 1


def hour_of_week(bucket: int) -> int:
    """Of a bucket since the epoch, whose Thursday is as good a first day as any."""
    return bucket // HOUR_BUCKETS % WEEK_HOURS


class Course:
    """The factors of several groups, and their sums over any stretch of buckets."""

    def __init__(self, factors: Floats) -> None:
        """``factors``: [groups, 168]."""
        self.factors = factors
        zero = np.zeros((len(factors), 1))
        self._before = np.hstack((zero, np.cumsum(factors, axis=1) * HOUR_BUCKETS))

    def at(self, group: Ints, bucket: Ints | int) -> Floats:
        """The factor of each group in its bucket, [groups]."""
        found: Floats = self.factors[group, bucket // HOUR_BUCKETS % WEEK_HOURS]
        return found

    def between(self, group: Ints, first: Ints, end: int) -> Floats:
        """Sum over the buckets from ``first`` to ``end`` − 1 of each group, [groups]."""
        groups = np.arange(len(self.factors))
        whole = self._until(groups, np.full(len(groups), end))
        found: Floats = whole[group] - self._until(group, np.minimum(first, end))
        return found

    def _until(self, group: Ints, bucket: Ints) -> Floats:
        weeks, rest = np.divmod(bucket, WEEK_BUCKETS)
        hour, part = np.divmod(rest, HOUR_BUCKETS)
        found: Floats = (
            weeks * self._before[group, -1]
            + self._before[group, hour]
            + self.factors[group, hour] * part
        )
        return found
