"""The protocols of delivery: what a notification says, a channel's format, a receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from monitor.alert.group import GroupTiming
from monitor.alert.hours import DigestHours, QuietHours
from monitor.alert.payload import Links, no_links
from monitor.errors import DeliveryError
from monitor.events import Alert
from monitor.store.base import Notification


@dataclass(frozen=True, slots=True)
class Notice:
    """What one notification says, before it has a format."""

    id: str
    """Of the notification: constant over its retries."""
    receiver: str
    key: str
    alerts: tuple[Alert, ...]
    external_url: str
    """The dashboard, as the receiver sees it; empty: none."""
    at: datetime
    """Wall time at which it was made."""
    test: bool = False
    """Made by a person who tries the receiver: nothing has happened."""
    links: Links = no_links
    """What else its alerts lead to, where the format has room for annotations."""


Render = Callable[[Notice], bytes]
"""A notice as the bytes that are frozen in the outbox. The same notice gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many messages in any so many seconds."""

    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """One POST."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    """Path and query in place of the URL's own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, ``Retry-After``, the beginning of the body."""

    status: int
    retry_after: str | None = None
    body: bytes = b""


class Channel(Protocol):
    """A format over HTTP: how a notice looks, what is sent, which answer is a delivery. Pure."""

    rates: tuple[Rate, ...]
    """What the other side allows one sender."""
    status_only: bool
    """The HTTP status decides; the body of a 2xx is not waited for."""

    def render(self, notice: Notice) -> bytes:
        """See ``Render``. No secret may be in it: it is stored."""
        ...

    def requests(self, notification: Notification, path: str, now: datetime) -> Iterable[Request]:
        """The POSTs of one attempt, in their order. Taking them again must be harmless.

        ``path``: that of the configured URL. What may differ between two attempts is an envelope:
        a signature's time, an expiry.
        """
        ...

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """None: it was taken. The channel's own success test, not the HTTP status alone."""
        ...


class Notifier(Protocol):
    """Delivers one notification to one receiver. Blocks, with a time limit of its own."""

    def send(self, notification: Notification, now: datetime) -> str | None:
        """Deliver it, or raise ``DeliveryError``, which says whether a retry can help.

        ``now`` is the wall time that goes into the signature. Taking the same notification twice
        must be harmless for the receiver: its id and body are the same on every attempt. Returns
        what the receiver answered, for a person to read.
        """
        ...

    def close(self) -> None:
        """Drop the connections. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """One who is told: the way there, the format, and what is asked of the sender."""

    notifier: Notifier
    render: Render
    rates: tuple[Rate, ...] = ()
    timing: GroupTiming | None = None
    """In place of the timing of all."""
    quiet: QuietHours | None = None
    digest: DigestHours | None = None
    """When what a route left to the digest is sent."""
    stateful: bool = False
    """It keeps an alert open until it is sent the end."""
