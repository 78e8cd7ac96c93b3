"""The protocol of the drills' results, beside the pipeline's own part (`Store.drill`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from monitor.events import Alert, AlertStatus
from monitor.store.base import DrillProgress, NotificationStatus, Outgoing


class DrillOutcome(StrEnum):
    """What a drill came to."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    """A stop was not reached in time."""
    MISSED = "missed"
    """It was due and did not begin."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. All times are wall time but ``event_at``."""

    id: str
    scheduled: bool
    started_at: datetime
    """Its messages were handed to the producer."""
    deadline_at: datetime
    receiver: str | None = None
    """The one that has to take it; None: every one that is configured."""
    arrived: int = 0
    """Documents that were scored …"""
    negative: int = 0
    """… and judged negative."""
    event_at: datetime | None = None
    """``published_at`` of the last document to arrive, and then its stops."""
    appended_at: datetime | None = None
    ingested_at: datetime | None = None
    scored_at: datetime | None = None
    model_version: str = ""
    fired_at: datetime | None = None
    outcome: DrillOutcome = DrillOutcome.RUNNING
    reason: str = ""
    """Why it failed or was missed: the stop, and what to look at."""
    ended_at: datetime | None = None


class Sent(NamedTuple):
    """A notification of a drill."""

    receiver: str
    status: NotificationStatus
    queued_at: datetime
    delivered_at: datetime | None
    attempts: int
    last_error: str | None


Told = Callable[[Alert], Sequence[Outgoing]]
"""The rows of the outbox for a change of an alert."""


UNANNOUNCED = timedelta(minutes=10)
"""Time that a drill gets whose messages come before anybody has said that it begins."""


def progressed(drill: Drill | None, progress: DrillProgress) -> Drill:
    """A drill with what the pipeline says of it; one that nobody has announced is made up."""
    journey = progress.journey
    if drill is None:
        begin = journey.appended_at
        drill = Drill(progress.id, False, begin, begin + UNANNOUNCED)
    return replace(
        drill,
        arrived=len(progress.evidence),
        negative=progress.negative,
        event_at=journey.published_at,
        appended_at=journey.appended_at,
        ingested_at=journey.ingested_at,
        scored_at=journey.scored_at,
        model_version=progress.model_version,
        fired_at=progress.fired_at,
    )


def ended(alert: Alert, at: datetime) -> Alert:
    """The alert of a drill that is over; ``at`` in wall time."""
    return replace(
        alert,
        status=AlertStatus.RESOLVED,
        resolved_at=alert.fired_at,  # event time: it never lasted
        updated_at=at,
    )


class Drills(Protocol):
    """Blocks; several may have one database. Raises ``StoreError``."""

    def begin(self, drill: Drill) -> None:
        """Note a new drill, whatever its outcome. ``ValueError``: its id is taken."""
        ...

    def find(self, identifier: str) -> Drill | None:
        """One drill; None: it is not known."""
        ...

    def running(self) -> list[Drill]:
        """Those without an outcome, the oldest first."""
        ...

    def latest(
        self, *, scheduled: bool | None = None, outcome: DrillOutcome | None = None
    ) -> Drill | None:
        """The last to begin among those that were (not) scheduled, and that have this outcome."""
        ...

    def sent(self, identifier: str) -> list[Sent]:
        """The notifications of a drill's alert, the oldest first."""
        ...

    def end(
        self, identifier: str, outcome: DrillOutcome, reason: str, at: datetime, told: Told
    ) -> bool:
        """Give a drill its outcome and clear up behind it (`sweep`), in one transaction; False,
        and nothing changed: it has one already."""
        ...

    def sweep(self, at: datetime, told: Told) -> int:
        """End the alerts of drills that are over: their rows go, the receivers hear of the end.
        How many there were."""
        ...

    def alarm(self) -> Alert | None:
        """The alert that a scheduled drill failed or was missed, while it fires."""
        ...

    def put_alarm(self, alert: Alert, at: datetime, told: Told) -> None:
        """Write a change of that alert, and tell of it."""
        ...
