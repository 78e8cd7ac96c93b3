"""A receiver in memory, with scripted answers: for tests and simulations."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from monitor.alert.base import Answer, Channel, Request
from monitor.alert.retry import judge_answer
from monitor.errors import DeliveryError
from monitor.store.base import Notification


@dataclass(frozen=True, slots=True)
class Reply:
    """The receiver answers with this HTTP status and body."""

    status: int = 200
    retry_after: str | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks; ``received``: only after the receiver has taken the notification."""

    received: bool = False


class MemoryNotifier:
    """Plays its script, one entry a request, then answers ``otherwise`` for ever.

    ``channel`` makes the requests and judges the answers; none: one request, judged by its status.
    """

    def __init__(
        self,
        script: Iterable[Reply | Cut] = (),
        otherwise: Reply | Cut = Reply(),
        channel: Channel | None = None,
    ) -> None:
        self.script = deque(script)
        self.otherwise = otherwise
        self.channel = channel
        self.attempts: list[tuple[Notification, datetime]] = []
        self.requests: list[Request] = []
        self.received: list[Notification] = []
        """What the receiver took, repetitions included."""
        self._closed = False

    def send(self, notification: Notification, now: datetime) -> str | None:
        """See ``Notifier.send``."""
        if self._closed:
            raise DeliveryError("the notifier is closed", retryable=True)
        self.attempts.append((notification, now))
        answer: Reply | Cut = Reply()
        requests = (
            self.channel.requests(notification, "/", now)
            if self.channel
            else [Request(notification.body)]
        )
        for request in requests:
            self.requests.append(request)
            answer = self.script.popleft() if self.script else self.otherwise
            if isinstance(answer, Cut):
                if answer.received:
                    self.received.append(notification)
                raise DeliveryError("the connection broke", retryable=True)
            said = Answer(answer.status, answer.retry_after, answer.body)
            judged = self.channel.verdict(said, now) if self.channel else judge_answer(said, now)
            if judged:
                raise judged
        self.received.append(notification)
        return None

    def close(self) -> None:
        """See ``Notifier.close``."""
        self._closed = True
