"""The demo's feed: every message once its simulated moment has come."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from monitor.clock import ManualClock
from monitor.demo.feed import BURST, Feed, endless
from monitor.demo.stream import SampleMessage, sample_stream
from monitor.errors import SourceError

START = datetime(2026, 3, 2, tzinfo=UTC)


class Scripted:
    """A publisher that keeps what it is given, moves the clock, and may be out."""

    def __init__(self, clock: ManualClock, step: float, out: bool = False) -> None:
        self.sent: list[tuple[datetime, str, bytes]] = []
        self.calls: list[int] = []
        self._clock, self._step, self._out = clock, step, out

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        if self._out:
            raise SourceError("the broker is gone")
        values = [value for _, value in messages]
        self.calls.append(len(values))
        self.sent += [(self._clock.now(), topic, value) for value in values]
        self._clock.advance(self._step)

    def close(self) -> None:
        """Nothing to free."""


def message(number: int, seconds: float, topic: str = "news") -> SampleMessage:
    """One that is due so many seconds after the start."""
    at = START + timedelta(seconds=seconds)
    return SampleMessage(at, topic, None, b"%d" % number, None, None)


def run(messages: Iterator[SampleMessage], publisher: Scripted, clock: ManualClock) -> Feed:
    """Feed until the messages or the publisher end."""
    feed = Feed(messages, publisher, clock, threading.Event())
    feed.start()
    assert feed.finished.wait(30)
    return feed


def test_nothing_is_published_before_its_moment_and_nothing_is_left_out() -> None:
    clock = ManualClock(START)
    publisher = Scripted(clock, step=10)
    due = [message(i, 10.0 * i, "comments" if i % 3 else "news") for i in range(30)]
    feed = run(iter(due), publisher, clock)
    assert 30 == feed.published
    assert [(m.topic, m.value) for m in due] == [(t, v) for _, t, v in publisher.sent]
    assert all(at >= m.at for m, (at, _, _) in zip(due, publisher.sent, strict=True))
    assert feed.failure is None


def test_what_is_overdue_goes_out_in_bounded_bursts() -> None:
    clock = ManualClock(START + timedelta(days=1))
    publisher = Scripted(clock, step=0)
    run((message(i, i) for i in range(2 * BURST + 10)), publisher, clock)
    assert [BURST, BURST, 10] == publisher.calls


def test_a_broker_that_is_gone_stops_the_feed_and_is_remembered() -> None:
    clock = ManualClock(START)
    feed = run(iter([message(1, 0)]), Scripted(clock, 0, out=True), clock)
    assert "the broker is gone" == str(feed.failure)
    assert 0 == feed.published


def test_a_feed_that_waits_can_be_closed() -> None:
    clock = ManualClock(START)
    publisher = Scripted(clock, 0)
    feed = Feed(iter([message(1, 3600)]), publisher, clock, threading.Event())
    feed.start()
    feed.close()
    assert feed.finished.is_set()
    assert [] == publisher.sent


def test_a_feed_that_never_began_can_be_closed() -> None:
    clock = ManualClock(START)
    feed = Feed(iter(()), Scripted(clock, 0), clock, threading.Event())
    feed.close()
    assert 0 == feed.published


def test_the_endless_stream_goes_on_with_the_next_seed() -> None:
    first = list(sample_stream(START, seed=7, days=1))
    second = list(sample_stream(START + timedelta(days=1), seed=8, days=1))
    found = list(islice(endless(START, 7, days=1), len(first) + len(second)))
    assert [*first, *second] == found
