"""Messages from the database into Kafka, each exactly once, whatever crashes when.

Kafka's transactions alone do not join a commit there with one here. So an attempt is noted first,
with the ends of the logs; then it is sent as one transaction; then it is settled. What a crash
leaves in doubt is decided by the log itself: once the producer before this one is fenced, nothing
of its attempt can arrive any more, and a message is in the log behind the noted ends or it will
never be.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from monitor.errors import MonitorError
from monitor.events import Partition
from monitor.store.publishing.base import Message, Publishing

log = logging.getLogger(__name__)

PAGE = 200
"""Messages of one transaction."""
DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next attempt after a failure; the last one is repeated for ever."""


Key = tuple[str, str]
"""Topic and id of a message."""


class TransactionLog(Protocol):
    """Kafka as one sender sees it. Its making fences the sender of the same identity before it and
    ends what that one left open. Blocks; raises ``SourceError``, after which it must be closed."""

    def ends(self, topics: Collection[str]) -> Mapping[Partition, int]:
        """The logs' ends, unfinished transactions included."""
        ...

    def publish(self, messages: Sequence[Message]) -> None:
        """Write all of them, or none that a reader of committed records can see. After an error
        nobody knows which. A message's id is its record's key."""
        ...

    def found(self, since: Mapping[Partition, int], keys: Collection[Key]) -> set[Key]:
        """Those among these messages that are committed at or behind ``since``; partitions that it
        does not name are read from their start."""
        ...

    def close(self) -> None:
        """Disconnect; an open transaction is aborted. Idempotent."""
        ...


class DispatchMetrics(Protocol):
    """What a sender reports."""

    def sent(self, messages: int) -> None:
        """So many more messages are in Kafka."""
        ...

    def failed(self) -> None:
        """An attempt failed; it is repeated."""
        ...


class Dispatcher:
    """Sends one lane's messages. One thread owns it.

    ``connect`` makes the log of an identity (`Publishing.open`); it is called again after every
    failure, since only a new one fences what the old one may still have on its way.
    """

    def __init__(
        self,
        publishing: Publishing,
        connect: Callable[[str], TransactionLog],
        metrics: DispatchMetrics | None = None,
        page: int = PAGE,
    ) -> None:
        self._publishing = publishing
        self._connect = connect
        self._metrics = metrics
        self._page = page
        self._log: TransactionLog | None = None
        self._identity: str | None = None
        self._woken = threading.Event()

    def open(self) -> None:
        """Take the lane: a sender that has it already is fenced. Raises ``StoreError``."""
        self._identity = self._publishing.open()

    def step(self) -> int:
        """Send the oldest messages; how many left the database (0: none wait).

        Raises ``SourceError`` or ``StoreError``: nothing is lost, and the next step finds out how
        far this one came. ``LeaseError`` is for good.
        """
        if self._identity is None:
            raise RuntimeError("open() must come first: it takes the lane")
        try:
            if self._log is None:
                # Fencing is only for the holder of the lease, so the lease is looked at first.
                self._publishing.doubt()
                self._log = self._connect(self._identity)
                if settled := self._resolve(self._log):
                    return settled
            return self._send(self._log)
        except BaseException:
            self._discard()
            raise

    def run(self, stop: threading.Event, idle: float = 1.0) -> None:
        """Step until ``stop`` is set, looking every ``idle`` seconds or when woken. Raises what
        waiting cannot mend."""
        failures = 0
        while not stop.is_set():
            self._woken.clear()
            try:
                busy = self.step()
                failures = 0
            except MonitorError as error:
                if not error.retryable:
                    raise
                if self._metrics is not None:
                    self._metrics.failed()
                delay = DELAYS[min(failures, len(DELAYS) - 1)]
                failures += 1
                log.warning("sending failed, again in %g s: %s", delay, error)
                stop.wait(delay)
                continue
            if not busy:
                self._woken.wait(idle)

    def wake(self) -> None:
        """Something was added: look at once. From any thread."""
        self._woken.set()

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._discard()

    def _resolve(self, kafka: TransactionLog) -> int:
        """Settle the attempt that was left in doubt; how many of its messages had been written."""
        doubt = self._publishing.doubt()
        if doubt is None:
            return 0
        keys = {(message.topic, message.id) for _, message in doubt.waiting}
        found = kafka.found(doubt.ends, keys)
        written = [row for row, message in doubt.waiting if (message.topic, message.id) in found]
        self._publishing.settle(written)
        log.info("of %d messages in doubt %d were in Kafka", len(doubt.waiting), len(written))
        self._count(len(written))
        return len(written)

    def _send(self, kafka: TransactionLog) -> int:
        page = self._publishing.waiting(self._page)
        if not page:
            return 0
        rows = [row for row, _ in page]
        self._publishing.note(rows, kafka.ends({message.topic for _, message in page}))
        kafka.publish([message for _, message in page])
        self._publishing.settle(rows)
        self._count(len(rows))
        return len(rows)

    def _count(self, messages: int) -> None:
        if self._metrics is not None and messages:
            self._metrics.sent(messages)

    def _discard(self) -> None:
        held, self._log = self._log, None
        if held is not None:
            with suppress(MonitorError):
                held.close()
