"""Documents a second through ``SqlStore.apply``, against bare sqlite3 writing the same rows.

Run: python tests/benchmarks/store.py [--documents 20000] [--batch 500] [--text 400]
"""

from __future__ import annotations

import argparse
import gc
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.events import TOPICS, Bucket, Document, Kind, Origin, Partition, Scored
from monitor.store import rows, schema
from monitor.store.base import Commit, KeyState, Move, Outgoing, Position
from monitor.store.engine import open_engine, open_reader
from monitor.store.migrations import migrate
from monitor.store.reads import Reads
from monitor.store.sql import SqlStore

T0 = datetime(2023, 1, 1, tzinfo=UTC)
NEWS = Partition("news", 0)
STEP = 5  # seconds of event time between two documents
KEYS = ["all", "kind:news", "kind:comment", *(f"topic:{topic}" for topic in TOPICS)]


def commits(documents: int, batch: int, text: int, seed: int = 1) -> list[Commit]:
    """Batches with everything that a busy pipeline writes with them."""
    generator = random.Random(seed)
    made = []
    for first in range(0, documents, batch):
        scored = []
        for offset in range(first, first + batch):
            negative = generator.random()
            document = Document(
                id=f"{generator.getrandbits(128):032x}",
                kind=Kind.NEWS if offset % 3 else Kind.COMMENT,
                source="wire",
                published_at=T0 + timedelta(seconds=STEP * offset + generator.randrange(600)),
                title=f"Title {offset} of a document",
                text="some words " * (text // 11),
                url=f"https://example.org/{offset}",
                author=None,
                lang="en",
                tickers=("ABC",),
                origin=Origin("news", 0, offset),
                appended_at=T0 + timedelta(milliseconds=offset),
            )
            sentiment = (negative, (1 - negative) / 2, (1 - negative) / 2)
            topic = generator.randrange(len(TOPICS))
            at = T0 + timedelta(milliseconds=offset + generator.randrange(5_000))
            scored.append(Scored(document, sentiment, topic, 0.8, "model-1", at))
        end = first + batch
        origin = int(T0.timestamp())
        starts = range(origin + first * STEP // 300 * 300, origin + end * STEP, 300)
        made.append(
            Commit(
                moves=[Move(NEWS, first or None, Position(end, T0))],
                closed_until=starts[0],
                documents=scored,
                buckets=[Bucket(k, s, 60, 20, 20, -5) for s in starts for k in KEYS],
                key_states=[KeyState("share", key, "1", bytes(200)) for key in KEYS],
                outgoing=[Outgoing("scored", bytes(250 * batch))],
                now=T0,
            )
        )
    return made


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def bare(path: Path, batches: Sequence[Commit]) -> tuple[float, float]:
    """The documents alone, as ready tuples, by sqlite3's executemany: the floor."""
    migrate(f"sqlite:///{path}")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    marks = ", ".join("?" * len(schema.documents.columns))
    names = [column.name for column in schema.documents.columns]
    insert = f"INSERT INTO documents ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    ready = [rows.document_rows(batch.documents, 0) for batch in batches]

    def write() -> None:
        for batch in ready:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, batch)
            connection.execute("COMMIT")

    spent = timed(write)
    connection.close()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--text", type=int, default=400, help="characters of a text")
    options = parser.parse_args()
    batches = commits(options.documents, options.batch, options.text)
    total = len(batches) * options.batch

    with tempfile.TemporaryDirectory() as folder:
        floor = bare(Path(folder) / "bare.db", batches)
        url = f"sqlite:///{folder}/store.db"
        migrate(url)
        engine = open_engine(url)
        store = SqlStore(engine)
        store.load(0)

        def write() -> None:
            for batch in batches:
                store.apply(batch)

        spent = timed(write)
        identifiers = [scored.document.id for batch in batches for scored in batch.documents]
        known = timed(lambda: store.known(identifiers))
        since, until = T0, T0 + timedelta(seconds=STEP * total)
        reads = Reads(open_reader(url))
        day = timedelta(days=1)
        queries: dict[str, Callable[[], object]] = {
            "load, 28 days back": lambda: store.load(28 * 86_400),
            "evidence, one day": lambda: store.evidence("all", until - day, until, 5),
            "mood of all keys, whole time, 1h": lambda: reads.mood(KEYS, since, until, "1h"),
            "keys": lambda: reads.keys(since, until),
            "span": reads.span,
            "documents, newest": lambda: reads.documents("all", since, until),
            "documents, most negative of the whole time": lambda: reads.documents(
                "all", since, until, order="negative"
            ),
            "documents of a topic, newest": lambda: reads.documents("topic:Macro", since, until),
            "throughput": lambda: reads.throughput(T0 + timedelta(minutes=1)),
            "lag": lambda: reads.lag(T0 + timedelta(minutes=1)),
            "counts": reads.counts,
        }
        print(f"{total} documents in batches of {options.batch}, {options.text} characters each")
        for name, (wall, cpu) in (("bare sqlite3, documents only", floor), ("apply", spent)):
            print(
                f"{name:45} {total / wall:9.0f} documents/s   "
                f"{1000 * cpu / len(batches):6.2f} ms of CPU a batch"
            )
        print(f"{'apply / bare, wall time':45} {spent[0] / floor[0]:9.2f}")
        print(f"{'known':45} {total / known[0]:9.0f} ids/s")
        for name, query in queries.items():
            print(f"{name:45} {1000 * min(timed(query)[0] for _ in range(3)):9.2f} ms")
        reads.close()
        engine.dispose()


if __name__ == "__main__":
    main()
