"""The daemon as a process of its own, and what it left in the database, in Kafka and on its port.

As a script (``python tests/harness/daemon.py CONFIG``) it is the daemon with a scorer that reads
its verdict in the text (`harness.flow.judge`) in the place of the model: the same otherwise.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from monitor.alert.group import group_from_json
from monitor.source.kafka import KafkaSource
from monitor.source.settings import KafkaSettings

PATIENCE = 120.0
"""Seconds until a condition that must come true counts as failed; no pause."""
ROOT = Path(__file__).parents[2]
SHIPPED = (sys.executable, "-m", "monitor", "run", "--config")
SCRIPTED = (sys.executable, str(Path(__file__).resolve()))

_LOOK = 0.05  # seconds between two looks at another process


@dataclass(frozen=True)
class Topics:
    """The topics of one installation; the names are its own, since tests share a broker."""

    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def news(self) -> str:
        return f"news-{self.mark}"

    @property
    def comments(self) -> str:
        return f"comments-{self.mark}"

    @property
    def scored(self) -> str:
        return f"scored-{self.mark}"

    @property
    def alerts(self) -> str:
        return f"alerts-{self.mark}"

    @property
    def dead_letters(self) -> str:
        return f"dead-letters-{self.mark}"

    def every(self) -> list[str]:
        return [self.news, self.comments, self.scored, self.alerts, self.dead_letters]


@dataclass
class Installation:
    """A folder with a database, the topics, and the configuration of the daemons that use them."""

    folder: Path
    kafka: KafkaSettings
    topics: Topics = field(default_factory=Topics)
    receiver: str | None = None
    secret: str = ""
    extra: str = ""
    """More TOML."""

    @property
    def database(self) -> Path:
        return self.folder / "monitor.db"

    @property
    def registry(self) -> Path:
        """Of the models: empty, so that the shipped one scores, unless a test fills it."""
        return self.folder / "models"

    def write(self, name: str = "monitor.toml", group: str = "") -> Path:
        """The configuration's file. The port is 0: the daemon's log says which one it took."""
        kafka, topics = self.kafka, self.topics
        version = f"api_version = {list(kafka.api_version)}" if kafka.api_version else ""
        path = self.folder / name
        text = f"""
[kafka]
bootstrap_servers = "{kafka.bootstrap_servers}"
{version}
check_crcs = {str(kafka.check_crcs).lower()}
group_id = "{group or f"monitor-{topics.mark}"}"
topics = {{ {topics.news} = "news", {topics.comments} = "comment" }}
scored_topic = "{topics.scored}"
alerts_topic = "{topics.alerts}"
dead_letters_topic = "{topics.dead_letters}"
session_timeout = {kafka.session_timeout}
fetch_max_wait = {kafka.fetch_max_wait}
[store]
url = "sqlite:///{self.database}"
keep_texts_days = 36500  # the documents have fixed dates, and retention runs once an hour
keep_buckets_days = 36500
[http]
port = 0
{"" if "[model]" in self.extra else f'[model]{chr(10)}registry = "{self.registry}"'}
[logs]
style = "text"
[delivery]
group_wait = 0.1
group_interval = 0.5
repeat_interval = 3600
"""
        if self.receiver is not None:
            text += f"""
[[delivery.receivers]]
name = "desk"
url = "{self.receiver}"
secrets = ["{self.secret}"]
allow_http = true
allow_networks = ["127.0.0.1/32"]
"""
        path.write_text(text + self.extra, "utf-8")
        return path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query over the database gives; nothing before there are tables."""
        if not self.database.exists():
            return []
        uri = f"file:{self.database}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def count(self, table: str) -> int:
        """Rows in a table."""
        return sum(n for (n,) in self.rows(f"SELECT count(*) FROM {table}"))

    def taken(self) -> int:
        """Messages that the daemon has made a document or a dead letter of."""
        return self.count("documents") + self.count("dead_letters")

    def settled(self) -> bool:
        """Whether everything that was promised to the world outside has been delivered."""
        due = "notifications WHERE status = 'pending'"
        if self.count("outbox") or self.count(due):
            return False
        groups = [group_from_json(s) for (s,) in self.rows("SELECT state FROM notification_groups")]
        return all(member.told == member.state for g in groups for member in g.members)


class DaemonProcess:
    """``monitor run`` from construction to ``close``; a context manager."""

    def __init__(self, config: Path, command: Sequence[str] = SHIPPED) -> None:
        self._log = config.with_suffix(f".{time.monotonic_ns()}.log")
        self._port: int | None = None
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, str(config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text("utf-8", errors="replace")

    def ready(self) -> Self:
        """Wait until /readyz says so."""
        until(lambda: self.get("/readyz")[0] == 200, "the daemon is ready", self)
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET; (0, "") while nothing answers."""
        if self._port is None:
            found = re.search(r"metrics and health on http://127\.0\.0\.1:(\d+)", self.log())
            if found is None:
                return 0, ""
            self._port = int(found[1])
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample by name and labels."""
        status, text = self.get("/metrics")
        assert status == 200, self.log()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and these labels."""
        wanted = labels.items()
        return sum(v for (n, found), v in self.metrics().items() if n == name and wanted <= found)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit status; ``subprocess.TimeoutExpired`` when it lives on."""
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it, by force if need be."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def require_alive(self) -> None:
        """An ``AssertionError`` with its log when it has ended."""
        status = self._process.poll()
        assert status is None, f"the daemon ended with status {status}:\n{self.log()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def until(
    condition: Callable[[], bool],
    what: str,
    daemon: DaemonProcess | None = None,
    patience: float = PATIENCE,
) -> None:
    """Look until ``condition`` holds; an ``AssertionError`` that names ``what`` when it does not,
    or as soon as ``daemon`` has ended."""
    deadline = time.monotonic() + patience
    while not condition():
        if daemon is not None:
            daemon.require_alive()
        said = daemon.log()[-3000:] if daemon is not None else ""
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}\n{said}"
        time.sleep(_LOOK)


def read_topics(
    kafka: KafkaSettings, wanted: Mapping[str, int], patience: float = PATIENCE
) -> dict[str, list[dict[str, Any]]]:
    """The messages of these topics from their start, once each holds as many as ``wanted``.

    Reads on to the logs' ends, so that what is too much is seen as well.
    """
    settings = replace(kafka, group_id=f"reader-{uuid.uuid4().hex[:8]}")
    source = KafkaSource(settings, list(wanted))
    messages: dict[str, list[dict[str, Any]]] = {topic: [] for topic in wanted}
    deadline = time.monotonic() + patience
    try:
        while True:
            batch = source.poll(0.25, 2_000)
            for record in batch.records:
                assert record.value is not None
                messages[record.origin.topic].append(json.loads(record.value))
            complete = all(len(messages[topic]) >= n for topic, n in wanted.items())
            if complete and not batch.records and batch.positions == batch.ends:
                return messages
            found = {topic: len(items) for topic, items in messages.items()}
            assert time.monotonic() < deadline, f"found {found}, wanted {dict(wanted)}"
    finally:
        source.close()


def places(letters: Collection[Mapping[str, Any]]) -> set[tuple[str, int, int]]:
    """Where the records of these dead letters stand in Kafka."""
    return {(m["topic"], m["partition"], m["offset"]) for m in letters}


def original(letter: Mapping[str, Any]) -> bytes:
    """The bytes that a dead letter keeps."""
    value = letter["value_base64"]
    return b"" if value is None else base64.b64decode(value)


def main(config: str) -> int:
    """Run the daemon with the scripted scorer; its exit status."""
    sys.path.insert(0, str(ROOT / "tests"))
    from harness.flow import judge

    from monitor import log
    from monitor.app import run_daemon
    from monitor.config import load_settings
    from monitor.errors import MonitorError
    from monitor.score.memory import MemoryScorer

    settings = load_settings(Path(config))
    log.configure(settings.logs.level, settings.logs.style)
    try:
        run_daemon(settings, MemoryScorer(judge))
    except MonitorError as error:
        sys.stderr.write(f"monitor: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
