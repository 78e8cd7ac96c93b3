"""The composition root: the only module that knows every adapter.

Everything is built in `build` and closed last-in, first-out; a start that fails half-way closes
what it had opened.
"""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, make_url

from models.errors import ModelError
from models.predict import Predictor
from models.registry.folder import Registry, Release
from models.registry.trial import judge
from monitor import config
from monitor.aggregate.sources import SourceSettings
from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.alert.base import Notifier
from monitor.alert.group import GroupTiming
from monitor.alert.guard import Guard
from monitor.alert.signing import Signer
from monitor.alert.webhook import Limits as WebhookLimits
from monitor.alert.webhook import WebhookNotifier
from monitor.clock import Clock, ScaledClock, SystemClock
from monitor.delivery import DeliveryLoop
from monitor.detect.share import ShareDetector, ShareSettings
from monitor.detect.state import LifecycleSettings
from monitor.detect.volume import VolumeDetector, VolumeSettings
from monitor.detect.watch import Watch
from monitor.errors import ConfigError, MonitorError
from monitor.events import Kind
from monitor.http import Answer, Checks, HttpServer, application
from monitor.jobs import Jobs
from monitor.keys import universe
from monitor.listening import Listening
from monitor.metrics import DeliveryCounters, Metrics, ScoringCounters
from monitor.outgoing import OutTopics
from monitor.pipeline import Pipeline, PipelineSettings
from monitor.score.base import Scorer
from monitor.score.engine import BatchScorer
from monitor.score.reload import Reloader
from monitor.score.transformer import devices, engine_of
from monitor.source.client import ensure_topics
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.retention import Keep, prune
from monitor.store.sql import SqlStore

log = logging.getLogger(__name__)

DAY = 86_400.0
EXIT_STALLED = 70
"""Exit status when the watchdog ends the process; a supervisor restarts it, and nothing is lost."""


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

    def run(self) -> None:
        """Run until ``stop`` is set. Raises what neither loop can mend."""
        failures: list[BaseException] = []
        self.jobs.start()
        threads = [
            self._thread("delivery", lambda: self.delivery.run(self.stop), failures),
            self._thread("watchdog", self._watch, failures),
        ]
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
    # The port is taken before the model is loaded: that it is in use must be told at once.
    web = application(metrics.registry, health.alive, health.ready, health.reload, health.sources)
    server = HttpServer(web, settings.http.host, settings.http.port)
    stack.callback(server.close)
    server.start()
    kafka = kafka_settings(settings.kafka)
    ensure_topics(kafka, dict.fromkeys(every_topic(settings.kafka), settings.kafka.partitions))
    reloader = None
    if scorer is None:
        release = current_release(settings.model)
        scorer = load_scorer(settings.model, metrics, release.path)
        if settings.model.path is None:
            reloader = _reloader(settings.model, release, metrics)
            stack.callback(reloader.close)
    stack.callback(scorer.close)
    scorer.warmup()
    metrics.model(scorer.model_version)
    source = KafkaSource(kafka, list(settings.kafka.topics))
    stack.callback(source.close)
    publisher = KafkaPublisher(kafka)
    stack.callback(publisher.close)
    limits = Limits(
        message_bytes=settings.intake.max_message_bytes,
        future=timedelta(seconds=settings.intake.future_tolerance),
    )
    kinds = {topic: Kind(kind) for topic, kind in settings.kafka.topics.items()}
    decoder = Decoder(limits, kinds, pseudonymiser(author_key(settings)))
    successor = reloader.take if reloader else lambda: None
    pipeline = _pipeline(settings, source, decoder, scorer, successor, store, metrics, clock)
    stack.callback(pipeline.close)
    pipeline.load()
    outbox = SqlOutbox(engine)
    stack.callback(outbox.close)
    delivery = DeliveryLoop(
        outbox,
        publisher,
        make_notifiers(settings.delivery, stack),
        GroupTiming(
            timedelta(seconds=settings.delivery.group_wait),
            timedelta(seconds=settings.delivery.group_interval),
            timedelta(seconds=settings.delivery.repeat_interval),
        ),
        DeliveryCounters(metrics),
        SystemClock(),
        external_url=settings.delivery.external_url,
    )
    jobs = Jobs()
    stack.callback(jobs.close)
    jobs.hourly("retention", lambda: _prune(engine, settings.store, clock))
    if reloader is not None:
        jobs.every("reload", settings.model.reload_every, reloader.look)
    health.pipeline, health.reloader = pipeline, reloader
    return Daemon(settings, pipeline, delivery, server, jobs, metrics, clock, stop, reloader)


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
        # Nothing of what is built so far (torch alone: a million objects) will ever be garbage, and
        # looking through it again and again cost a sixth of the time of a document.
        gc.collect()
        gc.freeze()
        daemon.run()
        log.info("stopped; every offset and alert is in the database")


def make_clock(settings: config.Settings) -> Clock:
    """The clock of event times."""
    if settings.replay is None:
        return SystemClock()
    r = settings.replay
    return ScaledClock(r.event_origin, r.wall_origin, r.speed)


def open_database(settings: config.Settings, stack: ExitStack) -> Engine:
    """The engine, with the tables brought up to date."""
    path = database_file(settings.store.url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    migrate(settings.store.url)
    engine = open_engine(settings.store.url)
    stack.callback(engine.dispose)
    return engine


def database_file(url: str) -> Path | None:
    """The file of an SQLite database, None for others."""
    parsed = make_url(url)
    return Path(parsed.database) if url.startswith("sqlite") and parsed.database else None


def author_key(settings: config.Settings) -> bytes:
    """Key of the authors' hashes: configured, or made once and kept beside the database."""
    if settings.intake.author_key is not None:
        return settings.intake.author_key.get_secret_value().encode()
    database = database_file(settings.store.url)
    if database is None:
        raise ConfigError(
            "intake.author_key: needed with PostgreSQL, where no file can hold it; "
            "set MONITOR_INTAKE__AUTHOR_KEY to a long random text"
        )
    path = database.with_name(database.name + ".author-key")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    key = secrets.token_bytes(32)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def kafka_settings(kafka: config.Kafka) -> KafkaSettings:
    """The source's settings, with the secrets opened."""
    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        client_id=kafka.client_id,
        group_instance_id=kafka.group_instance_id,
        session_timeout=kafka.session_timeout,
        fetch_max_wait=kafka.fetch_max_wait,
        api_version=kafka.api_version,
        security_protocol=kafka.security_protocol,
        ssl_cafile=kafka.ssl_cafile,
        ssl_certfile=kafka.ssl_certfile,
        ssl_keyfile=kafka.ssl_keyfile,
        ssl_password=kafka.ssl_password.get_secret_value() if kafka.ssl_password else None,
        ssl_check_hostname=kafka.ssl_check_hostname,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
        sasl_token_file=kafka.sasl_token_file,
    )


def every_topic(kafka: config.Kafka) -> list[str]:
    """Topics that are read and written."""
    return [*kafka.topics, kafka.scored_topic, kafka.alerts_topic, kafka.dead_letters_topic]


def current_release(model: config.Model) -> Release:
    """The weights to begin with: ``path``, or else the registry's current version."""
    if model.path is not None:
        return Release(str(model.path), model.path, 0)
    try:
        return Registry(model.registry).current()
    except ModelError as error:
        raise MonitorError(f"the model cannot be loaded: {error}") from error


def load_scorer(model: config.Model, metrics: Metrics, path: Path) -> BatchScorer:
    """The model of a folder on every device that is asked for, once it has judged a few
    sentences."""
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
    return engine_of(
        predictors,
        tokens=model.batch_tokens,
        look_ahead=model.look_ahead,
        max_wait=model.max_wait,
        minimum_fill=model.minimum_fill,
        metrics=ScoringCounters(metrics),
    )


def _reloader(model: config.Model, running: Release, metrics: Metrics) -> Reloader:
    return Reloader(
        Registry(model.registry).current,
        lambda path: load_scorer(model, metrics, path),
        running,
        metrics,
    )


def make_notifiers(delivery: config.Delivery, stack: ExitStack) -> dict[str, Notifier]:
    """One for each receiver, by name."""
    notifiers: dict[str, Notifier] = {}
    for receiver in delivery.receivers:
        notifier = WebhookNotifier(
            receiver.url,
            Signer([s.get_secret_value() for s in receiver.secrets]),
            Guard(receiver.allow_networks, receiver.plain_networks),
            limits=WebhookLimits(read=receiver.timeout, total=2 * receiver.timeout),
        )
        stack.callback(notifier.close)
        notifiers[receiver.name] = notifier
    return notifiers


def _pipeline(
    settings: config.Settings,
    source: KafkaSource,
    decoder: Decoder,
    scorer: Scorer,
    successor: Callable[[], Scorer | None],
    store: SqlStore,
    metrics: Metrics,
    clock: Clock,
) -> Pipeline:
    d, s = settings.detect, settings.sources
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
    )
    detectors = (
        ShareDetector(universe(), ShareSettings(budget=d.budget * (1 - d.volume_share))),
        VolumeDetector(universe(), VolumeSettings(budget=d.budget * d.volume_share)),
    )
    lifecycle = LifecycleSettings(
        min_documents=d.min_documents,
        min_sources=d.min_sources,
        recovery=int(d.recovery),
        accept_after=int(d.accept_after),
    )

    return Pipeline(
        source=source,
        decode=decoder.decode_batch,
        scorer=scorer,
        watermarks=Watermarks(settings.aggregate.out_of_orderness, settings.aggregate.idle_after),
        window=Window(settings.aggregate.allowed_lateness),
        watch=lambda evidence: Watch(detectors, evidence, lifecycle),
        store=store,
        metrics=metrics,
        clock=clock,
        listening=listening,
        successor=successor,
        settings=PipelineSettings(
            poll_records=settings.intake.poll_records,
            poll_most=settings.intake.poll_most,
            poll_timeout=settings.intake.poll_timeout,
            topics=OutTopics(
                settings.kafka.scored_topic,
                settings.kafka.alerts_topic,
                settings.kafka.dead_letters_topic,
            ),
        ),
    )


def _prune(engine: Engine, store: config.StoreSection, clock: Clock) -> dict[str, int]:
    keep = Keep(
        timedelta(days=store.keep_texts_days),
        timedelta(days=store.keep_buckets_days),
        timedelta(days=store.keep_dead_letters_days),
    )
    return prune(engine, clock.now(), datetime.now(UTC), keep)
