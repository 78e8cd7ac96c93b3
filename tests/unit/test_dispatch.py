"""The sender over the in-memory adapters: killed at every step, fenced, failing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from monitor.errors import LeaseError, SourceError, StoreError
from monitor.events import Partition
from monitor.source.dispatch import Dispatcher, Key
from monitor.source.memory import MemoryLog, MemoryTransactions
from monitor.store.publishing.base import Backlog, Doubt, Message, Publishing, Waiting
from monitor.store.publishing.memory import MemoryLanes, MemoryPublishing

T0 = datetime(2026, 3, 2, tzinfo=UTC)
MESSAGES = [Message(("news", "comments")[n % 2], f"id-{n}", b"%d" % n) for n in range(7)]


class KilledError(BaseException):
    """The process ends here; nothing after it runs."""


class Fate:
    """Counts the calls of a sender and lets it fail before or after one of them."""

    def __init__(self, at: int = -1, error: Callable[[], BaseException] = KilledError) -> None:
        self._at = at
        self._error = error
        self.calls = 0

    def cross(self) -> None:
        self.calls += 1
        if self.calls - 1 == self._at:
            raise self._error()


class FatedPublishing:
    """A `Publishing` with a chance to die on either side of each change."""

    def __init__(self, inner: Publishing, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def open(self) -> str:
        return self._inner.open()

    def add(self, messages: Sequence[Message], now: datetime) -> None:
        self._inner.add(messages, now)

    def waiting(self, limit: int) -> Sequence[Waiting]:
        return self._inner.waiting(limit)

    def doubt(self) -> Doubt | None:
        return self._inner.doubt()

    def note(self, rows: Collection[int], ends: Mapping[Partition, int]) -> None:
        self._fate.cross()
        self._inner.note(rows, ends)
        self._fate.cross()

    def settle(self, sent: Collection[int]) -> None:
        self._fate.cross()
        self._inner.settle(sent)
        self._fate.cross()

    def backlog(self) -> Backlog:
        return self._inner.backlog()

    def close(self) -> None:
        self._inner.close()


class FatedLog:
    """A `TransactionLog` with a chance to die on either side of each call."""

    def __init__(self, inner: MemoryTransactions, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def ends(self, topics: Collection[str]) -> Mapping[Partition, int]:
        self._fate.cross()
        return self._inner.ends(topics)

    def publish(self, messages: Sequence[Message]) -> None:
        self._fate.cross()
        self._inner.publish(messages)
        self._fate.cross()

    def found(self, since: Mapping[Partition, int], keys: Collection[Key]) -> set[Key]:
        self._fate.cross()
        return self._inner.found(since, keys)

    def close(self) -> None:
        self._inner.close()


class World:
    """A database and a log that outlive their senders."""

    def __init__(self) -> None:
        self.lanes = MemoryLanes()
        self.log = MemoryLog(["news", "comments"], 2)
        MemoryPublishing(self.lanes, "feeds").add(MESSAGES, T0)

    def sender(self, fate: Fate | None = None, page: int = 3) -> Dispatcher:
        fate = fate or Fate()
        sender = Dispatcher(
            FatedPublishing(MemoryPublishing(self.lanes, "feeds"), fate),
            lambda identity: FatedLog(MemoryTransactions(self.log, identity), fate),
            page=page,
        )
        sender.open()
        return sender

    def written(self) -> list[str]:
        records = [*self.log.records("news"), *self.log.records("comments")]
        return sorted((record.key or b"").decode() for record in records)


def drain(sender: Dispatcher) -> None:
    while sender.step():
        pass


def every_call() -> range:
    fate = Fate()
    drain(World().sender(fate))
    return range(fate.calls)


EVERY = [message.id for message in MESSAGES]


def test_every_message_is_written_once_with_its_id_as_the_key() -> None:
    world = World()
    drain(world.sender())

    assert EVERY == world.written()
    assert Backlog(0, None) == MemoryPublishing(world.lanes, "feeds").backlog()


@pytest.mark.parametrize("at", every_call())
@pytest.mark.parametrize("again", [-1, 0, 1, 2, 3, 4])
def test_killed_at_any_call_and_at_any_of_the_next_start_each_is_written_once(
    at: int, again: int
) -> None:
    world = World()
    for fate in (Fate(at), Fate(again)):
        try:
            drain(world.sender(fate))
        except KilledError:
            continue
    drain(world.sender())

    assert EVERY == world.written()


@pytest.mark.parametrize("at", every_call())
@pytest.mark.parametrize("kind", [SourceError, StoreError])
def test_a_call_whose_outcome_is_unknown_is_found_out_by_the_next_step(
    at: int, kind: type[SourceError | StoreError]
) -> None:
    world = World()
    sender = world.sender(Fate(at, lambda: kind("lost")))
    for _ in range(2):
        try:
            drain(sender)
        except kind:
            continue

    assert EVERY == world.written()


def test_a_sender_that_was_replaced_ends_and_writes_nothing_more() -> None:
    world = World()
    old = world.sender()
    old.step()
    new = world.sender()
    new.step()

    with pytest.raises((LeaseError, SourceError)):
        old.step()
    with pytest.raises(LeaseError):
        old.step()
    drain(new)
    assert EVERY == world.written()


def test_a_producer_that_was_fenced_cannot_write_what_the_new_one_sends() -> None:
    world = World()
    old = MemoryTransactions(world.log, "same")
    MemoryTransactions(world.log, "same")

    with pytest.raises(SourceError, match="fenced"):
        old.publish(MESSAGES)
    assert [] == world.written()


def test_run_repeats_what_failed_and_ends_when_told() -> None:
    world = World()
    stop = threading.Event()
    waits: list[float] = []

    class Counted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    counted = Counted()
    sender = world.sender(Fate(2, lambda: SourceError("lost")))

    def idle(timeout: float | None = None) -> bool:
        counted.set()
        return True

    sender._woken.wait = idle  # type: ignore[method-assign]
    sender.run(counted)
    stop.set()

    assert [1.0] == waits
    assert EVERY == world.written()


def test_run_raises_what_waiting_cannot_mend() -> None:
    world = World()
    fatal = StoreError("no database", retryable=False)
    with pytest.raises(StoreError, match="no database"):
        world.sender(Fate(1, lambda: fatal)).run(threading.Event())


def test_a_step_before_open_is_a_fault_of_the_program() -> None:
    world = World()
    sender = Dispatcher(MemoryPublishing(world.lanes, "feeds"), lambda _: pytest.fail("connected"))
    with pytest.raises(RuntimeError, match="open"):
        sender.step()
