"""The database under kill -9, a full disk, a second daemon and a zombie."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from monitor.errors import FencedError, LeaseError, StoreError
from monitor.events import Bucket, Document, Kind, Origin, Partition, Scored
from monitor.store.base import Commit, KeyState, Move, Outgoing, Position
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.sql import SqlStore

T0 = datetime(2023, 3, 9, tzinfo=UTC)
NEWS = Partition("news", 0)
BATCH = 20


def batch(first: int, size: int = BATCH, text: str = "A text.") -> Commit:
    """The commit after the documents with these offsets; bucket and state hold their number."""
    documents = []
    for offset in range(first, first + size):
        document = Document(
            id=f"d{offset}",
            kind=Kind.NEWS,
            source="wire",
            published_at=T0 + timedelta(seconds=offset),
            title=f"Title {offset}",
            text=text,
            url=None,
            author=None,
            lang=None,
            tickers=(),
            origin=Origin(NEWS.topic, NEWS.number, offset),
            appended_at=T0,
        )
        documents.append(Scored(document, (0.2, 0.5, 0.3), 0, 0.9, "m1", T0))
    end = first + size
    return Commit(
        moves=[Move(NEWS, first or None, Position(end, documents[-1].document.published_at))],
        closed_until=end,
        documents=documents,
        buckets=[Bucket("all", 0, end, 0, 0, 0)],
        key_states=[KeyState("share", "all", "1", str(end).encode())],
        outgoing=[Outgoing("scored", d.document.id.encode()) for d in documents],
        now=T0,
    )


def whole(path: Path) -> int:
    """The stored offset, after every table has been found to agree with it."""
    connection = sqlite3.connect(path)
    try:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        row = connection.execute("SELECT next_offset FROM offsets").fetchone()
        at: int = row[0] if row else 0
        ids = {f"d{n}" for n in range(at)}
        assert ids == {i for (i,) in connection.execute("SELECT id FROM documents")}
        sent = [p.decode() for (p,) in connection.execute("SELECT payload FROM outbox")]
        assert (at, ids) == (len(sent), set(sent))
        if at:
            assert [(at,)] == connection.execute("SELECT n FROM buckets").fetchall()
            state = connection.execute("SELECT state FROM key_states").fetchall()
            assert [(str(at).encode(),)] == state
            closed = "SELECT value FROM progress WHERE name = 'closed_until'"
            assert [(at,)] == connection.execute(closed).fetchall()
    finally:
        connection.close()
    return at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "faults.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def write_until_killed(path: Path, steps: int) -> None:
    """Apply batches for ever; SIGKILL after so many steps of SQLite's virtual machine.

    The process is thus killed between two instructions of some statement of some transaction, at a
    place that only the seed decides.
    """
    engine = open_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _arm(connection: sqlite3.Connection, _record: object) -> None:
        left = [steps]

        def tick() -> int:
            left[0] -= 10
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        connection.set_progress_handler(tick, 10)

    store = SqlStore(engine)
    found = store.load(0).positions.get(NEWS)
    at = found.next_offset if found else 0
    while True:
        store.apply(batch(at))
        at += BATCH


def killed_writers(path: Path, seed: int, kills: int) -> None:
    """Fork writers one after the other, each killed at another place; print the offsets found."""
    generator = random.Random(seed)
    found = []
    for _ in range(kills):
        steps = generator.randrange(1_000, 30_000)
        child = os.fork()
        if child == 0:
            write_until_killed(path, steps)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        found.append(whole(path))
    print(json.dumps(found))


def test_twenty_kills_lose_and_double_nothing(path: Path) -> None:
    command = [sys.executable, __file__, str(path), "20230309", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    offsets = json.loads(done.stdout)
    assert 20 == len(offsets)
    assert sorted(offsets) == offsets
    assert offsets[-1] > 20 * BATCH
    assert offsets[-1] == whole(path)


def test_a_full_disk_rolls_back_whole_and_passes(engine: Engine, path: Path) -> None:
    store = SqlStore(engine)
    store.load(0)
    store.apply(batch(0))
    large = batch(BATCH, size=200, text="A long text. " * 200)

    with engine.connect() as connection:  # the pool's only connection, which apply will use
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"faults\.db: the disk is full") as raised:
            store.apply(large)
        assert raised.value.retryable
        assert not isinstance(raised.value, FencedError)
        assert BATCH == whole(path)

    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    store.apply(large)

    assert BATCH + 200 == whole(path)


def test_a_second_daemon_ends_the_first(engine: Engine, path: Path) -> None:
    other = open_engine(f"sqlite:///{path}")
    first, second = SqlStore(engine), SqlStore(other)
    first.load(0)
    first.apply(batch(0))
    second.load(0)

    with pytest.raises(LeaseError, match="another daemon has taken over"):
        first.apply(batch(BATCH))
    assert BATCH == whole(path)

    second.apply(batch(BATCH))
    other.dispose()
    assert 2 * BATCH == whole(path)


def test_a_zombie_with_old_offsets_writes_nothing(engine: Engine, path: Path) -> None:
    store = SqlStore(engine)
    store.load(0)
    zombie = batch(0)
    store.apply(zombie)

    with pytest.raises(FencedError, match=r"news\[0\]"):
        store.apply(zombie)
    assert BATCH == whole(path)
    store.apply(batch(BATCH))
    with pytest.raises(FencedError):
        store.apply(batch(BATCH, size=7))

    assert 2 * BATCH == whole(path)


def test_a_connection_lost_while_writing_rolls_back_and_comes_back(
    engine: Engine, path: Path
) -> None:
    store = SqlStore(engine)
    store.load(0)
    store.apply(batch(0))
    broken = [True]

    @event.listens_for(engine, "before_cursor_execute")
    def _break(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if broken[0] and "outbox" in statement:  # the documents are written by then
            raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreError):
        store.apply(batch(BATCH))
    assert BATCH == whole(path)
    broken[0] = False
    store.apply(batch(BATCH))

    assert 2 * BATCH == whole(path)


if __name__ == "__main__":
    killed_writers(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
