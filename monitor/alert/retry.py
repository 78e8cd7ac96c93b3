"""What an answer of a receiver means, and when to try again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.alert.base import Answer
from monitor.dial import parse_retry_after
from monitor.errors import DeliveryError
from monitor.store.base import Notification, NotificationStatus

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Seconds before the second, third, … attempt; the last one is repeated until LIFETIME is over."""

LIFETIME = timedelta(hours=24)
"""After this age a notification is tried no more: it is a dead letter."""

JITTER = 0.2
"""Each delay is scaled by a uniform factor of 1 ± JITTER, so that receivers that failed together do
not come back together."""

_RETRYABLE = frozenset({408, 425, 429})
_GONE = 410
_DETAIL_LIMIT = 200


def next_delay(
    failures: int, age: timedelta, retry_after: float | None, random: Callable[[], float]
) -> float | None:
    """Seconds until the next attempt, or None when it is time to give up.

    ``failures`` counts the attempts made so far (at least 1), ``age`` is the time since the
    notification was made, ``random`` gives uniform numbers in [0, 1). A Retry-After in seconds
    lengthens the delay, never shortens it; one beyond the longest step is cut to that step, or a
    receiver could park an alert for ever.
    """
    delay = DELAYS[min(failures, len(DELAYS)) - 1] * (1 - JITTER + 2 * JITTER * random())
    if retry_after is not None:
        delay = max(delay, min(retry_after, DELAYS[-1]))
    return delay if age.total_seconds() + delay <= LIFETIME.total_seconds() else None


def after_attempt(
    notification: Notification,
    fault: DeliveryError | None,
    now: datetime,
    random: Callable[[], float],
) -> Notification:
    """The notification after one more attempt that ended ``now``; ``fault`` None: it was taken."""
    attempts = notification.attempts + 1
    if fault is None:
        return replace(
            notification,
            status=NotificationStatus.DELIVERED,
            attempts=attempts,
            delivered_at=now,
            last_error=None,
        )
    delay = None
    if fault.retryable:
        delay = next_delay(attempts, now - notification.created_at, fault.retry_after, random)
    return replace(
        notification,
        status=NotificationStatus.DEAD if delay is None else NotificationStatus.PENDING,
        attempts=attempts,
        next_attempt_at=now + timedelta(seconds=delay or 0.0),
        last_error=str(fault),
    )


def judge(
    status: int, retry_after: str | None, now: datetime, detail: str = ""
) -> DeliveryError | None:
    """None when the HTTP status says that the receiver took it, else the error to raise.

    2xx delivered; 408, 425, 429 and 5xx retryable; 410 gone; every other status, redirects among
    them, is final: the receiver or its address needs a person.
    """
    if 200 <= status < 300:
        return None
    said = f": {printable(detail)}" if detail.strip() else ""
    if status in _RETRYABLE or 500 <= status < 600:
        return DeliveryError(
            f"the receiver answered {status}{said}",
            retryable=True,
            retry_after=parse_retry_after(retry_after, now),
        )
    if status == _GONE:
        return DeliveryError(
            f"the receiver answered 410: it wants no more notifications{said}; "
            "remove it from the configuration, or mend it and restart",
            retryable=False,
            gone=True,
        )
    if 300 <= status < 400:
        return DeliveryError(
            f"the receiver answered {status}: redirects are not followed; "
            "put the final address into the configuration",
            retryable=False,
        )
    return DeliveryError(f"the receiver refused with {status}{said}", retryable=False)


def judge_answer(answer: Answer, now: datetime) -> DeliveryError | None:
    """`judge` for an answer; what it says is in the error."""
    return judge(answer.status, answer.retry_after, now, answer.body.decode(errors="replace"))


def printable(text: str) -> str:
    """The beginning of what the receiver said, safe for one line of a log."""
    flat = " ".join(text.split())[:_DETAIL_LIMIT]
    return "".join(letter if letter.isprintable() else "?" for letter in flat)
