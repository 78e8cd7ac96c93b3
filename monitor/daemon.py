"""The daemon while it runs: its threads, its watchdog, and what it says of its health."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from monitor import config
from monitor.clock import Clock, SystemClock
from monitor.delivery import DeliveryLoop
from monitor.http import Answer, Checks, HttpServer
from monitor.jobs import Jobs
from monitor.metrics import Metrics
from monitor.pipeline import Pipeline
from monitor.reception import Reception
from monitor.score.reload import Reloader

log = logging.getLogger(__name__)

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
