"""A delivery loop over a database in memory, in simulated time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from harness.alerts import NOW, START, receivers

from monitor.alert.base import Notifier, Rate
from monitor.alert.codec import alert_to_json
from monitor.alert.group import GroupTiming
from monitor.alert.lane import InlineLane
from monitor.alert.memory import MemoryNotifier
from monitor.clock import ManualClock
from monitor.delivery import DeliveryLoop
from monitor.errors import SourceError
from monitor.events import Alert, AlertStatus
from monitor.store.base import RECEIVERS, Notification, NotificationStatus
from monitor.store.memory import MemoryDatabase, MemoryOutbox

TIMING = GroupTiming()


def ended(made: Alert) -> Alert:
    return replace(made, status=AlertStatus.RESOLVED, resolved_at=START + timedelta(hours=1))


@dataclass
class MemoryPublisher:
    """Topics named in ``failing`` refuse."""

    failing: set[str] = field(default_factory=set)
    written: list[tuple[str, bytes | None, bytes]] = field(default_factory=list)

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        if topic in self.failing:
            raise SourceError(f"{topic}: not authorised")
        self.written.extend((topic, key, value) for key, value in messages)

    def close(self) -> None:
        pass


@dataclass
class Counted:
    """The metrics as a list of calls."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def published(self, topic: str, messages: int) -> None:
        self.calls.append(("published", topic, messages))

    def delivered(self, receiver: str, seconds: float) -> None:
        self.calls.append(("delivered", receiver, seconds))

    def failed(self, destination: str, retryable: bool) -> None:
        self.calls.append(("failed", destination, retryable))

    def dead(self, receiver: str) -> None:
        self.calls.append(("dead", receiver))

    def lag(self, seconds: float) -> None:
        self.lags.append(seconds)


class Bench:
    """A loop over a database in memory; ``run`` steps through simulated time."""

    def __init__(self, **notifiers: Notifier) -> None:
        self.db = MemoryDatabase()
        self.clock = ManualClock(NOW)
        self.publisher = MemoryPublisher()
        self.metrics = Counted()
        self.ops = MemoryNotifier()
        self.rates: dict[str, tuple[Rate, ...]] = {}
        self.notifiers: dict[str, Notifier] = {"ops": self.ops, **notifiers}
        self.loop = self.restarted()

    def restarted(self) -> DeliveryLoop:
        told = receivers(self.notifiers)
        for name, rates in self.rates.items():
            told[name] = replace(told[name], rates=rates)
        self.loop = DeliveryLoop(
            MemoryOutbox(self.db),
            self.publisher,
            told,
            TIMING,
            self.metrics,
            self.clock,
            lambda: 0.5,
            lane=InlineLane,
        )
        return self.loop

    def put(self, *alerts: Alert) -> None:
        for item in alerts:
            self.db.append(RECEIVERS, alert_to_json(item), self.clock.now())

    def publish(self, topic: str, payload: bytes = b'{"key": "k", "value": {"n": 1}}') -> None:
        self.db.append(topic, payload, self.clock.now())

    def step(self, seconds: float = 0.0) -> float:
        self.clock.advance(seconds)
        return self.loop.step(self.clock.now())

    def run(self, seconds: float, every: float = 5.0) -> None:
        for _ in range(round(seconds / every)):
            self.step(every)

    def statuses(self) -> list[NotificationStatus]:
        ordered = sorted(self.db.notifications.values(), key=lambda n: n.created_at)
        return [notification.status for notification in ordered]


def told(notifications: Iterable[Notification]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(status of the body, (alert, status) pairs) of each notification."""
    bodies = [json.loads(notification.body) for notification in notifications]
    return [
        (body["status"], [(a["labels"]["alert_id"], a["status"]) for a in body["alerts"]])
        for body in bodies
    ]
