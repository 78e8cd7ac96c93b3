"""A receiver in memory, with scripted answers: for tests and simulations."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from monitor.alert.retry import judge
from monitor.errors import DeliveryError
from monitor.store.base import Notification


@dataclass(frozen=True, slots=True)
class Reply:
    """The receiver answers with this HTTP status."""

    status: int = 200
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks; ``received``: only after the receiver has taken the notification."""

    received: bool = False


class MemoryNotifier:
    """Plays its script, one entry an attempt, then answers ``otherwise`` for ever."""

    def __init__(
        self, script: Iterable[Reply | Cut] = (), otherwise: Reply | Cut = Reply()
    ) -> None:
        self.script = deque(script)
        self.otherwise = otherwise
        self.attempts: list[tuple[Notification, datetime]] = []
        self.received: list[Notification] = []
        """What the receiver took, repetitions included."""
        self._closed = False

    def send(self, notification: Notification, now: datetime) -> None:
        """See ``Notifier.send``."""
        if self._closed:
            raise DeliveryError("the notifier is closed", retryable=True)
        self.attempts.append((notification, now))
        answer = self.script.popleft() if self.script else self.otherwise
        if isinstance(answer, Cut):
            if answer.received:
                self.received.append(notification)
            raise DeliveryError("the connection broke", retryable=True)
        if verdict := judge(answer.status, answer.retry_after, now):
            raise verdict
        self.received.append(notification)

    def close(self) -> None:
        """See ``Notifier.close``."""
        self._closed = True
