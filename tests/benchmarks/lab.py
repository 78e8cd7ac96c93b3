"""How long `monitor lab` takes over a month of a million documents, from stored scores.

Run: python tests/benchmarks/lab.py [--documents 1000000] [--days 31] [--database PATH]

An invented database is made first (names with a heavy tail, copies, authors, late documents, bursts
of bad news), unless PATH is one already. Then, in one process: a bare pass of sqlite3 over the same
rows, and the rerun of today's rules beside changed ones. CPU seconds of this process; what another
process takes of the machine is not in them.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from models.labels import TOPICS
from monitor.config import load_settings
from monitor.lab.command import experiment
from monitor.lab.rules import Rules, changed
from monitor.store.engine import open_reader
from monitor.store.migrations import migrate

START = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
DAY = 86_400_000
NAMES, AUTHORS, SOURCES = 5_000, 30_000, 300
CHUNK = 50_000
TEXT = "harbour crane ledger copper orchard satellite bakery tunnel violin glacier pepper " * 4


def heavy(rng: np.random.Generator, size: int, count: int, power: float = 1.1) -> np.ndarray:
    """``count`` numbers below ``size``, the first ones far more often."""
    weights = 1.0 / np.arange(1, size + 1) ** power
    return rng.choice(size, count, p=weights / weights.sum())


def make(path: Path, documents: int, days: int, seed: int = 5) -> None:
    """An invented month."""
    migrate(f"sqlite:///{path}")
    rng = np.random.default_rng(seed)
    published = np.sort(START + rng.integers(0, days * DAY, documents))
    # Most documents come within a minute, one in fifty an hour late or later.
    delay = rng.exponential(8_000, documents) + 500
    slow = rng.random(documents) < 0.02
    delay[slow] += rng.exponential(3_600_000, int(slow.sum()))
    arrived = ((published + delay) // 500 * 500).astype(np.int64)
    order = np.argsort(arrived, kind="stable")
    published, arrived = published[order], arrived[order]
    comment = rng.random(documents) < 0.6
    source, author = heavy(rng, SOURCES, documents), heavy(rng, AUTHORS, documents, 0.8)
    topic = heavy(rng, len(TOPICS), documents, 0.7)
    named = rng.choice([0, 1, 2], documents, p=[0.4, 0.4, 0.2])
    names = heavy(rng, NAMES, 2 * documents).reshape(documents, 2)
    copies = rng.random(documents) < 0.15
    negative = rng.beta(1.2, 3.0, documents)
    for at in START + rng.integers(
        min(7, days // 2) * DAY, days * DAY, 60
    ):  # bursts of three hours
        who = int(heavy(rng, NAMES, 1)[0])
        hit = np.flatnonzero(
            (published >= at) & (published < at + DAY // 8) & (rng.random(documents) < 0.03)
        )
        named[hit], names[hit, 0], negative[hit], copies[hit] = 1, who, 0.9, False
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        insert = "INSERT INTO documents VALUES (" + ",".join("?" * 26) + ")"
        for first in range(0, documents, CHUNK):
            rows, mentions = [], []
            for i in range(first, min(first + CHUNK, documents)):
                p = float(negative[i])
                neutral = (1 - p) * 0.6
                identifier = f"{i * 2_654_435_761 % 2**32:08x}-{i:024d}"
                back = i - 1 - int(negative[i] * 400)
                known = f"{back * 2_654_435_761 % 2**32:08x}-{back:024d}"
                copy = known if copies[i] and back >= 0 else None
                text = TEXT[: 150 + i % 180]
                at, came = int(published[i]), int(arrived[i])
                rows.append((
                    identifier, "comment" if comment[i] else "news", f"source-{source[i]}", at,
                    f"Title {i}", None, f"{author[i]:064x}" if comment[i] else None, "en", "[]",
                    TOPICS[topic[i]], 0.8, "negative" if p > neutral else "neutral", p, neutral,
                    1 - p - neutral, "invented", "comments" if comment[i] else "news",
                    i % 2, i, came - 300, came + 100, copy or identifier, copy,
                    came - at < 660_000, text, came,
                ))  # fmt: skip
                for name in dict.fromkeys(names[i, : named[i]].tolist()):
                    key = f"company:US:N{name}" if name % 4 else f"name:house {name}"
                    mentions.append((identifier, key, at, "N", p, neutral, 1 - p - neutral))
            connection.executemany(insert, rows)
            connection.executemany("INSERT INTO mentions VALUES (?,?,?,?,?,?,?)", mentions)
            connection.commit()
        places = [(t, n, 0, None, 0) for t in ("news", "comments") for n in (0, 1)]
        connection.executemany("INSERT INTO offsets VALUES (?,?,?,?,?)", places)
        connection.commit()


def bare(path: Path) -> tuple[int, float]:
    """Rows, and CPU seconds, of sqlite3 alone over what the rerun reads."""
    begun, count = time.process_time(), 0
    with closing(sqlite3.connect(path)) as connection:
        query = (
            "SELECT d.id, d.kind, d.source, d.published_ms, d.author_hash, d.topic, d.p_negative,"
            " d.p_neutral, d.p_positive, d.model_version, d.kafka_topic, d.kafka_partition,"
            " d.appended_ms, d.story, d.copy_of, d.counted, d.ingested_ms, m.key, m.p_negative,"
            " m.p_neutral, m.p_positive FROM documents d"
            " LEFT JOIN mentions m ON m.document_id = d.id ORDER BY d.rowid"
        )
        for row in connection.execute(query):
            count += len(row) > 0
    return count, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--parts", type=int, default=3, help="the first of three")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = options.database or folder / "month.db"
        if not path.is_file():
            make(path, options.documents, options.days)
        rows, seconds = bare(path)
        print(f"sqlite3 alone     {seconds:6.1f} s CPU over {rows:,} rows")
        today = load_settings(None, {"MONITOR_STORE__URL": f"sqlite:///{path}"})
        changes = [
            ("beside what fired", ["detect.budget=2"], True),
            ("another budget", ["detect.budget=2"], False),
            ("another window", ["detect.budget=2", "aggregate.out_of_orderness=30"], False),
        ]
        for name, sets, stored in changes[: options.parts]:
            begun, wall = time.process_time(), time.perf_counter()
            rules = Rules.of(today), changed(today, sets)
            found, _ = experiment(
                open_reader(today.store.url), today, *rules, against_stored=stored
            )
            seconds = time.process_time() - begun
            sent = [sum(o.sent_at is not None for o in side) for side in (found.today, found.other)]
            print(
                f"{name:<17} {seconds:6.1f} s CPU ({time.perf_counter() - wall:.1f} s) over"
                f" {found.documents:,} documents, {found.documents / seconds:,.0f} a second, for"
                f" {'one set' if stored else 'both sets'} of rules;"
                f" {sent[0]} and {sent[1]} alerts sent"
            )


if __name__ == "__main__":
    main()
