"""When a feed is polled next: pure. And who may ask a host now."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

JITTER = 0.1
"""Each delay is scaled by a uniform factor of 1 ± JITTER, so that feeds do not march in step."""
GONE = timedelta(days=1)
"""How often a feed that said 410 is asked whether it is back."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How often, in seconds."""

    interval: float
    max_backoff: float = 6 * 3600.0


def next_poll(
    pacing: Pacing,
    failures: int,
    retry_after: float | None,
    gone: bool,
    now: datetime,
    random: Callable[[], float],
) -> datetime:
    """When to poll again after ``failures`` in a row (0: it worked): each doubles the interval, up
    to ``max_backoff`` (the interval itself, where that is longer).

    ``random`` gives uniform numbers in [0, 1). A Retry-After lengthens the delay, up to a day.
    """
    most = max(pacing.max_backoff, pacing.interval)
    delay = min(pacing.interval * 2.0 ** min(failures, 30), most)
    if gone:
        delay = max(delay, GONE.total_seconds())
    delay *= 1 - JITTER + 2 * JITTER * random()
    if retry_after is not None:
        delay = max(delay, min(retry_after, 86_400.0))
    return now + timedelta(seconds=delay)


class Hosts:
    """Lets one host be asked by so many at once, and no two begin within ``spacing`` seconds.

    Nobody waits here: who may not enter is told after how long to come back. From any thread.
    """

    def __init__(self, spacing: float, at_once: int, monotonic: Callable[[], float]) -> None:
        self._spacing = spacing
        self._at_once = at_once
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._inside: defaultdict[str, int] = defaultdict(int)
        self._next: dict[str, float] = {}

    def enter(self, host: str) -> float:
        """0: go on, and `leave` afterwards. Else the seconds after which to ask again."""
        with self._lock:
            now = self._monotonic()
            free = self._next.get(host, now)
            if free > now:
                return free - now
            if self._inside[host] >= self._at_once:
                return self._spacing or 1.0
            self._inside[host] += 1
            self._next[host] = now + self._spacing
            return 0.0

    def leave(self, host: str) -> None:
        """The request has ended."""
        with self._lock:
            self._inside[host] -= 1
            if not self._inside[host]:
                del self._inside[host]
                if self._next.get(host, 0.0) <= self._monotonic():
                    self._next.pop(host, None)
