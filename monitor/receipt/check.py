"""What one check of an alert came to, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from monitor.receipt.base import Receipt

_NAMED = 5
"""Documents that are named one by one in a sentence."""


class Outcome(StrEnum):
    """What one check came to."""

    SAME = "same"
    DIFFERS = "differs"
    CHANGED = "changed since"
    """Something else than then, which the receipt does not need to give its figure."""
    GONE = "gone for age"
    """What retention has deleted in its time; the rest is the same."""
    OPEN = "not checkable"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of an audit."""

    what: str
    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was checked of one alert."""

    alert_id: str
    checks: tuple[Check, ...]
    receipt: Receipt | None = None

    @property
    def outcome(self) -> Outcome:
        """`SAME`: the figure is reproduced; `DIFFERS`, or `OPEN`: it cannot be recomputed, or
        something that was asked for cannot be looked at."""
        found = {check.outcome for check in self.checks}
        for worst in (Outcome.DIFFERS, Outcome.OPEN):
            if worst in found:
                return worst
        return Outcome.SAME


def some(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def minute(seconds: int) -> str:
    """Seconds since the epoch, as a person reads them (UTC)."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
