"""The verdicts in memory: for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitor.store.memory import MemoryDatabase
from monitor.store.verdicts.base import Fired, Verdict


class MemoryVerdicts:
    """`Verdicts` over the same `MemoryDatabase` as a `MemoryStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.given: list[Verdict] = []

    def give(self, verdict: Verdict) -> bool:
        """See `Verdicts.give`."""
        alert = self.database.alerts.get(verdict.alert_id)
        if alert is None or alert.detector == "drill":
            return False
        self.given.append(verdict)
        return True

    def summary(self, alert_id: str) -> str | None:
        """See `Verdicts.summary`."""
        alert = self.database.alerts.get(alert_id)
        return None if alert is None or alert.detector == "drill" else alert.summary

    def of(self, alert_id: str) -> list[Verdict] | None:
        """See `Verdicts.of`."""
        found = [v for v in reversed(self.given) if v.alert_id == alert_id]
        return found if found or alert_id in self.database.alerts else None

    def last(self, alert_ids: Sequence[str]) -> dict[str, Verdict]:
        """See `Verdicts.last`."""
        return {v.alert_id: v for v in self.given if v.alert_id in alert_ids}

    def fired(self, since: datetime | None = None) -> list[Fired]:
        """See `Verdicts.fired`."""
        last = {v.alert_id: v.judgement for v in self.given}
        found = [
            Fired(a.id, a.detector, a.key, a.fired_at, a.evalue, a.threshold, last.get(a.id))
            for a in self.database.alerts.values()
            if a.fired_at is not None
            and a.detector != "drill"
            and (since is None or a.fired_at >= since)
        ]
        return sorted(found, key=lambda each: (each.fired_at, each.alert_id))
