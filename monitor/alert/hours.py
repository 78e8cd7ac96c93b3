"""Hours of the day in somebody's time zone: when nobody is disturbed, when a digest comes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end`` of each day, over midnight where ``end`` is the earlier one; where
    both are the same there are none. By the clock on the wall: the night in which the clocks change
    is an hour longer or shorter."""

    start: time
    end: time
    zone: ZoneInfo
    critical_passes: bool = True
    """Critical alerts are told at once."""

    def until(self, moment: datetime) -> datetime | None:
        """When the quiet hours end that this moment lies in; None: it lies in none."""
        today = moment.astimezone(self.zone).date()
        for begun in (today - timedelta(days=1), today):
            over = begun if self.start < self.end else begun + timedelta(days=1)
            start, end = _at(begun, self.start, self.zone), _at(over, self.end, self.zone)
            if self.start != self.end and start <= moment < end:
                return end
        return None


@dataclass(frozen=True, slots=True)
class DigestHours:
    """The times of each day at which a digest is sent."""

    times: tuple[time, ...]
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime:
        """The first of them that is later than this moment."""
        return next(found for found in self._from(moment) if found > moment)

    def _from(self, moment: datetime) -> Iterator[datetime]:
        day = moment.astimezone(self.zone).date() - timedelta(days=1)
        while True:
            yield from sorted(_at(day, at, self.zone) for at in self.times)
            day += timedelta(days=1)


def _at(day: date, at: time, zone: ZoneInfo) -> datetime:
    """That time of that day in UTC: the earlier of two, and of none the time as long after the
    change (RFC 5545, 3.3.5)."""
    return datetime.combine(day, at, zone).astimezone(UTC)
