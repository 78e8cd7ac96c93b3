"""Opening, migrating, and what a person is told when that fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from monitor.errors import StoreError
from monitor.store import schema
from monitor.store.engine import open_engine, writing
from monitor.store.faults import place, store_error
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.sql import SqlStore

SECRET = "hunter2"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'monitor.db'}"


def test_the_migrations_make_exactly_the_tables_of_the_schema(url: str) -> None:
    migrate(url)
    engine = open_engine(url)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, schema.metadata)
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        migrated = {row.name for row in connection.execute(text(sql))}
    engine.dispose()

    assert [] == differences
    assert {*schema.metadata.tables, "alembic_version"} == migrated


def test_migrating_twice_changes_nothing(url: str) -> None:
    first = migrate(url)

    assert (None, first[1]) == first
    assert (first[1], first[1]) == migrate(url)


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    _, newest = migrate(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(StoreError, match=f"newer version.*9999.*{newest}") as raised:
        migrate(url)

    assert not raised.value.retryable


def test_a_failing_migration_leaves_no_table_behind(url: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "monitor.db") as connection:
        connection.execute("CREATE TABLE progress (name TEXT)")  # in the way of the last step
    connection.close()

    with pytest.raises(StoreError):
        migrate(url)

    with sqlite3.connect(tmp_path / "monitor.db") as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert [("progress",)] == tables


def test_sqlite_is_opened_durable_and_open_to_readers(url: str) -> None:
    engine = open_engine(url, busy_timeout=3.0)
    with engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    engine.dispose()

    assert ["wal", 2, 1, 3000] == found


@pytest.mark.parametrize("given", ["sqlite://", "sqlite:///:memory:", "", "mysql://h/d", "no url"])
def test_a_url_that_can_not_work_is_refused(given: str) -> None:
    with pytest.raises(StoreError) as raised:
        open_engine(given)

    assert not raised.value.retryable


@pytest.mark.parametrize(
    "given",
    [
        f"postgresql://me:{SECRET}@127.0.0.1:1/name?sslpassword={SECRET}",
        f"mysql://me:{SECRET}@host/name",
        f"postgresql//me:{SECRET}@host",
        f"postgresql://me:{SECRET}@host:port/name",
    ],
)
def test_no_password_of_a_url_gets_into_a_message(given: str) -> None:
    if given.endswith("sslpassword=" + SECRET):
        pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as raised:
        migrate(given)

    shown = [str(raised.value), repr(raised.value), str(raised.value.__cause__)]
    assert [False] * 3 == [SECRET in text for text in shown]


def test_a_place_shows_host_and_database_only() -> None:
    given = make_url(f"postgresql://me:{SECRET}@db:5432/monitor?password={SECRET}")

    assert "postgresql://db:5432/monitor" == place(given)


def test_a_file_that_is_no_database_is_named(tmp_path: Path, url: str) -> None:
    (tmp_path / "monitor.db").write_text("This is a letter, not a database. " * 99)

    with pytest.raises(
        StoreError, match=r"monitor\.db: the file isn't an SQLite database"
    ) as raised:
        migrate(url)

    assert not raised.value.retryable


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent/monitor\.db: the database can't be opened"):
        migrate(f"sqlite:///{tmp_path}/absent/monitor.db")


def test_a_lock_held_by_another_process_may_pass(url: str, tmp_path: Path) -> None:
    migrate(url)
    engine = open_engine(url, busy_timeout=0.0)
    other = sqlite3.connect(tmp_path / "monitor.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="write lock") as raised:
        SqlStore(engine).load(0)
    assert raised.value.retryable
    assert [] == list(SqlOutbox(engine).rows(1))  # reading goes on meanwhile

    other.execute("ROLLBACK")
    other.close()
    SqlStore(engine).load(0)
    engine.dispose()


def test_a_writing_transaction_takes_the_lock_before_it_reads(url: str) -> None:
    migrate(url)
    engine = open_engine(url, busy_timeout=0.0)

    with writing(engine).begin(), pytest.raises(OperationalError, match="locked"):
        writing(engine).connect().begin()
    engine.dispose()


def test_a_damaged_file_is_not_retried(url: str, tmp_path: Path) -> None:
    migrate(url)
    file = tmp_path / "monitor.db"
    with file.open("r+b") as handle:
        handle.seek(4096)
        handle.write(b"\xa5" * (file.stat().st_size - 4096))

    with pytest.raises(StoreError) as raised:
        SqlStore(open_engine(url)).load(0)

    assert not raised.value.retryable


def test_a_server_that_can_not_be_reached_may_come_back() -> None:
    pytest.importorskip("psycopg")
    store = SqlStore(open_engine("postgresql://me@127.0.0.1:1/monitor"))

    with pytest.raises(
        StoreError, match=r"postgresql://127\.0\.0\.1:1/monitor: the conn"
    ) as raised:
        store.load(0)

    assert raised.value.retryable


class _ServerError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("said the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "words", "retryable"),
    [
        ("53100", "disk is full", True),
        ("53300", "connection failed", True),
        ("57P01", "connection failed", True),
        ("08006", "connection failed", True),
        ("40P01", "broke off", True),
        ("55P03", "write lock", True),
        ("28P01", "refused the login", False),
        ("42P01", "monitor migrate", False),
        ("25006", "can't be written", False),
        ("22001", "fault of the program", False),
    ],
)
def test_each_state_of_postgresql_has_its_remedy(
    sqlstate: str, words: str, retryable: bool
) -> None:
    error = store_error(OperationalError("INSERT", {}, _ServerError(sqlstate)), "here", "writing")

    assert retryable == error.retryable
    assert words in str(error)
