"""A daemon's two loops under ``kill -9``, life after life, and what they leave behind.

A life is a process of its own: the pipeline with the detectors of the daemon, the outbox and the
delivery loop with its threads, on an SQLite file with the daemon's durable settings, sending signed
webhooks over HTTP. In the place of Kafka there is a tape: records are a function of their number,
and a life reads on from the offsets that the database holds, as the daemon does. In the place of
the model a scorer reads the verdict in the text. What is published to topics is appended to a file.

As a script it forks the lives of one run, kills them, lets the last one finish, and runs the same
records once undisturbed beside it. It says a line of JSON for each life, and has no thread of its
own, since a thread of the parent would be missing in its children.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import random
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from harness.phases import (
    MarkedNotifier,
    MarkedOutbox,
    MarkedScorer,
    MarkedStop,
    MarkedStore,
    MarkedTape,
    MarkedTopics,
    Phases,
    mark_commits,
)
from harness.tape import PERIOD, START
from harness.telling import Names
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from monitor import config
from monitor.alert.base import Receiver
from monitor.alert.group import GroupTiming, group_from_json
from monitor.annotate import Annotator
from monitor.clock import ScaledClock
from monitor.delivery import DeliveryLoop
from monitor.detect.correction import Corrections
from monitor.events import Kind
from monitor.metrics import DeliveryCounters, Metrics
from monitor.notifying import group_timing, make_receivers
from monitor.pipeline import Pipeline, PipelineSettings
from monitor.receipt.provenance import Provenances
from monitor.ruling import make_watch, make_watermarks, make_window
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.story.stories import Stories, StoriesSettings

SPEED = 120.0
"""Seconds of the receivers' time in one of the machine's: what is tried again in five seconds is
tried after the kills of some lives."""
BATCH = 24
LONGEST = 0.35
"""Seconds that a life may last once it has begun to read …"""
UNBORN = 0.12
"""… and that one is given which may be killed before; so it is with one in six."""
LINGER = 0.002
"""Seconds up to which a life goes on that has come to where it is to be killed."""

AIMS = (
    *(("MainThread", phase) for phase in Phases.MAIN[1:]),
    *(("delivery", phase) for phase in Phases.DELIVERY[1:]),
    *(("send-", phase) for phase in Phases.LANE[1:]),
    *(("publish", phase) for phase in Phases.LANE[1:]),
)
"""Threads, by the beginning of their names, and what they are at."""

_STALLED = 8
"""Lives without a transaction after which they are let live twice as long: on a busy machine none
would ever come through the batch with which an alert fires."""
_SETTLED = 0.05  # seconds between two looks whether everything is delivered
_LOOK = 0.0005  # … and at what a life is


class _Clock:
    """Event time stands behind everything that is read; durations are real."""

    def now(self) -> datetime:
        return START + timedelta(days=3650)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Site:
    """What outlives the lives of one run."""

    folder: Path
    receivers: Mapping[str, Receiver]
    """Made once: to make them takes longer than most lives. None: nobody delivers."""
    timing: GroupTiming
    origin: datetime
    """When the receivers' time began."""
    phases: Phases = field(repr=False)

    @classmethod
    def at(cls, folder: Path, urls: Sequence[str], secret: str, origin: datetime) -> Site:
        """Make the database."""
        folder.mkdir(parents=True, exist_ok=True)
        delivery = config.Delivery.model_validate(
            {
                "receivers": [
                    {
                        "name": f"desk-{n}",
                        "type": "webhook",
                        "url": url,
                        "secrets": [secret],
                        "allow_http": True,
                        "allow_networks": ["127.0.0.1/32"],
                    }
                    for n, url in enumerate(urls)
                ]
            }
        )
        receivers = make_receivers(delivery, ExitStack())
        phases = Phases(["publish", *(f"send-{name}" for name in receivers)])
        marked = {
            name: replace(receiver, notifier=MarkedNotifier(receiver.notifier, phases))
            for name, receiver in receivers.items()
        }
        site = cls(folder, marked, group_timing(delivery), origin, phases)
        migrate(site.url)
        return site

    @property
    def database(self) -> Path:
        return self.folder / "monitor.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.database}"

    @property
    def topics(self) -> Path:
        return self.folder / "topics.jsonl"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def read_to(self) -> int:
        """Records up to which everything is in the database."""
        return sum(n for (n,) in self.rows("SELECT next_offset FROM offsets"))

    def settled(self) -> bool:
        """Whether everything that was promised to the world outside has been delivered."""
        counts = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM notifications "
        if self.rows(f"{counts} WHERE status = 'pending')") != [(0,)]:
            return False
        groups = [group_from_json(s) for (s,) in self.rows("SELECT state FROM notification_groups")]
        return all(member.told == member.state for g in groups for member in g.members)


def receivers_clock(origin: datetime) -> ScaledClock:
    """The time that senders and receivers share."""
    return ScaledClock(origin, origin, SPEED)


def live(site: Site, end: int, until_done: bool) -> None:
    """Read on, detect, write and deliver: for ever, or until all of the tape is written and all of
    it delivered."""
    phases = site.phases
    with ExitStack() as stack:
        engine = open_engine(site.url)
        stack.callback(engine.dispose)
        mark_commits(engine, phases)
        metrics = Metrics(CollectorRegistry())
        pipeline = _pipeline(end, engine, metrics, phases)
        pipeline.load()
        stop = MarkedStop(phases, SPEED)
        thread = threading.Thread(
            target=_deliver, args=(site, engine, metrics, stop), name="delivery", daemon=True
        )
        if site.receivers:
            thread.start()
        running, parent = threading.Event(), os.getppid()
        while pipeline.step(running) or not until_done or site.read_to() < end:
            if os.getppid() != parent:
                raise RuntimeError("nobody is there any more to kill this life")
        if site.receivers:
            while not site.settled():
                if not thread.is_alive():
                    raise RuntimeError("the delivery loop has ended")
                time.sleep(_SETTLED)
            stop.set()
            thread.join()


def _pipeline(end: int, engine: Engine, metrics: Metrics, phases: Phases) -> Pipeline:
    decoder = Decoder(Limits(), {"news": Kind.NEWS}, pseudonymiser(b"killed"))
    aggregate, detect = config.Aggregate(), config.Detect()
    return Pipeline(
        source=MarkedTape(end, phases),
        decode=decoder.decode_batch,
        scorer=MarkedScorer(phases),
        annotate=Annotator(Stories(StoriesSettings(window=timedelta(hours=3))), Names()),
        watermarks=make_watermarks(aggregate),
        window=make_window(aggregate),
        watch=lambda exhibit, seal: make_watch(detect, exhibit, Corrections().of, seal),
        store=MarkedStore(engine, phases),
        metrics=metrics,
        clock=_Clock(),
        provenances=Provenances(),
        settings=PipelineSettings(poll_records=BATCH, poll_most=BATCH, poll_timeout=0.02),
        wall=lambda: START,
    )


def _deliver(site: Site, engine: Engine, metrics: Metrics, stop: threading.Event) -> None:
    with ExitStack() as stack:
        topics = MarkedTopics(site.topics, site.phases)
        stack.callback(topics.close)
        loop = DeliveryLoop(
            MarkedOutbox(engine, site.phases),
            topics,
            site.receivers,
            site.timing,
            DeliveryCounters(metrics),
            receivers_clock(site.origin),
        )
        loop.run(stop)


# ---------------------------------------------------------------------- a run


def fork(site: Site, end: int, until_done: bool) -> int:
    """Begin a life; its process."""
    tasks = list(Path("/proc/self/task").iterdir()) if Path("/proc/self/task").exists() else [None]
    assert len(tasks) == 1, "a thread of the parent would be missing in the child, its locks held"
    site.phases.clear()
    if child := os.fork():
        return child
    try:
        live(site, end, until_done)
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def warm_up(site: Site) -> None:
    """Read a little in this process: what is imported and made only then need not be made in every
    life again."""
    engine = open_engine(site.url)
    pipeline = _pipeline(2 * BATCH, engine, Metrics(CollectorRegistry()), site.phases)
    pipeline.load()
    while site.read_to() < 2 * BATCH:
        pipeline.step(threading.Event())
    engine.dispose()
    gc.freeze()


def kills(site: Site, count: int, seed: int) -> Iterator[dict[str, str]]:
    """Kill so many lives: what each of its threads was at.

    Every other one at a random moment; the others as soon as a thread is at what was drawn for
    them, or shortly after: most of what a life does takes less time than to compute and to wait.
    """
    rng = random.Random(seed)
    read, stalled = 0, 0
    for number in range(count):
        longest = LONGEST * 2 ** min(stalled // _STALLED, 5)
        aim = rng.choice(AIMS) if number % 2 else None
        unborn = rng.random() < 1 / 6
        child = fork(site, sys.maxsize, until_done=False)
        if aim is not None:
            deadline = time.monotonic() + longest + UNBORN
            while not site.phases.is_at(*aim) and time.monotonic() < deadline:
                time.sleep(_LOOK)
            time.sleep(rng.uniform(0.0, LINGER))
        elif unborn:
            time.sleep(rng.uniform(0.0, UNBORN))
        else:
            while site.phases.of("MainThread") == "starting" and _lives(child):
                time.sleep(_LOOK)
            time.sleep(rng.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise RuntimeError(f"life {number} ended by itself, with status {status}")
        before, read = read, site.read_to()
        stalled = 0 if read > before else stalled + 1
        yield site.phases.all()


def _lives(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def finish(site: Site, end: int) -> None:
    """The last life, which is left alone."""
    _, status = os.waitpid(fork(site, end, until_done=True), 0)
    if status != 0:
        raise RuntimeError(f"the undisturbed life in {site.folder} ended with status {status}")


def main(folder: str, urls: str, secret: str, count: str, seed: str, origin: str) -> None:
    logging.disable(logging.CRITICAL)
    warm_up(Site.at(Path(folder) / "warm", (), secret, datetime.fromisoformat(origin)))
    killed = Site.at(
        Path(folder) / "killed", urls.split(","), secret, datetime.fromisoformat(origin)
    )
    for phases in kills(killed, int(count), int(seed)):
        print(json.dumps(phases), flush=True)
    end = math.ceil((killed.read_to() + 1) / PERIOD) * PERIOD
    finish(killed, end)
    finish(Site.at(Path(folder) / "undisturbed", (), secret, killed.origin), end)


if __name__ == "__main__":
    main(*sys.argv[1:])
