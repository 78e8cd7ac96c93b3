"""Is the system alive? Said in words, from what the database shows; never green by default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dashboards.words import duration, moment

REPLAY_AFTER = 86_400.0
"""Seconds between wall time and event time past which the stream is called a replay."""
STALLED_AFTER = 120.0
"""Seconds without a write after which the page says "stalled"."""


class Level(StrEnum):
    """How the page shows the state. Only LIVE is good news."""

    LIVE = "live"
    QUIET = "quiet"
    STALLED = "stalled"
    BLIND = "blind"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Pulse:
    """The signs of life in the database. Times in UTC."""

    written_at: datetime | None
    """Wall time of the last transaction that moved an offset."""
    newest_event: datetime | None
    documents: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Blindness:
    """Who should have spoken and did not."""

    stream: bool = False
    """Nobody did."""
    sources: tuple[str, ...] = ()


SEEING = Blindness()


@dataclass(frozen=True, slots=True)
class State:
    """What the header says."""

    level: Level
    title: str
    sentence: str


def state(
    pulse: Pulse, now: datetime, stalled_after: float, blindness: Blindness = SEEING
) -> State:
    """The state at the wall time ``now``; to be blind is not to be live.

    Nothing written for ``stalled_after`` seconds is "stalled" whether the daemon died or its
    sources went silent: from the database the two can't be told apart, and neither is all clear.
    After half of it the state is "quiet".
    """
    if pulse.written_at is None:
        return State(
            Level.EMPTY,
            "No data yet",
            "The database is ready and empty. Start the daemon, or publish something for it.",
        )
    age = (now - pulse.written_at).total_seconds()
    if age < -60:
        return State(
            Level.STALLED,
            "Clocks disagree",
            f"The last write is dated {duration(-age)} in the future: compare the clocks of this "
            "machine and the daemon's. Until then nobody can tell whether it is alive.",
        )
    if age > stalled_after:
        return State(
            Level.STALLED,
            "Stalled",
            f"Nothing was read for {duration(age)} (since {moment(pulse.written_at)}): the daemon "
            "has stopped or its sources are silent. What follows is old news, not all clear.",
        )
    if (blind := _blind(blindness)) is not None:
        return blind
    if age > stalled_after / 2:
        return State(
            Level.QUIET,
            "Quiet",
            f"Nothing was read for {duration(age)}. A quiet source, or the beginning of a fault.",
        )
    if pulse.documents == 0:
        return State(
            Level.QUIET,
            "Reading, nothing accepted",
            "The daemon reads, but no record so far was a valid document: see what was rejected.",
        )
    behind = _behind(pulse, now)
    if behind is not None and behind > REPLAY_AFTER:
        return State(
            Level.LIVE,
            "Live, on old news",
            f"The stream lives {duration(behind)} behind the wall clock: a replay or a backlog.",
        )
    return State(Level.LIVE, "Live", "Documents are being read and scored.")


def _blind(blindness: Blindness) -> State | None:
    if blindness.stream:
        return State(
            Level.BLIND,
            "The whole stream is silent",
            "No source has said anything for longer than it is ever quiet. What follows is old "
            "news, not all clear.",
        )
    if not blindness.sources:
        return None
    n = len(blindness.sources)
    named = ", ".join(blindness.sources[:3]) + (f" and {n - 3} more" if n > 3 else "")
    return State(
        Level.BLIND,
        f"Blind to {n} source{'' if n == 1 else 's'}",
        f"{named}: should have spoken, and did not. What depends on them is not all clear.",
    )


def _behind(pulse: Pulse, now: datetime) -> float | None:
    return None if pulse.newest_event is None else (now - pulse.newest_event).total_seconds()
