"""What the life of an alert depends on beyond the readings of its detector."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from monitor.detect.base import Reading, Recent
from monitor.detect.calendar import Calendar
from monitor.detect.correction import UNCORRECTED, Correction
from monitor.detect.gates import Exhibit, Gate, Gates
from monitor.events import BUCKET_SECONDS, Alert

HOUR = 3600
BLIND = "a source that it depends on does not speak"
CHANGED = "the model has just changed"


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """Gates and times, all in seconds of event time unless said otherwise."""

    gates: Gates = field(default_factory=Gates)
    min_firing: int = 900
    recovery: int = 1800
    """A key has recovered when it was normal for this long …"""
    recovery_documents: int = 20
    """… and over at least this many documents: in a sparse feed silence is not recovery."""
    recovery_voices: float = 3.0
    """… and, where their number is what rose, for as long as it takes to hear so many at the rate
    at which it fired: of three that were to be expected none comes in one case of twenty."""
    accept_after: int = 86_400
    """After so long a firing key's level is accepted as the new normal."""
    accept_pending: int = 3 * 86_400
    """So long after its rise began, an alarm whose evidence still does not suffice is accepted."""
    critical_excess: float = 100.0
    """evalue / threshold from which an alert is critical …"""
    critical_points: float = 0.1
    """… if the lower bound of the corrected share lies so far above its baseline …"""
    critical_factor: float = 3.0
    """… or there are so many times the usual voices."""
    evidence: int = 10
    """Documents kept as evidence."""
    cool_down: int = 86_400
    """For so long after a company's alert has ended, what fires of it on one topic is shown under
    it, and the reverse."""
    change_over: int = 3600
    """After a change of model nothing that depends on it pages for so long."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an alert carries about the pass in which it changed."""

    now: datetime
    """Wall time."""
    appended_at: datetime
    """Publication (wall time) of the newest record read."""
    model_version: str


ExhibitOf = Callable[[str, int, int, int], Exhibit]
"""(key, since, until, limit of the evidence); the times in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert at the moment at which it fires, and what it follows from."""

    alert: Alert
    reading: Reading
    exhibit: Exhibit
    gate: Gate
    """What the exhibit had to show."""


Seal = Callable[[Fired], str]
"""Keeps what an alert followed from; gives the SHA-256 of that, or nothing."""


def no_receipt(_fired: Fired) -> str:
    """Keeps nothing."""
    return ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beyond the readings of one detector."""

    recent: Callable[[str, int, int], Recent] = lambda _key, _since, _start: Recent(0, 0.0, 0.0)
    """`Detector.recent`."""
    calendar: Calendar = field(default_factory=Calendar)
    correction: Callable[[str, str], Correction] = lambda _key, _model: UNCORRECTED
    """Of the verdicts for a key by a version of the model."""
    seal: Seal = no_receipt

    def recent_of(self, start: int) -> Callable[[str], Recent]:
        """The hour up to the end of the bucket at ``start``; each key is asked for once."""
        since = start + BUCKET_SECONDS - HOUR
        found: dict[str, Recent] = {}

        def recent(key: str) -> Recent:
            if key not in found:
                found[key] = self.recent(key, since, start)
            return found[key]

        return recent


@dataclass(frozen=True, slots=True)
class Inhibited:
    """Keys of which nobody is paged in one bucket."""

    blind: Collection[str] = ()
    changed: Callable[[str], bool] = lambda _key: False

    def reason(self, key: str) -> str:
        """Why; empty: it may page. Who is not heard outranks whose judge has changed."""
        if key in self.blind:
            return BLIND
        return CHANGED if self.changed(key) else ""
