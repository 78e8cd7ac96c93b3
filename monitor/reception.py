"""What is handed in: the endpoint, the watched folders, and the one sender that both have."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Engine
from starlette.routing import Route

from monitor import config
from monitor.clock import Clock
from monitor.errors import LeaseError, MonitorError
from monitor.events import Kind
from monitor.folder.judge import RowJudge
from monitor.folder.scan import Scanner
from monitor.folder.watch import FolderWatch
from monitor.jobs import Jobs
from monitor.metrics import FolderCounters, Metrics, PushCounters
from monitor.offers import Check
from monitor.push.keys import ApiKey, Keyring, Meter
from monitor.push.service import Push
from monitor.push.web import PushLimits, routes
from monitor.source.dispatch import Dispatcher
from monitor.source.settings import KafkaSettings
from monitor.source.transact import KafkaTransactions
from monitor.store.publishing.sql import SqlLane, SqlPublishing
from monitor.store.receiving.sql import SqlReceiving

log = logging.getLogger(__name__)

LANE = "intake"
_PAGE = 500  # messages of one transaction of Kafka
_COUNT_EVERY = 10.0
_PATIENCE = 60.0  # seconds until the next try at what a person has to mend
_SHARE_OF_INTERVAL = 0.9  # that a look at a folder may take: the next one begins on time


class Reception:
    """Built with the daemon; what it takes is durable at once, and sent by `run`."""

    def __init__(
        self,
        settings: config.Settings,
        kafka: KafkaSettings,
        engine: Engine,
        check: Check,
        clock: Clock,
        metrics: Metrics,
        stop: threading.Event,
    ) -> None:
        """``check`` is the decoder's. Connects to nothing."""
        http = settings.http
        self._stop = stop
        self._metrics = metrics
        lane = SqlLane(engine, LANE)
        self._receiving = SqlReceiving(engine, lane)
        counters = PushCounters(metrics)
        self._sender = Dispatcher(
            SqlPublishing(engine, lane),
            lambda identity: KafkaTransactions(kafka, identity),
            counters,
            page=_PAGE,
        )
        kinds = {topic: Kind(kind) for topic, kind in settings.kafka.topics.items()}
        push = Push(
            self._receiving,
            check,
            kinds,
            http.max_waiting,
            clock,
            _wall,
            counters,
            self._sender.wake,
        )
        self.keyring = Keyring(
            [
                ApiKey(key.name, key.secret.get_secret_value(), frozenset(key.sources), key.rate)
                for key in http.keys
            ]
        )
        limits = PushLimits(http.max_body_bytes, http.max_documents)
        self.routes: list[Route] = routes(
            push, self.keyring, Meter(clock.monotonic), limits, counters
        )
        self._folders = [
            (
                folder,
                FolderWatch(
                    folder.path,
                    Scanner(folder.path, folder.pattern, folder.settle, clock.monotonic),
                    RowJudge(
                        check,
                        kinds,
                        settings.kafka.dead_letters_topic,
                        Kind(folder.kind),
                        folder.mapping,
                        folder.history,
                        clock,
                        _wall,
                    ),
                    self._receiving,
                    http.max_waiting // 2,
                    clock,
                    _wall,
                    FolderCounters(metrics),
                    self._sender.wake,
                    done=folder.done,
                    failed=folder.failed,
                ),
            )
            for folder in settings.watch_folders
        ]
        self._used = bool(len(self.keyring) or self._folders)

    def open(self) -> bool:
        """Take the sender's lane; False where nothing is handed in and nothing waits from before.
        Raises ``StoreError``."""
        self._used = self._used or self._receiving.backlog().messages > 0
        if self._used:
            self._sender.open()
        return self._used

    def schedule(self, jobs: Jobs) -> None:
        """Look into the folders from now on."""
        if self._used:
            jobs.every("count what waits", _COUNT_EVERY, self._count)
        for number, (folder, watch) in enumerate(self._folders):
            seconds = folder.poll_interval * _SHARE_OF_INTERVAL
            work = partial(watch.look, self._stop, seconds)
            jobs.every(f"folder {number} {folder.path}", folder.poll_interval, work)

    def run(self) -> None:
        """Send what was handed in, until the daemon stops. Raises ``LeaseError`` when another
        daemon has taken over; whatever else is wrong, the rest of the daemon goes on."""
        while not self._stop.is_set():
            try:
                self._sender.run(self._stop)
            except LeaseError:
                raise
            except MonitorError as error:
                log.error(  # noqa: TRY400 - its words say all
                    "what was handed in can't be sent, again in %g s: %s", _PATIENCE, error
                )
                self._metrics.push_failures.inc()
                self._stop.wait(_PATIENCE)

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._sender.close()

    def _count(self) -> None:
        self._metrics.push_waiting.set(self._receiving.backlog().messages)


def _wall() -> datetime:
    return datetime.now(UTC)
