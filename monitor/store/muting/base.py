"""The protocol of what keeps an alert from being told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from monitor.matchers import Matcher


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts with these labels are not told between ``starts`` and ``ends``. One that starts later
    is a maintenance window."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: datetime
    ends: datetime
    created_by: str
    comment: str
    created_at: datetime

    def active(self, now: datetime) -> bool:
        """Whether it holds now."""
        return self.starts <= now < self.ends


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has taken this alert on: until then it is not repeated. Its end is told."""

    alert_id: str
    owner: str
    note: str
    until: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Muted:
    """What is in force or will be."""

    silences: tuple[Silence, ...] = ()
    acknowledgements: tuple[Acknowledgement, ...] = ()


class Muting(Protocol):
    """Silences and acknowledgements in the database. Any thread. Raises ``StoreError``."""

    def muted(self, now: datetime) -> Muted:
        """Everything that is not over yet, the oldest first."""
        ...

    def silence(self, silence: Silence) -> None:
        """Add it, or replace the one with its id."""
        ...

    def expire(self, silence_id: str, now: datetime) -> bool:
        """End a silence now; False: there is none of this id, or it is over."""
        ...

    def acknowledge(self, taken: Acknowledgement) -> None:
        """Add it, or replace the one of its alert."""
        ...

    def withdraw(self, alert_id: str) -> bool:
        """Take an acknowledgement back; False: there is none."""
        ...

    def firing(self, alert_id: str) -> bool:
        """Whether there is such an alert, and it has not ended."""
        ...


def newest_first(found: Sequence[Silence]) -> list[Silence]:
    """For people."""
    return sorted(found, key=lambda silence: silence.created_at, reverse=True)
