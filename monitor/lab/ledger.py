"""What became of the alerts of one set of rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from monitor.events import Alert
from monitor.keys import display_name


@dataclass(frozen=True, slots=True)
class Outcome:
    """An alert as it was last seen, and what came of it before."""

    alert: Alert
    sent_at: datetime | None
    """Event time at which people were first told; None: they never were."""
    note: str
    """Why they were not told, or not at once; empty: they were."""

    @property
    def began(self) -> datetime:
        """When it was first in alarm: it fired, or its evidence was not enough."""
        return self.alert.fired_at or self.alert.started_at


class Ledger:
    """Alerts by id, each as it was last changed."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}
        self._sent: dict[str, datetime] = {}
        self._notes: dict[str, str] = {}

    def note(self, alerts: Iterable[Alert], at: datetime) -> None:
        """These have changed by ``at`` (event time)."""
        for alert in alerts:
            self._alerts[alert.id] = alert
            if alert.sent and alert.id not in self._sent:
                # One that was shown elsewhere first is told when that has ended.
                held_back = alert.id in self._notes and alert.fired_at is not None
                late = held_back and not self._notes[alert.id].startswith("insufficient")
                self._sent[alert.id] = at if late else alert.fired_at or at
            elif not alert.sent and (why := reason(alert)):
                self._notes[alert.id] = why

    @property
    def live(self) -> list[Alert]:
        """Those pending or firing, as a database would give them."""
        there = [a for a in self._alerts.values() if a.resolved_at is None]
        return sorted(there, key=lambda alert: (alert.started_at, alert.id))

    def outcomes(self) -> list[Outcome]:
        """All of them, in the order in which they began."""
        found = [
            Outcome(alert, self._sent.get(name), self._notes.get(name, ""))
            for name, alert in self._alerts.items()
        ]
        return sorted(found, key=lambda o: (o.began, o.alert.key, o.alert.id))


def reason(alert: Alert) -> str:
    """Why people are not told of an alert as it is; empty: they are, or it has ended."""
    setting = alert.setting
    if alert.fired_at is None:
        return f"insufficient: {setting.insufficient}" if setting.insufficient else ""
    if setting.expected:
        return f"expected: {setting.expected}"
    return f"under {display_name(setting.under)}" if setting.under else ""
