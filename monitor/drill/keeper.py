"""Ends drills: gives each its outcome, clears up behind it, and lets a scheduled one that did not
pass be an alert of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from monitor.drill.judge import judge
from monitor.drill.rule import DETECTOR, VERSION, alert_id
from monitor.drill.texts import DOCUMENTS
from monitor.events import Alert, AlertStatus, Severity
from monitor.keys import DRILL_SCHEDULE
from monitor.store.drills.base import Drill, DrillOutcome, Drills, Told

log = logging.getLogger(__name__)


class DrillMetrics(Protocol):
    """What is reported of drills."""

    def ended(self, outcome: DrillOutcome, at: datetime) -> None:
        """One more has this outcome."""
        ...


class NoMetrics:
    """Of a command beside the daemon."""

    def ended(self, outcome: DrillOutcome, at: datetime) -> None:
        """Nobody asks."""


class Keeper:
    """Looks at the drills that run; one in each daemon."""

    def __init__(
        self,
        drills: Drills,
        receivers: Sequence[str],
        told: Told,
        wall: Callable[[], datetime],
        metrics: DrillMetrics | None = None,
    ) -> None:
        """``receivers``: the names of those that are configured; ``told`` makes the rows of the
        outbox for a change of an alert."""
        self._drills = drills
        self._receivers = tuple(receivers)
        self._told = told
        self._wall = wall
        self._metrics = metrics or NoMetrics()

    def look(self) -> None:
        """One pass over the drills that run. Raises ``StoreError``."""
        for drill in self._drills.running():
            sent = self._drills.sent(drill.id)
            outcome, reason = judge(drill, sent, self._receivers, self._wall())
            if outcome is not DrillOutcome.RUNNING:
                self.end(drill, outcome, reason)
        self._drills.sweep(self._wall(), self._told)

    def end(self, drill: Drill, outcome: DrillOutcome, reason: str) -> None:
        """Give a running drill its outcome, unless somebody else was faster."""
        if self._drills.end(drill.id, outcome, reason, self._wall(), self._told):
            self._report(drill, outcome, reason)

    def miss(self, drill: Drill) -> None:
        """Note a drill that was due and did not begin."""
        self._drills.begin(drill)
        self._report(drill, drill.outcome, drill.reason)

    def _report(self, drill: Drill, outcome: DrillOutcome, reason: str) -> None:
        now = self._wall()
        self._metrics.ended(outcome, now)
        alarm = self._drills.alarm()
        if outcome is DrillOutcome.PASSED:
            log.info("drill %s passed", drill.id)
            if alarm is not None:
                over = replace(alarm, status=AlertStatus.RESOLVED, resolved_at=now, updated_at=now)
                self._drills.put_alarm(over, now, self._told)
            return
        log.error("drill %s %s: %s", drill.id, outcome.value, reason)
        if drill.scheduled and alarm is None:
            self._drills.put_alarm(_alarm(drill, outcome, reason, now), now, self._told)


def _alarm(drill: Drill, outcome: DrillOutcome, reason: str, now: datetime) -> Alert:
    """It has no event time: all of its times are wall time."""
    word = "was missed" if outcome is DrillOutcome.MISSED else "failed"
    return Alert(
        id=alert_id(f"schedule|{drill.id}"),
        key=DRILL_SCHEDULE,
        detector=DETECTOR,
        detector_version=VERSION,
        status=AlertStatus.FIRING,
        severity=Severity.CRITICAL,
        started_at=drill.started_at,
        fired_at=now,
        resolved_at=None,
        value=0.0,
        baseline=1.0,
        evalue=1.0,
        threshold=1.0,
        documents=drill.arrived,
        negative=drill.negative,
        window_start=drill.started_at,
        window_end=now,
        summary=f"The scheduled drill {word}: a real crisis might not be told either. "
        f"{reason[:1].upper()}{reason[1:]}",
        model_version=drill.model_version,
        appended_at=drill.appended_at or drill.started_at,
        updated_at=now,
        posts=DOCUMENTS,
        stories=DOCUMENTS,
        largest_story=1,
    )
