"""Time is injected: every stage is handed a clock, and one ``now`` is passed down each pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where the daemon learns the time. Neither method blocks or fails."""

    def now(self) -> datetime:
        """The present moment, zone-aware in UTC, on the axis of event times."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; for timeouts and durations only."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ScaledClock:
    """Event time that runs ``speed`` times as fast as the machine's clock.

    A replay or the demo publishes three days in minutes; "now", the time lag and the check for
    documents from the future then have to live on the replayed axis. ``event_origin`` is the event
    time at the wall time ``wall_origin``. ``monotonic`` stays in real seconds: timeouts are real.
    """

    def __init__(
        self,
        event_origin: datetime,
        wall_origin: datetime,
        speed: float,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._event_origin = event_origin
        self._wall_origin = wall_origin
        self._speed = speed
        self._wall = wall

    def now(self) -> datetime:
        return self._event_origin + (self._wall() - self._wall_origin) * self._speed

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to: simulations and tests."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move both axes forward by ``seconds``."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds
