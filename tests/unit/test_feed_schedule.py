"""When a feed is polled again, who may ask a host, and that no feed is ever forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from harness.publisher import inside
from prometheus_client import CollectorRegistry

from monitor.clock import ManualClock
from monitor.errors import LeaseError, MonitorError, StoreError
from monitor.source.feeds.fetch import Answer, Fault, FeedError, Fetcher, Request
from monitor.source.feeds.message import Channel
from monitor.source.feeds.metrics import FeedMetrics
from monitor.source.feeds.poll import Rules
from monitor.source.feeds.reader import Feed, Reader, asked
from monitor.source.feeds.rota import Rota
from monitor.source.feeds.schedule import GONE, JITTER, Hosts, Pacing, next_poll
from monitor.store.feeds.base import FeedCommit, FeedState
from monitor.store.feeds.memory import MemoryFeeds, MemoryFeedTables
from monitor.store.publishing.memory import MemoryLanes, MemoryPublishing

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PACING = Pacing(600.0, 21_600.0)
MIDDLE = 0.5
EMPTY = b"<rss version='2.0'><channel></channel></rss>"


def delay(
    failures: int, retry_after: float | None = None, gone: bool = False, random: float = MIDDLE
) -> float:
    at = next_poll(PACING, failures, retry_after, gone, T0, lambda: random)
    return (at - T0).total_seconds()


def test_each_failure_doubles_the_interval_up_to_the_longest() -> None:
    assert [600, 1200, 2400, 4800, 9600, 19_200, 21_600, 21_600] == [delay(n) for n in range(8)]
    assert 21_600 == delay(10_000)


def test_jitter_spreads_the_polls_by_a_tenth() -> None:
    assert 600 * (1 - JITTER) == pytest.approx(delay(0, random=0.0))
    assert 600 * (1 + JITTER) == pytest.approx(delay(0, random=1.0))


def test_retry_after_lengthens_the_delay_never_shortens_it_and_has_an_end() -> None:
    assert [1200, 3000, 86_400, 86_400] == [delay(1, s) for s in (5, 3000, 1e9, float("inf"))]


def test_a_feed_that_is_gone_is_asked_once_a_day() -> None:
    assert GONE.total_seconds() == delay(1, gone=True)


def test_an_interval_longer_than_the_longest_backoff_is_not_shortened() -> None:
    at = next_poll(Pacing(80_000, 21_600), 3, None, False, T0, lambda: MIDDLE)
    assert T0 + timedelta(seconds=80_000) == at


def test_a_host_is_asked_by_one_at_a_time_and_with_pauses() -> None:
    clock = ManualClock(T0)
    hosts = Hosts(2.0, 1, clock.monotonic)

    assert 0 == hosts.enter("a")
    assert 0 == hosts.enter("b")
    assert 2.0 == hosts.enter("a")
    clock.advance(3)
    assert 2.0 == hosts.enter("a")  # the first one has not left
    hosts.leave("a")
    assert 0 == hosts.enter("a")
    clock.advance(0.5)
    hosts.leave("a")
    assert 1.5 == hosts.enter("a")


def test_hosts_that_are_not_asked_take_no_memory() -> None:
    clock = ManualClock(T0)
    hosts = Hosts(0.0, 2, clock.monotonic)
    for number in range(100):
        assert 0 == hosts.enter(f"h{number}")
        hosts.leave(f"h{number}")
    assert not hosts._inside
    assert not hosts._next


class Web(Fetcher):
    """Answers what is written down, poll by poll; at the end the last thing again."""

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__("test")
        self.answers = list(answers)
        self.requests: list[Request] = []

    def fetch(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(request.url, answer, etag='"tag"')


class Alarm:
    """A timer that is wound by hand."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[datetime, Callable[[], object]]] = {}

    def once(self, name: str, moment: datetime, work: Callable[[], object]) -> None:
        self.jobs[name] = (moment, work)

    def due(self) -> dict[str, datetime]:
        return {name: moment for name, (moment, _) in self.jobs.items()}

    def ring(self, name: str) -> None:
        _, work = self.jobs.pop(name)
        work()


class World:
    """A rota over everything in memory."""

    def __init__(self, web: Web, *names: str) -> None:
        self.web = web
        self.clock = ManualClock(T0)
        self.lanes = MemoryLanes()
        self.tables = MemoryFeedTables(self.lanes)
        self.feeds = [feed(name) for name in names or ("wire",)]
        self.alarm = Alarm()
        self.fatal: list[MonitorError] = []
        self.stored = 0
        self.restart()

    def restart(self) -> None:
        publishing = MemoryPublishing(self.lanes, "feeds")
        publishing.open()
        self.memory = MemoryFeeds(self.tables, "feeds", publishing.check)
        self.metrics = FeedMetrics(CollectorRegistry(), [f.name for f in self.feeds])
        reader = Reader(
            self.memory, self.web, self.metrics, now=self.clock.now, random=lambda: MIDDLE
        )
        self.rota = Rota(
            self.feeds,
            self.memory,
            reader,
            Hosts(2.0, 1, self.clock.monotonic),
            now=self.clock.now,
            stored=self.store,
            fatal=self.fatal.append,
        )
        self.rota.load()
        self.alarm.jobs.clear()
        self.rota.start(self.alarm)

    def store(self) -> None:
        self.stored += 1

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"monitor_feed_{name}", labels)


def feed(name: str = "wire", url: str = "") -> Feed:
    url = url or f"https://{name}.example/rss"
    rules = Rules(interval=timedelta(minutes=10))
    return Feed(name, url, inside(), Channel("news", "news", name), rules, PACING)


def test_every_feed_is_polled_at_once_and_then_at_its_interval() -> None:
    world = World(Web(EMPTY), "a", "b")
    assert {"feed a": T0, "feed b": T0} == world.alarm.due()

    world.alarm.ring("feed a")
    assert {"feed a": T0 + timedelta(minutes=10), "feed b": T0} == world.alarm.due()
    assert 1 == world.stored


def test_a_restart_goes_on_with_the_schedule_and_the_validators() -> None:
    world = World(Web(EMPTY))
    world.alarm.ring("feed wire")
    world.restart()
    assert {"feed wire": T0 + timedelta(minutes=10)} == world.alarm.due()

    world.alarm.ring("feed wire")
    assert [None, '"tag"'] == [request.etag for request in world.web.requests]


def test_a_shorter_interval_holds_from_the_restart_on() -> None:
    world = World(Web(EMPTY))
    world.alarm.ring("feed wire")
    world.feeds[0] = replace(world.feeds[0], pacing=Pacing(60.0))
    world.restart()
    assert {"feed wire": T0 + timedelta(seconds=66)} == world.alarm.due()


def test_a_new_address_is_polled_at_once_and_without_the_old_validators() -> None:
    world = World(Web(EMPTY))
    world.alarm.ring("feed wire")
    world.feeds[0] = feed("wire", "https://new.example/rss")
    world.restart()
    assert {"feed wire": T0} == world.alarm.due()

    world.alarm.ring("feed wire")
    assert world.web.requests[-1].etag is None
    assert T0 == world.rota.state(world.feeds[0]).succeeded_at


def test_a_feed_that_dies_backs_off_is_seen_to_be_down_and_comes_back() -> None:
    down = FeedError(Fault.UNREACHABLE, "nobody answers")
    world = World(Web(EMPTY, down, down, EMPTY))
    delays = []
    for _ in range(4):
        world.alarm.ring("feed wire")
        delays.append((world.alarm.due()["feed wire"] - world.clock.now()).total_seconds())
        up = world.sample("up", feed="wire")
        state = world.rota.state(world.feeds[0])
        assert (up == 1.0) == (state.fault is None)
        world.clock.advance(delays[-1])

    assert [600, 1200, 2400, 600] == delays
    assert 2 == world.sample("failures_total", feed="wire", fault="unreachable")
    assert 2 == world.sample("polls_total", feed="wire")


def test_a_dead_feed_is_told_from_a_quiet_one_after_a_restart_too() -> None:
    world = World(Web(EMPTY, FeedError(Fault.STATUS, "the server answered 500")))
    world.alarm.ring("feed wire")
    world.clock.advance(600)
    world.alarm.ring("feed wire")
    world.restart()

    state = world.rota.state(world.feeds[0])
    assert (1, T0, "the server answered 500") == (state.failures, state.succeeded_at, state.fault)


def test_retry_after_is_kept_over_a_restart() -> None:
    world = World(Web(FeedError(Fault.THROTTLED, "429", 5_000.0)))
    world.alarm.ring("feed wire")
    world.restart()
    assert {"feed wire": T0 + timedelta(seconds=5_000)} == world.alarm.due()


def test_a_busy_host_is_come_back_to_later() -> None:
    world = World(Web(EMPTY), "a")
    world.feeds.append(feed("b", "https://a.example/other"))
    world.restart()
    world.alarm.ring("feed a")
    world.alarm.ring("feed b")

    assert T0 + timedelta(seconds=2) == world.alarm.due()["feed b"]
    assert 1 == len(world.web.requests)


@pytest.mark.parametrize(
    "error", [StoreError("locked"), ValueError("a fault of the program"), RecursionError()]
)
def test_whatever_a_poll_raises_its_feed_stays_on_the_rota(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(Web(EMPTY))

    def broken(_commit: FeedCommit) -> None:
        raise error

    monkeypatch.setattr(world.memory, "apply", broken)
    world.alarm.ring("feed wire")

    assert {"feed wire": T0 + timedelta(seconds=30)} == world.alarm.due()
    assert not world.fatal
    monkeypatch.undo()
    world.clock.advance(30)
    world.alarm.ring("feed wire")
    assert 1 == world.stored


def test_a_poll_that_is_cut_off_at_the_end_is_no_failure_of_its_feed() -> None:
    world = World(Web(FeedError(Fault.TIMEOUT, "cut off")))
    world.web.close()
    world.alarm.ring("feed wire")

    assert {} == world.tables.states
    assert 0 == world.rota.state(world.feeds[0]).failures


def test_a_lost_lease_ends_it_all() -> None:
    world = World(Web(EMPTY))
    MemoryPublishing(world.lanes, "feeds").open()
    world.alarm.ring("feed wire")

    assert [LeaseError] == [type(error) for error in world.fatal]
    assert {} == world.alarm.due()


def test_a_parser_that_fails_is_the_fault_of_that_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("monitor.source.feeds.reader.parse", broken)
    world = World(Web(EMPTY))
    world.alarm.ring("feed wire")

    assert "RecursionError" in (world.rota.state(world.feeds[0]).fault or "")
    assert 1 == world.sample("failures_total", feed="wire", fault="not_a_feed")


def test_what_another_address_said_is_no_validator() -> None:
    old = FeedState("wire", "https://old.example/", etag="x", last_modified="y", failures=3)
    new = asked(old, feed())
    assert (None, None, 0) == (new.etag, new.last_modified, new.failures)
    assert new is asked(new, feed())


def test_a_url_may_hold_a_secret_and_is_not_shown() -> None:
    assert "s3cret" not in repr(feed("wire", "https://wire.example/rss?token=s3cret"))
