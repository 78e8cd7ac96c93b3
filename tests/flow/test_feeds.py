"""A feed on loopback that dies, comes back, repeats and back-dates; what comes of it in Kafka."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.publisher import Entry, Publisher, Reply, conditional, inside, publishing, rss
from kafka import KafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from monitor import cli, log
from monitor.clock import ManualClock
from monitor.dial import Limits
from monitor.source.client import client_options, ensure_topics
from monitor.source.dispatch import Dispatcher
from monitor.source.feeds.fetch import Fetcher
from monitor.source.feeds.message import Channel
from monitor.source.feeds.metrics import FeedMetrics
from monitor.source.feeds.poll import Rules
from monitor.source.feeds.reader import Feed, Reader
from monitor.source.feeds.schedule import Pacing
from monitor.source.memory import MemoryLog, MemoryTransactions
from monitor.source.settings import KafkaSettings
from monitor.store.feeds.base import FeedCommit, FeedState
from monitor.store.feeds.memory import MemoryFeeds, MemoryFeedTables
from monitor.store.publishing.memory import MemoryLanes, MemoryPublishing

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=10)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as server:
        yield server


class KilledError(BaseException):
    """The process ends here."""


class World:
    """What outlives a process: the database, the log, the publisher, the clock."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.entries: list[Entry] = []
        publisher.pages["/feed"] = conditional(lambda: rss(*self.entries))
        self.clock = ManualClock(T0)
        self.lanes = MemoryLanes()
        self.tables = MemoryFeedTables(self.lanes)
        self.log = MemoryLog(["news"], 3)
        self.feed = Feed(
            "wire",
            publisher.url(),
            inside(),
            Channel("news", "news", "The Wire"),
            Rules(interval=STEP),
            Pacing(STEP.total_seconds()),
        )

    def process(
        self, commit: Callable[[], None] = lambda: None, kafka: Callable[[], None] = lambda: None
    ) -> FeedState:
        """A process that starts, polls once, sends and is gone. The two callables are asked before
        and after each transaction, here and in Kafka, and may kill it."""
        sender = MemoryPublishing(self.lanes, "feeds")
        dispatcher = Dispatcher(sender, lambda identity: Doomed(self.log, identity, kafka))
        dispatcher.open()
        memory = Committing(self.tables, sender, commit)
        metrics = FeedMetrics(CollectorRegistry(), ["wire"])
        fetcher = Fetcher("test", Limits(5, 5, 5, 5))
        reader = Reader(memory, fetcher, metrics, now=self.clock.now, random=lambda: 0.5)
        known = self.tables.states.get("wire") or FeedState("wire", self.feed.url)
        state = reader.poll(self.feed, known)
        while dispatcher.step():
            pass
        return state

    def later(self, span: timedelta = STEP) -> FeedState:
        self.clock.advance(span.total_seconds())
        return self.process()

    def published(self) -> dict[str, dict[str, Any]]:
        """The messages by title; each may be there once only."""
        messages = [json.loads(record.value or b"") for record in self.log.records("news")]
        assert len(messages) == len({message["id"] for message in messages})
        found = {message["title"]: message for message in messages}
        assert len(found) == len(messages)
        return found

    def news(self) -> set[str]:
        return {title for title, m in self.published().items() if not m["history"]}


class Committing(MemoryFeeds):
    def __init__(
        self, tables: MemoryFeedTables, sender: MemoryPublishing, fate: Callable[[], None]
    ) -> None:
        super().__init__(tables, "feeds", sender.check)
        self._fate = fate

    def apply(self, commit: FeedCommit) -> None:
        self._fate()
        super().apply(commit)
        self._fate()


class Doomed(MemoryTransactions):
    def __init__(self, log: MemoryLog, identity: str, fate: Callable[[], None]) -> None:
        super().__init__(log, identity)
        self._fate = fate

    def publish(self, messages: Any) -> None:
        self._fate()
        super().publish(messages)
        self._fate()


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def test_the_items_that_a_new_feed_already_holds_are_history_but_for_the_latest(
    publisher: Publisher,
) -> None:
    world = World(publisher)
    world.entries = [Entry("1", "now", at(-2)), Entry("2", "old", at(-3000)), Entry("3", "when")]
    world.process()

    assert {"now", "old", "when"} == set(world.published())
    assert {"now"} == world.news()
    assert world.published()["when"]["undated"]


def test_a_feed_dies_comes_back_repeats_and_back_dates_and_only_news_is_news(
    publisher: Publisher,
) -> None:
    world = World(publisher)
    world.entries = [Entry("1", "first", at(-5))]
    world.process()
    world.entries.append(Entry("2", "second", at(7)))
    world.later()
    assert {"first", "second"} == world.news()

    publisher.alive = False
    world.entries.append(Entry("3", "while it was away", at(15)))
    down = world.later()
    assert (1, True) == (down.failures, down.fault is not None)

    publisher.alive = True
    back = world.later()
    assert (0, None) == (back.failures, back.fault)
    assert {"first", "second", "while it was away"} == world.news()

    # It repeats everything with new dates, takes a date away, and digs out an old one.
    world.entries = [
        Entry("1", "first", at(38)),
        Entry("2", "second"),
        Entry("3", "while it was away", "no date at all"),
        Entry("4", "dug out", at(-50_000)),
    ]
    world.later()
    assert {"first", "second", "while it was away", "dug out"} == set(world.published())
    assert {"first", "second", "while it was away"} == world.news()
    assert at(-50_000) == datetime.fromisoformat(world.published()["dug out"]["published_at"])

    world.entries = []
    world.later()
    world.entries = [Entry("1", "first", at(58)), Entry("5", "fresh", at(59))]
    world.later()
    assert {"first", "second", "while it was away", "fresh"} == world.news()


def test_what_did_not_change_is_not_even_sent(publisher: Publisher) -> None:
    world = World(publisher)
    world.entries = [Entry("1", "first", at(-5))]
    world.process()
    state = world.later()

    assert [None, publisher.asked[1].headers["if-none-match"]] == [
        asked.headers.get("if-none-match") for asked in publisher.asked
    ]
    assert world.clock.now() == state.succeeded_at
    assert {"first"} == set(world.published())


def test_garbage_for_a_feed_is_a_fault_and_forgets_nothing(publisher: Publisher) -> None:
    world = World(publisher)
    world.entries = [Entry("1", "first", at(-5))]
    world.process()
    good = publisher.pages["/feed"]
    for reply in (Reply(b"<html>Consent!</html>"), Reply(b"\xff\xfe\x00"), Reply(b"")):
        publisher.pages["/feed"] = reply
        assert world.later().fault
    publisher.pages["/feed"] = good
    world.later()

    assert {"first"} == set(world.published())


@pytest.mark.parametrize("transaction", ["commit", "kafka"])
@pytest.mark.parametrize("crossing", [0, 1])
@pytest.mark.parametrize("second", [None, 0, 1])
def test_killed_at_either_side_of_any_transaction_each_item_is_published_once(
    publisher: Publisher, transaction: str, crossing: int, second: int | None
) -> None:
    world = World(publisher)
    world.entries = [Entry(str(n), f"item {n}", at(-n)) for n in range(5)]
    for deadly in (crossing, second):
        crossed = iter(range(100))

        def fate(crossed: Iterator[int] = crossed, deadly: int | None = deadly) -> None:
            if next(crossed) == deadly:
                raise KilledError

        try:
            world.process(**{transaction: fate})
        except KilledError:
            continue
    world.later()

    assert {f"item {n}" for n in range(5)} == set(world.published())


# From here on with the processes and a broker as they are.


def configuration(
    folder: Path, settings: KafkaSettings, topic: str, publisher: Publisher, more: str = ""
) -> Path:
    path = folder / "monitor.toml"
    path.write_text(
        f"""
        [kafka]
        bootstrap_servers = "{settings.bootstrap_servers}"
        topics = {{ "{topic}" = "news" }}
        [store]
        url = "sqlite:///{folder / "monitor.db"}"
        [feeding]
        host_spacing = 0
        {more}
        [[feeds]]
        name = "wire"
        url = "{publisher.url()}"
        source = "The Wire"
        allow_networks = ["127.0.0.0/8"]
        """,
        "utf-8",
    )
    return path


def command(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(settings: KafkaSettings, topic: str) -> list[dict[str, Any]]:
    """Everything that is committed in a topic."""
    consumer = KafkaConsumer(
        **client_options(settings), isolation_level="read_committed", group_id=None
    )
    try:
        places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(places)
        values: list[dict[str, Any]] = []
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=200).values():
                values += [json.loads(record.value) for record in records]
        return values
    finally:
        consumer.close()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.kafka
def test_three_polls_with_restarts_in_between_publish_each_item_once(
    real_broker: KafkaSettings, tmp_path: Path, publisher: Publisher
) -> None:
    topic = f"news-{uuid.uuid4().hex[:8]}"
    now = datetime.now(UTC)
    entries = [Entry("1", "first", now), Entry("2", "archive", now - timedelta(days=30))]
    publisher.pages["/feed"] = conditional(lambda: rss(*entries))
    path = configuration(tmp_path, real_broker, topic, publisher)

    statuses = []
    for more in (Entry("3", "second", now), Entry("4", "undated"), Entry("5", "third", now)):
        process = command("feed", "--config", path, "--once")
        _, said = process.communicate(timeout=60)
        statuses.append((process.returncode, said.count("Traceback")))
        entries.append(more)
    process = command("feed", "--config", path, "--once")  # this one is killed on its way
    wait_for(lambda: len(publisher.asked) == 4, process)
    process.kill()
    process.wait()
    last = command("feed", "--config", path, "--once")
    assert 0 == last.wait(60)

    assert [(0, 0)] * 3 == statuses
    found = {message["title"]: message for message in read(real_broker, topic)}
    titles = sorted(message["title"] for message in read(real_broker, topic))
    assert sorted(["first", "archive", "second", "undated", "third"]) == titles
    assert {"archive", "undated"} == {title for title, m in found.items() if m["history"]}
    assert found["undated"]["undated"]
    assert {"The Wire"} == {m["source"] for m in found.values()}


@pytest.mark.kafka
def test_the_process_goes_on_until_it_is_told_to_end(
    real_broker: KafkaSettings, tmp_path: Path, publisher: Publisher
) -> None:
    topic = f"news-{uuid.uuid4().hex[:8]}"
    ensure_topics(real_broker, {topic: 1})
    publisher.pages["/feed"] = Reply(rss(Entry("1", "first", datetime.now(UTC))))
    path = configuration(tmp_path, real_broker, topic, publisher)
    process = command("feed", "--config", path)
    wait_for(lambda: bool(read(real_broker, topic)), process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)

    assert 0 == process.returncode, said
    assert "stopped" in said
    assert ["first"] == [message["title"] for message in read(real_broker, topic)]


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The console script in this process."""
    monkeypatch.setattr(log, "configure", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["monitor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_check_shows_what_a_feed_would_give(monitor: Call, publisher: Publisher) -> None:
    now = datetime.now(UTC)
    entries = [Entry("1", "Harlow halts [b]withdrawals", now, "text"), Entry("2", "undated")]
    publisher.pages["/feed"] = conditional(lambda: rss(*entries))
    status, said, _ = monitor("feed", "check", publisher.url(), "--allow-network", "127.0.0.0/8")

    assert 0 == status
    assert "The Wire (rss20), 2 items" in said
    assert "conditional requests: ETag" in said
    assert re.search(r"new\s+│\s+Harlow halts \[b\]withdrawals\s+│\s+4", said)
    assert "1 of 2 items have no date to rely on (missing)" in said


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(b"<html><body>x"), "web page, not a feed"),
        (Reply(status=403), "answered 403"),
        (Reply(status=302, headers={"Location": "http://169.254.169.254/"}), "not a public"),
    ],
)
def test_check_says_in_one_line_why_a_feed_gives_nothing(
    monitor: Call, publisher: Publisher, reply: Reply, said: str
) -> None:
    publisher.pages["/feed"] = reply
    status, _, error = monitor("feed", "check", publisher.url(), "--allow-network", "127.0.0.0/8")

    assert (1, 1) == (status, error.count("\n"))
    assert said in error


def test_check_refuses_what_is_inside_and_tells_how_to_allow_it(
    monitor: Call, publisher: Publisher
) -> None:
    status, _, error = monitor("feed", "check", publisher.url())
    assert (1, True) == (status, "allow_networks" in error)


def test_without_feeds_the_process_says_how_to_add_one(monitor: Call) -> None:
    status, _, error = monitor("feed")
    assert (1, True) == (status, "no feed is configured; add [[feeds]]" in error)


def test_status_tells_a_feed_that_was_never_read(
    monitor: Call, tmp_path: Path, publisher: Publisher
) -> None:
    path = configuration(tmp_path, KafkaSettings(), "news", publisher)
    status, said, _ = monitor("feed", "status", "--config", path)
    assert (1, True) == (status, bool(re.search(r"wire\s+│\s+never", said)))
