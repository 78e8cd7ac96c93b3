"""The composition root: the only module that knows every adapter.

Everything is built in `build` and closed last-in, first-out; a start that fails half-way closes
what it had opened.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import FrameType

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from models.manifest import Manifest
from monitor import config
from monitor.aggregate.sources import SourceSettings
from monitor.alert.payload import no_links
from monitor.annotate import Annotator
from monitor.clock import Clock, SystemClock
from monitor.daemon import Daemon, Health
from monitor.decoding import make_decoder
from monitor.delivery import DeliveryLoop
from monitor.detect.correction import Corrections
from monitor.entity.entities import open_entities
from monitor.garbage import spare_the_collector
from monitor.heartbeat import Heartbeat
from monitor.http import HttpServer, application
from monitor.jobs import Jobs
from monitor.listening import Listening
from monitor.loading import current_release, load_scorer, make_reloader
from monitor.metrics import DeliveryCounters, Metrics
from monitor.naming import EntityNaming
from monitor.notifying import group_timing, make_receivers
from monitor.opening import (
    configuration_of,
    every_topic,
    kafka_settings,
    make_clock,
    open_database,
    out_topics,
)
from monitor.pipeline import Pipeline, PipelineSettings
from monitor.push.admission import Admission
from monitor.push.keys import ApiKey, Keyring
from monitor.receipt.provenance import Provenances
from monitor.receipting import receipt_routes
from monitor.reception import Reception
from monitor.rehearsing import schedule_drills
from monitor.ruling import errors_of, make_watch, make_watermarks, make_window
from monitor.score.base import Scorer
from monitor.showing import showing_routes
from monitor.silencing import silencing_routes
from monitor.source.client import ensure_topics
from monitor.source.decode import Decoder
from monitor.source.feeds.message import source_of
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.store.alerted import Alerted
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

_DAY = 86_400.0


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
            reloader = make_reloader(settings.model, release, metrics, note)
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
    schedule_drills(settings, engine, metrics, jobs)
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
            minimum_history=s.minimum_history_days * _DAY,
            failures=s.failures,
            forget=s.forget_days * _DAY,
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
