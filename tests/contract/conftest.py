"""What the contract suites run against: databases (memory, SQLite, PostgreSQL) and brokers."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.certificate import make_certificate
from harness.worlds import EmbeddedWorld, KafkaWorld, MemoryWorld, RealWorld, World
from sqlalchemy import Engine

from monitor.demo.broker import EmbeddedBroker
from monitor.source.settings import KafkaSettings
from monitor.store.base import Outbox, Store
from monitor.store.drills.base import Drills
from monitor.store.drills.memory import MemoryDrills
from monitor.store.drills.sql import SqlDrills
from monitor.store.engine import open_engine
from monitor.store.feeds.base import Feeds
from monitor.store.feeds.memory import MemoryFeeds, MemoryFeedTables
from monitor.store.feeds.sql import SqlFeeds
from monitor.store.memory import MemoryDatabase, MemoryOutbox, MemoryStore
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.publishing.base import Publishing
from monitor.store.publishing.memory import MemoryLanes, MemoryPublishing
from monitor.store.publishing.sql import SqlLane, SqlPublishing
from monitor.store.receipts.base import Receipts
from monitor.store.receipts.memory import MemoryReceipts
from monitor.store.receipts.sql import SqlReceipts
from monitor.store.receiving.base import Receiving
from monitor.store.receiving.memory import MemoryReceiving
from monitor.store.receiving.sql import SqlReceiving
from monitor.store.schema import metadata
from monitor.store.sql import SqlStore
from monitor.store.verdicts.base import Verdicts
from monitor.store.verdicts.memory import MemoryVerdicts
from monitor.store.verdicts.sql import SqlVerdicts


@dataclass(frozen=True)
class Backend:
    """One empty database: every call of ``store`` is another daemon on it."""

    store: Callable[[], Store]
    outbox: Callable[[], Outbox]
    publishing: Callable[[str], Publishing]
    feeds: Callable[[], tuple[Publishing, Feeds]]
    receiving: Callable[[str], Receiving]
    drills: Callable[[], Drills]
    verdicts: Callable[[], Verdicts]
    receipts: Callable[[], Receipts]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Key and certificate of hook.test."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL that may be emptied: MONITOR_TEST_POSTGRES, or a server of our own."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is missing: pip install -e '.[postgres]'")
    if given := os.environ.get("MONITOR_TEST_POSTGRES"):
        yield given
        return
    if not (_program("initdb") and _program("pg_ctl")):
        pytest.skip("no PostgreSQL server found (initdb, pg_ctl) and MONITOR_TEST_POSTGRES not set")
    with tempfile.TemporaryDirectory(prefix="monitor-postgres-") as folder:
        yield from _server(Path(folder))


def _program(name: str) -> str | None:
    """A program of PostgreSQL: Debian keeps them outside the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(versions[-1]) if versions else None)


def _server(folder: Path) -> Iterator[str]:
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = next((u for u in ("postgres", "nobody") if _exists(u)), None)
        if user is None:
            pytest.skip("PostgreSQL refuses to run as root and there is no user postgres or nobody")
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        command = [_program(program) or program, *arguments]
        done = subprocess.run(
            command, user=user, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            log = folder / "log"
            said = done.stdout + done.stderr + (log.read_text() if log.is_file() else "")
            pytest.skip(f"PostgreSQL didn't start here ({program}): {said[-500:]}")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "monitor", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
    run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start")
    try:
        yield f"postgresql://monitor@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(table.delete())


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "memory":
        database, lanes = MemoryDatabase(), MemoryLanes()
        tables = MemoryFeedTables(lanes)

        def in_memory() -> tuple[Publishing, Feeds]:
            publishing = MemoryPublishing(lanes, "feeds")
            return publishing, MemoryFeeds(tables, "feeds", publishing.check)

        verdicts = MemoryVerdicts(database)
        received = MemoryReceiving(lanes, "intake", database.documents)
        yield Backend(
            lambda: MemoryStore(database),
            lambda: MemoryOutbox(database),
            lambda lane: MemoryPublishing(lanes, lane),
            in_memory,
            lambda _lane: received,
            lambda: MemoryDrills(database),
            lambda: verdicts,
            lambda: MemoryReceipts(database),
        )
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'contract.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    migrate(url)
    engine = open_engine(url)
    _empty(engine)

    def in_sql() -> tuple[Publishing, Feeds]:
        lane = SqlLane(engine, "feeds")
        return SqlPublishing(engine, lane), SqlFeeds(engine, lane)

    try:
        yield Backend(
            lambda: SqlStore(engine),
            lambda: SqlOutbox(engine),
            lambda lane: SqlPublishing(engine, SqlLane(engine, lane)),
            in_sql,
            lambda lane: SqlReceiving(engine, SqlLane(engine, lane)),
            lambda: SqlDrills(engine),
            lambda: SqlVerdicts(engine),
            lambda: SqlReceipts(engine),
        )
    finally:
        engine.dispose()


@pytest.fixture(
    params=["memory", "embedded", pytest.param("real", marks=pytest.mark.kafka)],
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    made: KafkaWorld
    if request.param == "embedded":
        broker: EmbeddedBroker = request.getfixturevalue("embedded_broker")
        made = EmbeddedWorld(broker.settings(session_timeout=3.5))
    else:
        made = RealWorld(request.getfixturevalue("real_broker"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def embedded(embedded_broker: EmbeddedBroker) -> Iterator[EmbeddedWorld]:
    world = EmbeddedWorld(embedded_broker.settings(session_timeout=3.5))
    yield world
    world.close()


@pytest.fixture
def real(real_broker: KafkaSettings) -> Iterator[RealWorld]:
    world = RealWorld(real_broker)
    yield world
    world.close()
