"""Publishes the sample stream at the pace of the demo's clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

from monitor.clock import Clock
from monitor.demo.stream import SampleMessage, sample_stream
from monitor.errors import SourceError
from monitor.source.base import Publisher

log = logging.getLogger(__name__)

TICK = 0.05
"""Seconds between two looks at the clock."""
BURST = 500
"""Messages published at once when the feed has to catch up."""


def endless(start: datetime, seed: int, days: int = 3) -> Iterator[SampleMessage]:
    """The sample stream for ever: each period of ``days`` has the next seed."""
    while True:
        yield from sample_stream(start, seed=seed, days=days)
        start += timedelta(days=days)
        seed += 1


class Feed:
    """A thread that publishes every message once its simulated moment has come."""

    def __init__(
        self,
        messages: Iterator[SampleMessage],
        publisher: Publisher,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._messages = messages
        self._publisher = publisher
        self._clock = clock
        self._stop = stop
        self.published = 0
        self.finished = threading.Event()
        self.failure: SourceError | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop publishing; whatever was begun is finished."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            waiting = next(self._messages, None)
            while waiting is not None and not self._stop.is_set():
                now = self._clock.now()
                due: dict[str, list[tuple[bytes | None, bytes]]] = {}
                count = 0
                while waiting is not None and waiting.at <= now and count < BURST:
                    due.setdefault(waiting.topic, []).append((waiting.key, waiting.value))
                    count += 1
                    waiting = next(self._messages, None)
                for topic, messages in due.items():
                    self._publisher.publish(topic, messages)
                    self.published += len(messages)
                if not count:
                    self._stop.wait(TICK)
        except SourceError as error:
            log.warning("the feed stopped: %s", error)
            self.failure = error
        finally:
            self.finished.set()
