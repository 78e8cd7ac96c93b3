"""The composition root: the only module that knows every adapter.

Everything is built in `build` and closed last-in, first-out; a start that fails half-way closes
what it had opened.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from models.errors import ModelError
from models.manifest import Manifest
from models.predict import Predictor
from models.registry.folder import Registry, Release
from models.registry.trial import judge
from monitor import config
from monitor.aggregate.sources import SourceSettings
from monitor.alert.payload import no_links
from monitor.alert.policy import routed_to
from monitor.annotate import Annotator
from monitor.clock import Clock, ScaledClock, SystemClock
from monitor.delivery import DeliveryLoop
from monitor.detect.correction import Corrections
from monitor.drill.keeper import Keeper
from monitor.drill.rule import alert_labels
from monitor.drill.start import Schedule
from monitor.drill.texts import messages
from monitor.entity.entities import open_entities
from monitor.errors import ConfigError, MonitorError
from monitor.events import Kind
from monitor.garbage import spare_the_collector
from monitor.heartbeat import Heartbeat
from monitor.http import Answer, Checks, HttpServer, application
from monitor.jobs import Jobs, next_due
from monitor.listening import Listening
from monitor.metrics import DeliveryCounters, DrillCounters, Metrics, ScoringCounters
from monitor.naming import EntityNaming
from monitor.notifying import group_timing, make_receivers
from monitor.opening import (
    configuration_of,
    database_file,
    every_topic,
    kafka_settings,
    open_database,
)
from monitor.outgoing import OutTopics, outgoing
from monitor.pipeline import Pipeline, PipelineSettings
from monitor.push.admission import Admission
from monitor.push.keys import ApiKey, Keyring
from monitor.receipt.provenance import Provenances
from monitor.receipting import receipt_routes
from monitor.reception import Reception
from monitor.ruling import errors_of, make_watch, make_watermarks, make_window
from monitor.score.base import Scorer
from monitor.score.engine import BatchScorer
from monitor.score.reload import Reloader
from monitor.score.transformer import devices, engine_of
from monitor.showing import showing_routes
from monitor.silencing import silencing_routes
from monitor.source.client import ensure_topics
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.source.feeds.message import source_of
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.store.alerted import Alerted
from monitor.store.drills.base import DrillOutcome, Told
from monitor.store.drills.sql import SqlDrills
from monitor.store.feeds.heartbeat import FeedHeartbeat
from monitor.store.feeds.sql import feed_states
from monitor.store.muting.sql import SqlMuting
from monitor.store.outbox import SqlOutbox
from monitor.store.receipts.sql import SqlReceipts
from monitor.store.retention import Keep, prune
from monitor.store.sql import SqlStore
from monitor.store.verdicts.sql import SqlVerdicts
from monitor.story.stories import Stories, StoriesSettings
from monitor.verdict.links import Links
from monitor.verdict.web import VerdictWeb

log = logging.getLogger(__name__)

DAY = 86_400.0
EXIT_STALLED = 70
"""Exit status when the watchdog ends the process; a supervisor restarts it, and nothing is lost."""


_DRILLS_EVERY = 2.0  # seconds between two looks at the drills that run
_DRILLS_MISSED_EVERY = 10.0


class Health:
    """What /livez and /readyz say. ``pipeline`` is None until everything is built."""

    def __init__(self, watchdog: float) -> None:
        self.pipeline: Pipeline | None = None
        self.reloader: Reloader | None = None
        self._watchdog = watchdog

    def alive(self) -> Checks:
        """The loop's heartbeat, and nothing else: a restart cannot mend Kafka or the database."""
        if self.pipeline is None:
            return {"loop": None}
        stalled = SystemClock().monotonic() - self.pipeline.progress
        return {"loop": f"no progress for {stalled:.0f} s" if stalled > self._watchdog else None}

    def ready(self) -> Checks:
        """Model loaded and all of its devices alive, partitions assigned, database writable."""
        pipeline = self.pipeline
        return {
            "model": pipeline.fault if pipeline else "still loading",
            "partitions": None if pipeline and pipeline.assigned else "none assigned yet",
            "database": None if pipeline and pipeline.healthy_store else "not writable",
        }

    def sources(self) -> Answer:
        """GET /v1/sources: whether they speak, as of the last few minutes."""
        if self.pipeline is None:
            return 503, {"error": "still loading"}
        return 200, self.pipeline.sources

    def reload(self) -> Answer:
        """POST /-/reload: look at the registry now; 500 when what it names cannot be used."""
        if self.reloader is None:
            return 404, {"ok": False, "news": "no registry is followed"}
        found = self.reloader.look(asked=True)
        return 200 if found.ok else 500, {"ok": found.ok, "news": found.news or "nothing new"}


@dataclass(frozen=True, slots=True)
class Daemon:
    """Everything that runs, ready to run."""

    settings: config.Settings
    pipeline: Pipeline
    delivery: DeliveryLoop
    http: HttpServer
    jobs: Jobs
    metrics: Metrics
    clock: Clock
    stop: threading.Event
    reloader: Reloader | None
    reception: Reception | None
    """None: nothing is handed in."""

    def run(self) -> None:
        """Run until ``stop`` is set. Raises what neither loop can mend."""
        failures: list[BaseException] = []
        self.jobs.start()
        threads = [
            self._thread("delivery", lambda: self.delivery.run(self.stop), failures),
            self._thread("watchdog", self._watch, failures),
        ]
        if self.reception is not None:
            threads.append(self._thread("reception", self.reception.run, failures))
        try:
            self.pipeline.run(self.stop)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(8)
        if failures:
            raise failures[0]

    def reload(self) -> None:
        """Look at the registry now, in a thread of its own: a signal must not wait for it."""
        if self.reloader is None:
            log.info("no registry is followed: nothing to reload")
            return
        threading.Thread(
            target=self.reloader.look, args=(True,), name="reload", daemon=True
        ).start()

    def _thread(
        self, name: str, work: Callable[[], None], failures: list[BaseException]
    ) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # a dead loop must end the process, not idle on
                failures.append(error)
                self.stop.set()
                raise

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _watch(self) -> None:
        limit = self.settings.watchdog
        while not self.stop.wait(min(limit / 4, 5.0)):
            stalled = self.clock.monotonic() - self.pipeline.progress
            if stalled > limit:
                log.critical("no progress for %.0f s; ending, so that a restart can help", stalled)
                sys.stderr.flush()
                os._exit(EXIT_STALLED)


def build(settings: config.Settings, stack: ExitStack, scorer: Scorer | None = None) -> Daemon:
    """Connect everything. ``scorer`` stands in for the model (tests, benchmarks).

    Raises ``MonitorError`` with what is wrong and how to mend it.
    """
    stop = threading.Event()
    metrics = Metrics(CollectorRegistry())
    clock = make_clock(settings)
    engine = open_database(settings, stack)
    store = SqlStore(engine)
    stack.callback(store.close)
    health = Health(settings.watchdog)
    kafka = kafka_settings(settings.kafka)
    decoder = make_decoder(settings)
    reception = Reception(settings, kafka, engine, decoder.decode, clock, metrics, stop)
    stack.callback(reception.close)
    links = verdict_links(settings)
    judging = VerdictWeb(SqlVerdicts(engine), _judges(settings.http), links, _wall)
    muting = SqlMuting(engine)
    keys, wall = settings.http.keys, SystemClock().now
    silences = frozenset(key.name for key in keys if key.silences)
    readers = frozenset(key.name for key in keys if key.alerts)
    desk = silencing_routes(muting, Admission(reception.keyring, silences, "silences"), wall)
    alerted = Alerted(engine)
    shown = showing_routes(
        alerted.latest, alerted.one, muting, Admission(reception.keyring, readers, "alerts"), wall
    )
    # The port is taken before the model is loaded: that it is in use must be told at once.
    web = application(
        metrics.registry,
        health.alive,
        health.ready,
        health.reload,
        health.sources,
        [
            *reception.routes,
            *judging.routes,
            *receipt_routes(SqlReceipts(engine), _judges(settings.http)),
            *desk,
            *shown,
        ],
    )
    server = HttpServer(web, settings.http.host, settings.http.port)
    stack.callback(server.close)
    server.start()
    ensure_topics(kafka, dict.fromkeys(every_topic(settings.kafka), settings.kafka.partitions))
    reloader = None
    corrections, provenances = Corrections(), Provenances(configuration_of(settings))

    def note(manifest: Manifest) -> None:
        corrections.note(manifest.version, *errors_of(manifest))
        provenances.note(manifest.version, manifest.files)

    if scorer is None:
        release = current_release(settings.model)
        scorer = load_scorer(settings.model, metrics, release.path, note)
        if settings.model.path is None:
            reloader = _reloader(settings.model, release, metrics, note)
            stack.callback(reloader.close)
    stack.callback(scorer.close)
    scorer.warmup()
    metrics.model(scorer.model_version)
    source = KafkaSource(kafka, list(settings.kafka.topics))
    stack.callback(source.close)
    publisher = KafkaPublisher(kafka)
    stack.callback(publisher.close)
    successor = reloader.take if reloader else lambda: None
    heartbeat = _heartbeat(settings, engine)
    pipeline = _pipeline(
        settings,
        source,
        decoder,
        scorer,
        successor,
        store,
        metrics,
        clock,
        heartbeat,
        corrections,
        provenances,
    )
    stack.callback(pipeline.close)
    pipeline.load()
    handed_in = reception.open()
    outbox = SqlOutbox(engine)
    stack.callback(outbox.close)
    delivery = DeliveryLoop(
        outbox,
        publisher,
        make_receivers(settings.delivery, stack),
        group_timing(settings.delivery),
        DeliveryCounters(metrics),
        SystemClock(),
        routes=[table.route for table in settings.delivery.routes],
        muting=muting,
        external_url=settings.delivery.external_url,
        links=links.of if links is not None else no_links,
    )
    jobs = Jobs()
    stack.callback(jobs.close)
    _drills(settings, engine, metrics, jobs)
    jobs.hourly("retention", lambda: _prune(engine, settings.store, clock))
    if reloader is not None:
        jobs.every("reload", settings.model.reload_every, reloader.look)
    reception.schedule(jobs)
    health.pipeline, health.reloader = pipeline, reloader
    return Daemon(
        settings,
        pipeline,
        delivery,
        server,
        jobs,
        metrics,
        clock,
        stop,
        reloader,
        reception if handed_in else None,
    )


def run_daemon(settings: config.Settings, scorer: Scorer | None = None) -> None:
    """``monitor run``: until SIGTERM or SIGINT; a second signal ends the process at once. SIGHUP:
    look for a new version of the model now.

    ``scorer`` stands in for the model (tests, benchmarks).
    """
    with ExitStack() as stack:
        daemon = build(settings, stack, scorer)

        def on_signal(number: int, _frame: FrameType | None) -> None:
            if daemon.stop.is_set():
                os._exit(128 + number)
            daemon.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        signal.signal(signal.SIGHUP, lambda _number, _frame: daemon.reload())
        log.info(
            "reading %s from %s; metrics and health on http://%s:%d",
            ", ".join(settings.kafka.topics),
            settings.kafka.bootstrap_servers,
            settings.http.host,
            daemon.http.port,
        )
        spare_the_collector()
        daemon.run()
        log.info("stopped; every offset and alert is in the database")


def verdict_links(settings: config.Settings) -> Links | None:
    """None: nobody said where they would lead to, or how they are signed."""
    verdicts, url = settings.verdicts, settings.http.public_url
    if verdicts.secret is None or url is None:
        return None
    return Links(verdicts.secret.get_secret_value(), url, timedelta(days=verdicts.link_days))


def _judges(http: config.Http) -> Keyring:
    """The keys that may judge alerts."""
    return Keyring(
        [ApiKey(key.name, key.secret.get_secret_value()) for key in http.keys if key.verdicts]
    )


def _drills(settings: config.Settings, engine: Engine, metrics: Metrics, jobs: Jobs) -> None:
    """Drills are ended by this daemon, whoever began them; some begin by themselves."""
    drills = SqlDrills(engine)
    passed = drills.latest(outcome=DrillOutcome.PASSED)
    if passed is not None and passed.ended_at is not None:
        metrics.drill_success.set(passed.ended_at.timestamp())
    keeper = Keeper(
        drills,
        drilled_receivers(settings.delivery),
        told_of(settings.kafka),
        _wall,
        DrillCounters(metrics),
    )
    jobs.every("drills", _DRILLS_EVERY, keeper.look)
    drill = settings.drill
    if drill.schedule is None:
        return
    schedule = Schedule(
        drills,
        keeper,
        drill_sender(settings),
        next_due(drill.schedule),
        timedelta(seconds=drill.deadline),
        drill.receiver,
        _wall,
    )
    jobs.cron("drill", drill.schedule, schedule.start)
    jobs.every("missed drills", _DRILLS_MISSED_EVERY, schedule.check)


def drilled_receivers(delivery: config.Delivery) -> list[str]:
    """Those to whom the routes send the alert of a drill at once: all others never hear of it."""
    names = [receiver.name for receiver in delivery.receivers]
    found = routed_to(alert_labels(), names, [table.route for table in delivery.routes])
    return [name for name in names if found.get(name) is False]


def drill_sender(settings: config.Settings) -> Callable[[str], None]:
    """Publishes a drill's messages, over a connection of its own: it is part of what is tried."""
    clock = make_clock(settings)

    def send(drill: str) -> None:
        with closing(KafkaPublisher(kafka_settings(settings.kafka))) as publisher:
            by_topic: dict[str, list[tuple[bytes | None, bytes]]] = {}
            for topic, key, value in messages(drill, settings.kafka.topics, clock.now()):
                by_topic.setdefault(topic, []).append((key, value))
            for topic, values in by_topic.items():
                publisher.publish(topic, values)

    return send


def told_of(kafka: config.Kafka) -> Told:
    """The rows of the outbox for a change of an alert."""
    topics = out_topics(kafka)
    return lambda alert: list(outgoing(topics, (), (), [alert]))


def out_topics(kafka: config.Kafka) -> OutTopics:
    """The topics that the daemon writes."""
    return OutTopics(kafka.scored_topic, kafka.alerts_topic, kafka.dead_letters_topic)


def make_decoder(settings: config.Settings) -> Decoder:
    """The message contract with this configuration's limits."""
    limits = Limits(
        message_bytes=settings.intake.max_message_bytes,
        future=timedelta(seconds=settings.intake.future_tolerance),
    )
    kinds = {topic: Kind(kind) for topic, kind in settings.kafka.topics.items()}
    return Decoder(limits, kinds, pseudonymiser(author_key(settings)))


def make_clock(settings: config.Settings) -> Clock:
    """The clock of event times."""
    if settings.replay is None:
        return SystemClock()
    r = settings.replay
    return ScaledClock(r.event_origin, r.wall_origin, r.speed)


def author_key(settings: config.Settings) -> bytes:
    """Key of the authors' hashes: configured, or made once and kept beside the database."""
    if (kept := kept_author_key(settings)) is not None:
        return kept
    path = _author_key_file(settings)
    key = secrets.token_bytes(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was quicker
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def kept_author_key(settings: config.Settings) -> bytes | None:
    """The key as it is configured or kept; None: none was made yet."""
    if settings.intake.author_key is not None:
        return settings.intake.author_key.get_secret_value().encode()
    path = _author_key_file(settings)
    return path.read_bytes() if path.exists() else None


def _author_key_file(settings: config.Settings) -> Path:
    database = database_file(settings.store.url)
    if database is None:
        raise ConfigError(
            "intake.author_key: needed with PostgreSQL, where no file can hold it; "
            "set MONITOR_INTAKE__AUTHOR_KEY to a long random text"
        )
    return database.with_name(database.name + ".author-key")


def current_release(model: config.Model) -> Release:
    """The weights to begin with: ``path``, or else the registry's current version."""
    if model.path is not None:
        return Release(str(model.path), model.path, 0)
    try:
        return Registry(model.registry).current()
    except ModelError as error:
        raise MonitorError(f"the model cannot be loaded: {error}") from error


def load_scorer(
    model: config.Model,
    metrics: Metrics,
    path: Path,
    note: Callable[[Manifest], None] = lambda _manifest: None,
) -> BatchScorer:
    """The model of a folder on every device that is asked for, once it has judged a few
    sentences; then ``note`` is told of its manifest."""
    begin = time.monotonic()
    predictors = []
    try:
        for device in devices(model.device):
            predictor = Predictor.load(
                path, device=device, dtype=model.dtype, threads=model.threads
            )
            judge(predictor, str(path))
            predictors.append(predictor)
    except ModelError as error:
        raise MonitorError(f"the model cannot be loaded: {error}") from error
    metrics.model_load.set(time.monotonic() - begin)
    scorer = engine_of(
        predictors,
        tokens=model.batch_tokens,
        look_ahead=model.look_ahead,
        max_wait=model.max_wait,
        minimum_fill=model.minimum_fill,
        metrics=ScoringCounters(metrics),
    )
    note(predictors[0].manifest)
    return scorer


def _reloader(
    model: config.Model,
    running: Release,
    metrics: Metrics,
    note: Callable[[Manifest], None],
) -> Reloader:
    return Reloader(
        Registry(model.registry).current,
        lambda path: load_scorer(model, metrics, path, note),
        running,
        metrics,
    )


def _heartbeat(settings: config.Settings, engine: Engine) -> Heartbeat | None:
    """What the polls of the configured feeds say; nothing, where the clock is a replay's."""
    if not settings.feeds or settings.replay is not None:
        return None
    sources = {feed.name: feed.source or source_of(feed.url) for feed in settings.feeds}
    return FeedHeartbeat(lambda: feed_states(engine), sources)


def _pipeline(
    settings: config.Settings,
    source: KafkaSource,
    decoder: Decoder,
    scorer: Scorer,
    successor: Callable[[], Scorer | None],
    store: SqlStore,
    metrics: Metrics,
    clock: Clock,
    heartbeat: Heartbeat | None,
    corrections: Corrections,
    provenances: Provenances,
) -> Pipeline:
    s = settings.sources
    listening = Listening(
        SourceSettings(
            limit=s.limit,
            budget=s.budget,
            minimum_silence=s.minimum_silence,
            minimum_history=s.minimum_history_days * DAY,
            failures=s.failures,
            forget=s.forget_days * DAY,
        ),
        s.depend_share,
        store,
        metrics,
        heartbeat,
    )
    entities = open_entities(**dict(settings.entities))
    stories = Stories(
        StoriesSettings(
            window=timedelta(hours=settings.stories.window_hours),
            capacity=settings.stories.capacity,
        )
    )
    return Pipeline(
        source=source,
        decode=decoder.decode_batch,
        scorer=scorer,
        annotate=Annotator(stories, EntityNaming(entities)),
        watermarks=make_watermarks(settings.aggregate),
        window=make_window(settings.aggregate),
        watch=lambda exhibit, seal: make_watch(settings.detect, exhibit, corrections.of, seal),
        store=store,
        metrics=metrics,
        clock=clock,
        listening=listening,
        successor=successor,
        provenances=provenances,
        settings=PipelineSettings(
            poll_records=settings.intake.poll_records,
            poll_most=settings.intake.poll_most,
            poll_timeout=settings.intake.poll_timeout,
            topics=out_topics(settings.kafka),
            unpaged=any(receiver.digest for receiver in settings.delivery.receivers),
        ),
    )


def _prune(engine: Engine, store: config.StoreSection, clock: Clock) -> dict[str, int]:
    keep = Keep(
        timedelta(days=store.keep_texts_days),
        timedelta(days=store.keep_buckets_days),
        timedelta(days=store.keep_dead_letters_days),
    )
    return prune(engine, clock.now(), _wall(), keep)


def _wall() -> datetime:
    return datetime.now(UTC)
