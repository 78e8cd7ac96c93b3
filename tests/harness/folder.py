"""A watched folder over a database in memory, with a clock that moves when told to."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from monitor.clock import ManualClock
from monitor.events import Kind
from monitor.folder.judge import RowJudge
from monitor.folder.scan import Scanner
from monitor.folder.watch import FolderWatch
from monitor.metrics import FolderCounters, Metrics
from monitor.source.contract import Limits
from monitor.source.decode import Decoder
from monitor.source.files import FieldMap
from monitor.store.publishing.memory import MemoryLanes
from monitor.store.receiving.base import Receiving
from monitor.store.receiving.memory import MemoryReceiving

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPICS = {"news": Kind.NEWS, "comments": Kind.COMMENT}
LANE = "intake"
LETTERS = "dead-letters"
SETTLE = 5.0


def row(identifier: str, hours: float = 0, **more: Any) -> dict[str, Any]:
    """A valid message, published so many hours before noon."""
    at = (NOON - timedelta(hours=hours)).isoformat()
    return {"id": identifier, "source": "wire", "published_at": at, "title": "A title", **more}


def jsonl(*rows: object) -> bytes:
    """Rows as JSON lines; texts as they are."""
    return "".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows).encode()


class Stopping(threading.Event):
    """Moves the clock where the daemon would wait, and ends after so many waits."""

    def __init__(self, clock: ManualClock, waits: int = 100) -> None:
        super().__init__()
        self._clock = clock
        self._left = waits
        self.on_wait: Callable[[], None] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(timeout or 0)
        self._left -= 1
        self.on_wait()
        if self._left <= 0:
            self.set()
        return self.is_set()


@dataclass
class Inbox:
    """A folder, the database behind it, and watchers that come and go like daemons."""

    path: Path
    mapping: FieldMap = field(default_factory=FieldMap)
    pattern: str = "*"
    kind: Kind = Kind.NEWS
    most_waiting: int = 100_000

    def __post_init__(self) -> None:
        self.path.mkdir(exist_ok=True)
        self.clock = ManualClock(NOON)
        self.lanes = MemoryLanes()
        self.receiving = MemoryReceiving(self.lanes, LANE)
        self.metrics = Metrics(CollectorRegistry())
        self.woken = 0
        self.watch = self.start()

    def start(self, receiving: Receiving | None = None) -> FolderWatch:
        """Another daemon, as after a crash."""
        decoder = Decoder(Limits(), TOPICS, str)
        self.watch = FolderWatch(
            self.path,
            Scanner(self.path, self.pattern, SETTLE, self.clock.monotonic),
            RowJudge(
                decoder.decode,
                TOPICS,
                LETTERS,
                self.kind,
                self.mapping,
                timedelta(days=1),
                self.clock,
                self.clock.now,
            ),
            receiving or self.receiving,
            self.most_waiting,
            self.clock,
            self.clock.now,
            FolderCounters(self.metrics),
            self._wake,
        )
        return self.watch

    def put(self, name: str, content: bytes) -> Path:
        """A file, whole."""
        path = self.path / name
        path.write_bytes(content)
        return path

    def look(self, seconds: float = 4.0, stop: threading.Event | None = None) -> None:
        """One look of the present daemon."""
        self.watch.look(stop or Stopping(self.clock), seconds)

    def settle(self) -> None:
        """Two looks with the time between them that a file needs to be read."""
        self.look()
        self.clock.advance(SETTLE)
        self.look()

    def messages(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Topic, id and message of what waits for Kafka."""
        return [
            (message.topic, message.id, json.loads(message.value))
            for message, _ in self.lanes.lanes[LANE].rows.values()
        ]

    def ids(self) -> list[str]:
        """Of the documents that wait."""
        return [identifier for topic, identifier, _ in self.messages() if topic != LETTERS]

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters that wait."""
        return [letter for topic, _, letter in self.messages() if topic == LETTERS]

    def places(self) -> list[str]:
        """Where the files are now."""
        found = (p for p in self.path.rglob("*") if p.is_file())
        return sorted(p.relative_to(self.path).as_posix() for p in found)

    def counted(self, name: str, **labels: str) -> float:
        """A sample of the metrics."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def _wake(self) -> None:
        self.woken += 1


def original(letter: dict[str, Any]) -> bytes:
    """The bytes that a dead letter keeps."""
    return base64.b64decode(letter["value_base64"])
