"""`monitor feed`: the process that reads the feeds, put together."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType

from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from monitor import config
from monitor.clock import SystemClock
from monitor.dial import Limits as DialLimits
from monitor.errors import ConfigError, MonitorError
from monitor.http import Checks, HttpServer, application
from monitor.jobs import Jobs
from monitor.opening import kafka_settings, open_database
from monitor.source.client import ensure_topics
from monitor.source.contract import Limits
from monitor.source.dispatch import Dispatcher
from monitor.source.feeds.fetch import FeedError, Fetcher, Request
from monitor.source.feeds.message import Channel, source_of
from monitor.source.feeds.metrics import FeedMetrics
from monitor.source.feeds.parse import parse
from monitor.source.feeds.poll import Found, Rules, decide
from monitor.source.feeds.reader import Feed, Keep, Reader
from monitor.source.feeds.rota import Rota
from monitor.source.feeds.schedule import Hosts, Pacing
from monitor.source.transact import KafkaTransactions
from monitor.store.feeds.base import FeedState
from monitor.store.feeds.sql import SqlFeeds
from monitor.store.publishing.base import Publishing
from monitor.store.publishing.sql import SqlLane, SqlPublishing

log = logging.getLogger(__name__)

LANE = "feeds"
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Feeder:
    """Everything that runs, ready to run."""

    rota: Rota
    reader: Reader
    dispatcher: Dispatcher
    publishing: Publishing
    fetcher: Fetcher
    metrics: FeedMetrics
    jobs: Jobs
    stop: threading.Event
    faults: list[MonitorError]

    def run(self) -> None:
        """Until ``stop`` is set. Raises what waiting cannot mend."""
        self.rota.start(self.jobs)
        self.jobs.every("backlog", 5.0, self._backlog)
        self.jobs.hourly("forgetting", self._forget)
        self.jobs.start()
        try:
            self.dispatcher.run(self.stop)
        finally:
            self.stop.set()
        if self.faults:
            raise self.faults[0]

    def once(self) -> int:
        """Poll each feed once and send what it gives; how many failed."""
        for feed in self.rota.feeds:
            while wait := self.rota.turn(feed):
                time.sleep(wait.total_seconds())
        while self.dispatcher.step():
            pass
        return sum(self.rota.state(feed).failures > 0 for feed in self.rota.feeds)

    def end(self) -> None:
        """Stop. From any thread."""
        self.stop.set()
        self.dispatcher.wake()

    def _backlog(self) -> None:
        self.metrics.backlog.set(self.publishing.backlog().messages)

    def _forget(self) -> dict[str, int]:
        return {feed.name: self.reader.forget(feed) for feed in self.rota.feeds}


def build(settings: config.Settings, stack: ExitStack) -> Feeder:
    """Connect everything. Raises ``MonitorError`` with what is wrong and how to mend it."""
    _require_feeds(settings)
    feeding = settings.feeding
    feeds = [make_feed(settings, feed) for feed in settings.feeds]
    metrics = FeedMetrics(CollectorRegistry(), [feed.name for feed in feeds])
    clock = SystemClock()
    stop = threading.Event()
    if feeding.port is not None:
        stack.callback(_serve(feeding, metrics, stop).close)
    engine = open_database(settings, stack)
    kafka = kafka_settings(settings.kafka)
    topics = {feed.channel.topic for feed in feeds}
    ensure_topics(kafka, dict.fromkeys(sorted(topics), settings.kafka.partitions))
    lane = SqlLane(engine, LANE)
    publishing = SqlPublishing(engine, lane)
    dispatcher = Dispatcher(
        publishing, lambda identity: KafkaTransactions(kafka, identity), metrics
    )
    stack.callback(dispatcher.close)
    dispatcher.open()
    memory = SqlFeeds(engine, lane)
    fetcher = make_fetcher(feeding)
    stack.callback(fetcher.close)
    reader = Reader(
        memory,
        fetcher,
        metrics,
        now=clock.now,
        random=random.SystemRandom().random,
        max_items=feeding.max_items,
        keep=Keep(timedelta(days=feeding.keep_items_days), feeding.keep_items),
        limits=Limits(message_bytes=settings.intake.max_message_bytes),
    )
    jobs = Jobs(feeding.workers)
    stack.callback(jobs.close)
    faults: list[MonitorError] = []

    def fatal(error: MonitorError) -> None:
        faults.append(error)
        stop.set()
        dispatcher.wake()

    rota = Rota(
        feeds,
        memory,
        reader,
        Hosts(feeding.host_spacing, feeding.host_at_once, clock.monotonic),
        now=clock.now,
        stored=dispatcher.wake,
        fatal=fatal,
    )
    for state in rota.load():
        metrics.state(state)
    return Feeder(rota, reader, dispatcher, publishing, fetcher, metrics, jobs, stop, faults)


def run_feeds(settings: config.Settings, *, once: bool = False) -> int:
    """Read the feeds until SIGTERM or SIGINT, or each of them once; the exit status."""
    with ExitStack() as stack:
        feeder = build(settings, stack)
        if once:
            return 1 if feeder.once() else 0

        def on_signal(number: int, _frame: FrameType | None) -> None:
            if feeder.stop.is_set():
                os._exit(128 + number)
            feeder.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        log.info("reading %d feeds", len(feeder.rota.feeds))
        feeder.run()
        log.info("stopped; what has been read is in Kafka or in the database")
        return 0


def make_feed(settings: config.Settings, feed: config.Feed) -> Feed:
    """A configured feed, with the secrets opened."""
    feeding = settings.feeding
    return Feed(
        feed.name,
        feed.url,
        feed.guard(),
        Channel(
            settings.feed_topic(feed),
            feed.kind,
            feed.source or source_of(feed.url),
            feed.language or "",
        ),
        Rules(
            interval=timedelta(seconds=feed.interval),
            old_after=timedelta(seconds=feeding.old_after),
            back_dated=timedelta(seconds=feeding.back_dated),
            future=timedelta(seconds=settings.intake.future_tolerance),
            publish_updates=feed.updates == "publish",
            undated_is_news=feed.undated == "news",
        ),
        Pacing(feed.interval, feeding.max_backoff),
        {name: value.get_secret_value() for name, value in feed.headers.items()},
    )


def make_fetcher(feeding: config.Feeding) -> Fetcher:
    """With the limits of the configuration."""
    contact = f"; {feeding.contact}" if feeding.contact else ""
    return Fetcher(
        f"monitor-feeds/1 (feed reader{contact})",
        DialLimits(
            feeding.connect_timeout,
            feeding.connect_timeout,
            feeding.read_timeout,
            feeding.total_timeout,
        ),
        feeding.max_bytes,
    )


def check_feed(
    settings: config.Settings,
    name_or_url: str,
    allow_networks: tuple[str, ...],
    console: Console,
    now: datetime,
) -> None:
    """Print what a feed would give now, as on its first poll; nothing is stored or published.
    ``allow_networks`` are for a URL that is not configured.

    Raises ``ConfigError`` for a URL that is none, and ``FeedError`` for what the feed lacks.
    """
    feed = _named(settings, name_or_url, allow_networks)
    fetcher = make_fetcher(settings.feeding)
    try:
        answer = fetcher.fetch(Request(feed.url, feed.guard, feed.headers))
        parsed = parse(
            answer.body or b"", answer.content_type, answer.url, settings.feeding.max_items
        )
    except FeedError as error:
        raise FeedError(error.fault, f"{name_or_url}: {error}") from error
    found = decide(feed.name, parsed.items, {}, None, feed.rules, now).found
    console.print(f"{parsed.title or 'no title'} ({parsed.version}), {len(found)} items")
    validators = [
        name
        for name, value in (("ETag", answer.etag), ("Last-Modified", answer.last_modified))
        if value
    ]
    says = " and ".join(validators) or "neither ETag nor Last-Modified: it is sent whole each time"
    console.print(f"conditional requests: {says}")
    for said in (
        parsed.warning,
        answer.moved and f"it has moved for good to {answer.moved}: put that into its url",
        _about_dates(found),
    ):
        if said:
            console.print(f"note: {said}")
    console.print(_table(found))
    if len(found) > _SHOWN:
        console.print(f"and {len(found) - _SHOWN} more")


def show_states(settings: config.Settings, console: Console) -> int:
    """Print how each configured feed does; how many fail, or were never read.

    Raises ``ConfigError`` where none is configured."""
    _require_feeds(settings)
    table = Table("feed", "last success", "failures", "next poll", "fault")
    bad = 0
    with ExitStack() as stack:
        engine = open_database(settings, stack)
        states = SqlFeeds(engine, SqlLane(engine, LANE)).states()
    for feed in settings.feeds:
        state = states.get(feed.name) or FeedState(feed.name, feed.url)
        bad += state.succeeded_at is None or state.failures > 0
        table.add_row(
            state.name,
            _shown(state.succeeded_at) or "never",
            str(state.failures),
            _shown(state.next_poll_at),
            state.fault or "",
        )
    console.print(table)
    return bad


def _require_feeds(settings: config.Settings) -> None:
    if not settings.feeds:
        raise ConfigError("no feed is configured; add [[feeds]] (see deploy/monitor.example.toml)")


def _named(settings: config.Settings, name_or_url: str, allow_networks: tuple[str, ...]) -> Feed:
    """The configured feed of that name or address, or one made up for the address."""
    for feed in settings.feeds:
        if name_or_url in (feed.name, feed.url):
            return make_feed(settings, feed)
    if "://" not in name_or_url:
        raise ConfigError(f"{name_or_url} is neither the name of a configured feed nor a URL")
    try:
        given = config.Feed(name="check", url=name_or_url, allow_networks=allow_networks)
        return make_feed(settings, given)
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _about_dates(found: list[Found]) -> str | None:
    undated = [f for f in found if f.undated]
    if not undated:
        return None
    reasons = sorted({f.item.date_fault or "in the future" for f in undated})
    return (
        f"{len(undated)} of {len(found)} items have no date to rely on ({', '.join(reasons)}): "
        'they page nobody unless the feed is configured with undated = "news"'
    )


def _table(found: list[Found]) -> Table:
    table = Table("published (UTC)", "is", "title", "text", "lang")
    for each in found[:_SHOWN]:
        at = "none" if each.undated else f"{each.published_at:%Y-%m-%d %H:%M}"
        length = f"{len(each.item.text):,}"
        table.add_row(at, each.verdict, each.item.title[:80], length, each.item.lang)
    return table


def _shown(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _serve(feeding: config.Feeding, metrics: FeedMetrics, stop: threading.Event) -> HttpServer:
    def alive() -> Checks:
        return {"process": "stopping" if stop.is_set() else None}

    server = HttpServer(
        application(metrics.registry, alive, alive), feeding.host, feeding.port or 0
    )
    server.start()
    return server
