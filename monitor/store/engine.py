"""Opens the database: SQLite by default, PostgreSQL in production."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from monitor.errors import StoreError
from monitor.store.faults import place

_WRITES = "monitor_writes"
_WAL_KEPT = 64 << 20  # bytes the write-ahead log is cut back to after a large transaction
_PAGE = 8192  # bytes, of a new file: with 4,096 the documents' table costs a tenth more
_CHECKPOINT_PAGES = 4000  # random ids touch many pages: writing them back less often gives a third
_CACHE_KIB = 16 << 10  # the ids are random, so their index profits from staying in memory
_READ_CACHE_KIB = 64 << 10


def open_engine(url: str, *, busy_timeout: float = 10.0) -> Engine:
    """The engine of the daemon. Its file is created; its tables by ``migrations.migrate``.

    ``url``: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
    ``postgresql://user:password@host/name``. ``busy_timeout``: seconds that a writer waits for the
    lock. Connects lazily. Raises ``StoreError`` for a URL that can't be used.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        return _postgres(parsed, read_only=False)
    engine = _sqlite(parsed, busy_timeout)

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA page_size = {_PAGE}")  # comes too late after the next
        cursor.execute("PRAGMA journal_mode = WAL")
        row = cursor.fetchone()
        if row is None or row[0] != "wal":
            raise StoreError(
                f"{place(parsed)}: SQLite can't keep a write-ahead log there, without which "
                "the dashboard and the daemon lock each other out; put the file on a local disk",
                retryable=False,
            )
        for pragma in (
            "synchronous = FULL",  # a commit survives the loss of power
            "foreign_keys = ON",
            f"journal_size_limit = {_WAL_KEPT}",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"cache_size = -{_CACHE_KIB}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def open_reader(url: str, *, busy_timeout: float = 10.0) -> Engine:
    """A read-only engine for the dashboard and the API: it can't write, whatever it is asked.

    Raises ``StoreError`` when the file doesn't exist yet.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        return _postgres(parsed, read_only=True)
    path = Path(parsed.database or "")
    if not path.is_file():
        raise StoreError(
            f"{path}: there is no database yet; start the daemon (`monitor run`), or create "
            "an empty one with `monitor migrate`"
        )
    uri = f"file:{quote(str(path.absolute()))}"
    engine = _sqlite(parsed.set(database=uri, query={"mode": "ro", "uri": "true"}), busy_timeout)

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA cache_size = -{_READ_CACHE_KIB}")
        cursor.close()

    return engine


def writing(engine: Engine) -> Engine:
    """The same engine and pool for transactions that write.

    SQLite then takes the lock at BEGIN: a transaction that began by reading could not take it later
    without failing at once when another one has written meanwhile.
    """
    return engine.execution_options(**{_WRITES: True})


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained: the exception may quote the URL, password and all.
        raise StoreError(
            "the database URL can't be read; write sqlite:///file.db or "
            "postgresql://user:password@host/name",
            retryable=False,
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError(
            f"{backend} isn't supported; use sqlite or postgresql in the database URL",
            retryable=False,
        )
    if parsed.database in (None, "", ":memory:"):
        raise StoreError(
            "the database must be a file, because daemon and dashboard share it; "
            "write sqlite:///file.db",
            retryable=False,
        )
    return parsed


def _sqlite(url: URL, busy_timeout: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_timeout}, hide_parameters=True)

    # SQLAlchemy's recipe ("Transactions with SQLite and the sqlite3 driver"): the driver's own
    # BEGIN comes too late for reads and never for DDL, so it is switched off and sent here.
    @event.listens_for(engine, "connect")
    def _manual(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres(url: URL, *, read_only: bool) -> Engine:
    arguments: dict[str, Any] = {"connect_timeout": 10, "application_name": "monitor"}
    if read_only:
        arguments["options"] = "-c default_transaction_read_only=on"
    try:
        return create_engine(
            url, connect_args=arguments, hide_parameters=True, pool_pre_ping=True, pool_recycle=1800
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "PostgreSQL needs its driver; run `pip install 'monitor[postgres]'`", retryable=False
        ) from error
