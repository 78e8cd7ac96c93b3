"""The protocol of the verdicts on alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

WHO = 128
"""Most characters of who said it …"""
NOTE = 2_000
"""… and of the note."""


class Judgement(StrEnum):
    """What an alert turned out to be."""

    TRUE = "true"
    FALSE = "false"
    DUPLICATE = "duplicate"
    """It is right, and another alert has told it."""
    EXPECTED = "expected"
    """It is right, and was known beforehand: nobody had to be told."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody said of an alert, and when (wall time)."""

    alert_id: str
    judgement: Judgement
    who: str
    note: str
    at: datetime


class Fired(NamedTuple):
    """An alert that fired, and the last word on it."""

    alert_id: str
    detector: str
    key: str
    fired_at: datetime
    """Event time."""
    evalue: float
    threshold: float
    judgement: Judgement | None
    """None: nobody has judged it."""


class Verdicts(Protocol):
    """Blocks; any thread. Raises ``StoreError``. All verdicts are kept; the last one counts."""

    def give(self, verdict: Verdict) -> bool:
        """Note it; False, and nothing is noted: there is no such alert, or it is of a drill."""
        ...

    def summary(self, alert_id: str) -> str | None:
        """What the alert said; None: there is no such alert, or it is of a drill."""
        ...

    def of(self, alert_id: str) -> list[Verdict] | None:
        """The verdicts on an alert, the last one first; None: there is no such alert."""
        ...

    def last(self, alert_ids: Sequence[str]) -> dict[str, Verdict]:
        """The last word on each of these alerts; those that nobody judged are missing."""
        ...

    def fired(self, since: datetime | None = None) -> list[Fired]:
        """The alerts that fired (event time) at or after a moment, in that order; no drills."""
        ...
