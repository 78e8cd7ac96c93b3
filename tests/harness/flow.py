"""A pipeline over the in-memory adapters, with a scorer that reads marks in the text."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from monitor import config
from monitor.aggregate.sources import SourceSettings
from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.annotate import Annotator
from monitor.clock import ManualClock
from monitor.detect.calendar import Calendar
from monitor.detect.surroundings import LifecycleSettings
from monitor.detect.watch import Watch
from monitor.events import Kind
from monitor.heartbeat import MemoryHeartbeat
from monitor.listening import Listening
from monitor.metrics import Metrics
from monitor.pipeline import Pipeline, PipelineSettings
from monitor.receipt.provenance import Provenances
from monitor.ruling import make_detectors
from monitor.score.base import Scorer
from monitor.score.memory import MemoryScorer
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.source.memory import MemoryLog, MemorySource, Step
from monitor.store.base import Store
from monitor.store.memory import MemoryDatabase, MemoryStore

START = datetime(2026, 3, 2, tzinfo=UTC)


Message = dict[str, object]

_SIGNS = {"-": 0, "0": 1, "+": 2}


def judge(text: str) -> tuple[int, int]:
    """Sentiment and topic as the text itself says: "- 5 …" is negative on topic 5."""
    sign, topic, _ = text.split(None, 2)
    return _SIGNS[sign], int(topic)


def message(
    number: int, at: datetime, sign: str = "0", topic: int = 5, source: str = ""
) -> Message:
    """A valid message whose text tells the scorer its verdict."""
    return {
        "id": f"d{number}",
        "source": source or f"source-{number % 7}",
        "published_at": at.isoformat(),
        "text": f"{sign} {topic} text number {number}",
    }


@dataclass
class Flow:
    """One pipeline on a log and a database that outlive it: `restart` makes the next one."""

    log: MemoryLog
    database: MemoryDatabase = field(default_factory=MemoryDatabase)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + timedelta(days=30)))
    scorer: MemoryScorer = field(default_factory=lambda: MemoryScorer(judge))
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    poll_records: int = 512
    script: Sequence[Step] = ()
    successor: Callable[[], Scorer | None] = lambda: None
    annotator: Callable[[], Annotator] = Annotator
    calendar: Calendar = field(default_factory=Calendar)
    unpaged: bool = False
    """Somebody has a digest."""
    sources: SourceSettings | None = None
    """None: nobody asks whether a source is quiet or blind."""
    heartbeat: MemoryHeartbeat = field(default_factory=MemoryHeartbeat)
    provenances: Provenances = field(default_factory=Provenances)
    detect: config.Detect = field(default_factory=config.Detect)
    """Of this the detectors' budget alone; gates and times are `lifecycle`'s."""
    store_on: Callable[[MemoryDatabase], Store] = MemoryStore
    wall: Callable[[], datetime] = lambda: START + timedelta(days=30)

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.restart()

    def restart(self, script: Sequence[Step] = ()) -> None:
        """A new process over the same log and database."""
        self.source = MemorySource(self.log, ["news", "comments"], [*self.script, *script])
        self.store = self.store_on(self.database)
        self.metrics = Metrics(CollectorRegistry())
        self.detectors = detectors = make_detectors(self.detect)

        kinds = {"news": Kind.NEWS, "comments": Kind.COMMENT}
        decoder = Decoder(Limits(), kinds, pseudonymiser(b"test"))
        self.pipeline = Pipeline(
            source=self.source,
            decode=decoder.decode_batch,
            scorer=self.scorer,
            annotate=self.annotator(),
            watermarks=Watermarks(),
            window=Window(),
            watch=lambda evidence, seal: Watch(
                detectors, evidence, self.lifecycle, seal, calendar=self.calendar
            ),
            store=self.store,
            metrics=self.metrics,
            clock=self.clock,
            listening=None
            if self.sources is None
            else Listening(self.sources, 0.2, self.store, self.metrics, self.heartbeat),
            successor=lambda: self.successor(),
            provenances=self.provenances,
            settings=PipelineSettings(
                poll_records=self.poll_records,
                poll_most=self.poll_records,
                poll_timeout=0.0,
                unpaged=self.unpaged,
            ),
            wall=self.wall,
        )
        self.pipeline.load()

    def put(self, messages: Sequence[Message | bytes], topic: str = "news") -> None:
        """Publish."""
        for m in messages:
            value = m if isinstance(m, bytes) else json.dumps(m).encode()
            self.log.append(topic, None, value)

    def drain(self, passes: int = 1000) -> None:
        """Step until everything has been read and every silent partition is idle."""
        quiet = 0
        for _ in range(passes):
            if self.pipeline.step(self.stop) or self.pipeline.in_flight:
                quiet = 0
            else:
                quiet += 1
                self.clock.advance(61)
                if quiet == 5:
                    return
        pytest.fail(f"not everything was read in {passes} passes")


def make_flow(partitions: int = 1, poll_records: int = 512) -> Flow:
    """A flow with an empty log and an empty database."""
    log = MemoryLog(["news", "comments"], partitions, wall=lambda: START)
    return Flow(log, poll_records=poll_records)
