"""The drills in memory: for tests and simulations."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from monitor.events import Alert, AlertStatus
from monitor.keys import DRILL_SCHEDULE, drill_key
from monitor.store.drills.base import Drill, DrillOutcome, Sent, Told, ended
from monitor.store.memory import MemoryDatabase


class MemoryDrills:
    """`Drills` over the same `MemoryDatabase` as a `MemoryStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database

    def begin(self, drill: Drill) -> None:
        """See `Drills.begin`."""
        if drill.id in self.database.drills:
            raise ValueError(f"there was a drill {drill.id} before")
        self.database.drills[drill.id] = drill

    def find(self, identifier: str) -> Drill | None:
        """See `Drills.find`."""
        return self.database.drills.get(identifier)

    def running(self) -> list[Drill]:
        """See `Drills.running`."""
        found = [d for d in self.database.drills.values() if d.outcome is DrillOutcome.RUNNING]
        return sorted(found, key=lambda drill: (drill.started_at, drill.id))

    def latest(
        self, *, scheduled: bool | None = None, outcome: DrillOutcome | None = None
    ) -> Drill | None:
        """See `Drills.latest`."""
        found = [
            drill
            for drill in self.database.drills.values()
            if scheduled in (None, drill.scheduled) and outcome in (None, drill.outcome)
        ]
        return max(found, key=lambda drill: drill.started_at, default=None)

    def sent(self, identifier: str) -> list[Sent]:
        """See `Drills.sent`."""
        found = [
            n for n in self.database.notifications.values() if n.group_key == drill_key(identifier)
        ]
        return [
            Sent(n.receiver, n.status, n.created_at, n.delivered_at, n.attempts, n.last_error)
            for n in sorted(found, key=lambda n: (n.created_at, n.id))
        ]

    def end(
        self, identifier: str, outcome: DrillOutcome, reason: str, at: datetime, told: Told
    ) -> bool:
        """See `Drills.end`."""
        drill = self.database.drills.get(identifier)
        if drill is None or drill.outcome is not DrillOutcome.RUNNING:
            return False
        self.database.drills[identifier] = replace(
            drill, outcome=outcome, reason=reason, ended_at=at
        )
        if (progress := self.database.rehearsed.get(identifier)) is not None:
            self.database.rehearsed[identifier] = replace(progress, evidence=())
        self.sweep(at, told)
        return True

    def sweep(self, at: datetime, told: Told) -> int:
        """See `Drills.sweep`."""
        alive = {drill_key(drill.id) for drill in self.running()} | {DRILL_SCHEDULE}
        left = [a for a in self._firing() if a.key not in alive]
        for alert in left:
            del self.database.alerts[alert.id]
            self._tell(ended(alert, at), at, told)
        return len(left)

    def alarm(self) -> Alert | None:
        """See `Drills.alarm`."""
        return next((a for a in self._firing() if a.key == DRILL_SCHEDULE), None)

    def put_alarm(self, alert: Alert, at: datetime, told: Told) -> None:
        """See `Drills.put_alarm`."""
        self.database.alerts[alert.id] = alert
        self._tell(alert, at, told)

    def _firing(self) -> list[Alert]:
        return [
            a
            for a in self.database.alerts.values()
            if a.detector == "drill" and a.status is AlertStatus.FIRING
        ]

    def _tell(self, alert: Alert, at: datetime, told: Told) -> None:
        for row in told(alert):
            self.database.append(row.destination, row.payload, at)
