"""What each thread of a process is at, in memory that outlives it: told by parts of a daemon, which
are the real ones otherwise."""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.flow import judge
from harness.tape import Tape
from sqlalchemy import Engine, event

from monitor.alert.base import Notifier
from monitor.score.base import Verdicts
from monitor.score.memory import MemoryScorer
from monitor.source.base import Batch
from monitor.store.base import (
    Commit,
    GroupState,
    Notification,
    NotificationStatus,
    OutboxChange,
    OutboxRow,
)
from monitor.store.outbox import SqlOutbox
from monitor.store.sql import SqlStore

_SHORTEST = 0.01  # seconds of a wait


class Phases:
    """What each thread of a life is at: a byte of shared memory that outlives it."""

    MAIN = ("starting", "reading", "scoring", "counting", "writing", "committing", "committed")
    DELIVERY = ("starting", "reading", "deciding", "writing", "committing", "waiting")
    LANE = ("idle", "under way", "answered")
    """Of a request, or a publication; ``answered`` until that is written."""

    def __init__(self, lanes: Sequence[str]) -> None:
        self._names = {"MainThread": self.MAIN, "delivery": self.DELIVERY}
        self._names |= dict.fromkeys(lanes, self.LANE)
        self._slots = {name: slot for slot, name in enumerate(self._names)}
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def clear(self) -> None:
        for slot in self._slots.values():
            self._memory[slot] = 0

    def mark(self, phase: str, thread: str | None = None) -> None:
        """This thread, or that of this name, is at ``phase`` from now on."""
        name = thread or threading.current_thread().name
        if name in self._slots:
            self._memory[self._slots[name]] = self._names[name].index(phase)

    def of(self, thread: str) -> str:
        return self._names[thread][self._memory[self._slots[thread]]]

    def is_at(self, thread: str, phase: str) -> bool:
        """Whether a thread whose name begins so is there."""
        return any(self.of(name) == phase for name in self._names if name.startswith(thread))

    def all(self) -> dict[str, str]:
        return {name: self.of(name) for name in self._names}


class MarkedScorer(MemoryScorer):
    def __init__(self, phases: Phases) -> None:
        super().__init__(judge)
        self._phases = phases

    def _verdicts(self, texts: Sequence[str]) -> Verdicts:
        self._phases.mark("scoring")
        found = super()._verdicts(texts)
        self._phases.mark("counting")
        return found


class MarkedTape(Tape):
    def __init__(self, end: int, phases: Phases) -> None:
        super().__init__(end)
        self._phases = phases

    def poll(self, timeout: float, limit: int) -> Batch:
        self._phases.mark("reading")
        return super().poll(timeout, limit)


class MarkedStore(SqlStore):
    def __init__(self, engine: Engine, phases: Phases) -> None:
        super().__init__(engine)
        self._phases = phases

    def apply(self, commit: Commit) -> None:
        self._phases.mark("writing")
        super().apply(commit)
        self._phases.mark("committed")


class MarkedOutbox(SqlOutbox):
    def __init__(self, engine: Engine, phases: Phases) -> None:
        super().__init__(engine)
        self._phases = phases

    def rows(self, limit: int, skip: Collection[str] = ()) -> Sequence[OutboxRow]:
        self._phases.mark("reading")
        found = super().rows(limit, skip)
        self._phases.mark("deciding")
        return found

    def groups(self) -> Sequence[GroupState]:
        self._phases.mark("reading")
        return super().groups()

    def due(self, now: datetime, limit: int, skip: Collection[str] = ()) -> Sequence[Notification]:
        self._phases.mark("reading")
        found = super().due(now, limit, skip)
        self._phases.mark("deciding")
        return found

    def save(self, change: OutboxChange) -> None:
        self._phases.mark("writing")
        super().save(change)
        self._phases.mark("deciding")
        for notification in change.put_notifications:
            if notification.attempts or notification.status is not NotificationStatus.PENDING:
                self._phases.mark("idle", f"send-{notification.receiver}")
        if change.delete_rows and self._phases.of("publish") == "answered":
            self._phases.mark("idle", "publish")


@dataclass(frozen=True)
class MarkedNotifier:
    inner: Notifier
    phases: Phases

    def send(self, notification: Notification, now: datetime) -> str | None:
        self.phases.mark("under way")
        try:
            return self.inner.send(notification, now)
        finally:
            self.phases.mark("answered")

    def close(self) -> None:
        self.inner.close()


class MarkedTopics:
    """A `Publisher` into a file: a line of JSON for each message, all of a call in one write."""

    def __init__(self, path: Path, phases: Phases) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._phases = phases

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        self._phases.mark("under way")
        lines = (json.dumps([topic, value.decode()]) for _, value in messages)
        os.write(self._file, "".join(f"\n{line}\n" for line in lines).encode())
        self._phases.mark("answered")

    def close(self) -> None:
        os.close(self._file)


class MarkedStop(threading.Event):
    """Waits are so many times as short: they are in the receivers' time."""

    def __init__(self, phases: Phases, speed: float) -> None:
        super().__init__()
        self._phases = phases
        self._speed = speed

    def wait(self, timeout: float | None = None) -> bool:
        self._phases.mark("waiting")
        return super().wait(None if timeout is None else max(_SHORTEST, timeout / self._speed))


def mark_commits(engine: Engine, phases: Phases) -> None:
    """A transaction that writes is told from its commit."""

    @event.listens_for(engine, "commit")
    def _committing(_connection: object) -> None:
        thread = threading.current_thread().name
        if thread in ("MainThread", "delivery") and phases.of(thread) == "writing":
            phases.mark("committing")
