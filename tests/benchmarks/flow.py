"""Documents a second from Kafka to the database, through the whole daemon.

Run: python tests/benchmarks/flow.py [--kafka HOST:PORT] [--unscored 100000] [--documents 1500]

A backlog is published first; then `monitor run` is started and watched until everything is in the
database, and until everything that follows from it is in the topic ``scored``. Without a model (a
scorer in memory in its place) that is what everything but the model costs; beside it, in the same
run, what it is made of at least: kafka-python alone reading the same topic, and sqlite3 alone
writing the same rows.

With the model, the share outside it is told in two ways: by the device's idle time, and
against the same texts through the model alone in this process, one batch after another. The second
includes what the other threads (Kafka's client, delivery) take from it. Without ``--kafka`` the
broker is the embedded one, whose partitions hold 5 MiB (`make kafka` starts a real one).
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.daemon import SCRIPTED, SHIPPED, DaemonProcess, Installation, until
from harness.invented import invented_messages
from kafka import KafkaConsumer
from prometheus_client import CollectorRegistry

from models.predict import DEFAULT
from monitor.config import Model
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.feed import endless
from monitor.loading import load_scorer
from monitor.metrics import STAGES, Metrics
from monitor.source.client import client_options, ensure_topics
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings
from monitor.store.migrations import migrate

START = datetime(2026, 3, 2, tzinfo=UTC)
BATCH = 512
LARGE = 4_096
PARTITIONS = 4
MIB = 1 << 20


@dataclass(frozen=True)
class Run:
    """What one daemon did between its first verdict and its last transaction."""

    documents: int
    seconds: float
    published: float
    """Seconds until the outbox was empty."""
    cpu: float
    """Seconds of the daemon's process until then, all threads."""
    stages: dict[str, float]
    """Seconds that batches spent in each stage; in ``score`` several at once."""
    busy: float
    """Seconds in which the device had a forward pass under way."""
    memory: float
    """Resident at the end, in bytes."""
    reading: float
    """Seconds of kafka-python alone for as many of the same records."""
    writing: float
    """Seconds of sqlite3 alone for as many of the same rows."""

    @property
    def outside(self) -> float:
        """Share of the time in which the device had nothing to do."""
        return 1 - self.busy / self.seconds


class Counters(NamedTuple):
    """What a daemon tells of itself, read at once: each question costs it a document's time a
    thousand times over."""

    cpu: float
    busy: float
    memory: float
    stages: dict[str, float]

    @classmethod
    def of(cls, daemon: DaemonProcess) -> Counters:
        samples = daemon.metrics()

        def total(name: str, **labels: str) -> float:
            wanted = labels.items()
            return sum(v for (n, found), v in samples.items() if n == name and wanted <= found)

        return cls(
            total("process_cpu_seconds_total"),
            total("monitor_device_busy_seconds_total"),
            total("process_resident_memory_bytes"),
            {s: total("monitor_stage_seconds_sum", stage=s) for s in STAGES},
        )


def read_to(site: Installation) -> int:
    """Records up to which everything is in the database."""
    return sum(n for (n,) in site.rows("SELECT next_offset FROM offsets"))


def under_way(site: Installation, daemon: DaemonProcess) -> bool:
    """Whether the first forward pass has begun, or, without a model, something is stored: with one
    several batches are judged before the first of them is."""
    if read_to(site) > 0:
        return True
    answered = daemon.get("/metrics")[0] == 200
    return answered and daemon.metric("monitor_micro_batches_total") > 0


def run(kafka: KafkaSettings, values: Sequence[bytes], command: Sequence[str]) -> Run:
    """Publish a backlog, and look at the daemon that works it off."""
    with tempfile.TemporaryDirectory() as folder:
        site = Installation(Path(folder), kafka)
        ensure_topics(kafka, dict.fromkeys(site.topics.every(), PARTITIONS))
        publisher = KafkaPublisher(kafka)
        publisher.publish(
            site.topics.news, ((str(n).encode(), value) for n, value in enumerate(values))
        )
        publisher.close()
        with DaemonProcess(site.write(), command) as daemon:
            until(lambda: under_way(site, daemon), "the first verdict", daemon, 600)
            first, begun = read_to(site), time.perf_counter()
            before = Counters.of(daemon)
            until(lambda: read_to(site) >= len(values), "all is stored", daemon, 3_600)
            seconds = time.perf_counter() - begun
            until(lambda: not site.count("outbox"), "all is published", daemon, 600)
            published = time.perf_counter() - begun
            after = Counters.of(daemon)
        assert site.taken() == len(values)
        documents = len(values) - first
        share = documents / len(values)
        return Run(
            documents,
            seconds,
            published,
            after.cpu - before.cpu,
            {s: after.stages[s] - before.stages[s] for s in STAGES},
            after.busy - before.busy,
            after.memory,
            read_alone(kafka, site.topics.news, len(values)) * share,
            write_alone(site, Path(folder) / "alone.db") * share,
        )


def read_alone(kafka: KafkaSettings, topic: str, count: int) -> float:
    """Seconds of kafka-python, without anything of ours, from its first record to the last."""
    options = client_options(kafka)
    consumer = KafkaConsumer(
        topic,
        **options,
        group_id=f"alone-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    found = 0
    while not found:
        found = sum(map(len, consumer.poll(1000, max_records=1).values()))
    begun = time.perf_counter()
    while found < count:
        found += sum(map(len, consumer.poll(1000, max_records=LARGE).values()))
    seconds = time.perf_counter() - begun
    consumer.close()
    return seconds


def write_alone(site: Installation, path: Path) -> float:
    """Seconds of sqlite3's executemany for the rows of the documents, just as durable."""
    rows = site.rows("SELECT * FROM documents")
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        insert = f"INSERT INTO documents VALUES ({', '.join('?' * len(rows[0]))})"
        begun = time.perf_counter()
        for first in range(0, len(rows), LARGE):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, rows[first : first + LARGE])
            connection.execute("COMMIT")
        return time.perf_counter() - begun


def told(name: str, found: Run) -> None:
    n = found.documents
    print(f"{name}, over {n:,} documents")
    print(f"  Kafka to database     {n / found.seconds:9,.0f} documents/s")
    print(f"  … and to Kafka again  {n / found.published:9,.0f} documents/s")
    print(f"  the daemon's CPU time {1e6 * found.cpu / n:9.1f} µs a document, all threads")
    print(f"  kafka-python alone    {n / found.reading:9,.0f} records/s")
    print(f"  sqlite3 alone         {n / found.writing:9,.0f} documents/s")
    peers = found.reading + found.writing
    print(f"  against both in turn  {peers / found.seconds:9.2f} of {n / peers:,.0f} documents/s")
    each = "  ".join(f"{s} {1e6 * t / n:.1f}" for s, t in found.stages.items())
    print(f"  ms for 1,000          {each}")
    print(f"  resident MiB          {found.memory / MIB:9,.0f}")


def alone(texts: Sequence[str]) -> float:
    """Seconds of the model over these texts, in batches like the daemon's."""
    scorer = load_scorer(Model(device="cpu"), Metrics(CollectorRegistry()), DEFAULT)
    scorer.warmup()
    begun = time.perf_counter()
    for first in range(0, len(texts), BATCH):
        scorer.score(texts[first : first + BATCH])
    seconds = time.perf_counter() - begun
    scorer.close()
    return seconds


def sample(count: int) -> list[dict[str, str]]:
    """Sound messages of the sample stream."""
    sound = (json.loads(m.value) for m in endless(START, 7) if m.flaw in (None, "copy"))
    return list(islice(sound, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_500, help="through the model; 0: none")
    parser.add_argument("--unscored", type=int, default=100_000, help="without; 0: none")
    parser.add_argument("--rounds", type=int, default=1, help="of those without the model")
    parser.add_argument("--kafka", metavar="HOST:PORT")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.kafka:
            kafka = KafkaSettings(bootstrap_servers=options.kafka)
        else:
            kafka = stack.enter_context(EmbeddedBroker()).settings()
        for _ in range(options.rounds if options.unscored else 0):
            # At 30 s a document each ten of them close a bucket of all keys.
            for sort, seconds in (("short", 0.3), ("short", 30.0), ("named", 0.3)):
                step = timedelta(seconds=seconds)
                values = invented_messages(sort, options.unscored, START, step)
                name = f"without a model, {sort} texts {seconds} s apart"
                told(name, run(kafka, values, SCRIPTED))
        if not options.documents:
            return
        messages = sample(options.documents)
        found = run(kafka, [json.dumps(m).encode() for m in messages], SHIPPED)
        told("with the model", found)
        texts = ["\n".join(filter(None, (m.get("title"), m.get("text")))) for m in messages]
        pure = alone(texts) * found.documents / len(texts)
        print(f"  the model alone       {found.documents / pure:9,.0f} documents/s")
        print(f"  outside the model     {found.outside:9.1%} of the time the device idles")
        print(
            f"                        {1 - pure / found.seconds:9.1%} of the time, against it alone"
        )


if __name__ == "__main__":
    main()
