"""Turns what a driver raises into a ``StoreError`` that a person can act on.

Nothing of a URL but its host, port and database gets into a message: a password may stand in the
user part and in the query.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from monitor.errors import StoreError


@dataclass(frozen=True, slots=True)
class _Fault:
    """What went wrong and how to mend it."""

    what: str
    mend: str
    retryable: bool


_FULL = _Fault("the disk is full", "free some space there; it goes on by itself", True)
_LOCKED = _Fault(
    "another process holds the write lock",
    "look for a second writer, a backup or an open sqlite3 shell",
    True,
)
_READ_ONLY = _Fault(
    "the database can't be written",
    "check the owner and permissions of the file and of its folder, and that it isn't a replica",
    False,
)
_CANT_OPEN = _Fault(
    "the database can't be opened",
    "check that its folder exists and may be read and written by this user",
    False,
)
_NOT_A_DATABASE = _Fault(
    "the file isn't an SQLite database", "point to another path, or move the file away", False
)
_DAMAGED = _Fault(
    "the database file is damaged",
    "stop the daemon and restore a backup, or save what is left with `sqlite3 FILE .recover`",
    False,
)
_IO = _Fault("reading or writing the disk failed", "look into the system log for the disk", True)
_SCHEMA = _Fault(
    "its tables aren't those of this version",
    "run `monitor migrate` with this version's program",
    False,
)
_CONNECTION = _Fault(
    "the connection failed or was lost", "check that the server runs and can be reached", True
)
_REFUSED = _Fault(
    "the server refused the login", "check user, password, database name and pg_hba.conf", False
)
_CONFLICT = _Fault("the server broke off the transaction", "it is tried again by itself", True)
_OTHER = _Fault("the statement was refused", "this is a fault of the program: report it", False)

# Primary result codes of SQLite: the low byte of the extended ones (sqlite.org/rescode.html).
_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _CANT_OPEN,
    sqlite3.SQLITE_NOTADB: _NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_IOERR: _IO,
}

# SQLSTATE of PostgreSQL, the longest prefix counts (its manual, appendix A).
_SQLSTATE = {
    "08": _CONNECTION,
    "25006": _READ_ONLY,
    "28": _REFUSED,
    "3D": _REFUSED,
    "40": _CONFLICT,
    "42501": _READ_ONLY,
    "42703": _SCHEMA,
    "42P01": _SCHEMA,
    "53": _CONNECTION,
    "53100": _FULL,
    "55P03": _LOCKED,
    "57P": _CONNECTION,
    "58": _IO,
}


def place(url: URL) -> str:
    """Where a database is, for people: the file of SQLite, else host, port and name."""
    if url.get_backend_name() == "sqlite":
        return (url.database or "").removeprefix("file:").partition("?")[0]
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host or 'localhost'}{port}/{url.database or ''}"


def store_error(error: Exception, where: str, doing: str) -> StoreError:
    """The fault behind a driver's exception, as a ``StoreError``."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    fault = _fault(error, original)
    # The first line: the driver's further lines may repeat the values of the row.
    said = (str(original).strip() or type(original).__name__).splitlines()[0]
    return StoreError(
        f"{where}: {fault.what} ({said}) while {doing}; {fault.mend}", retryable=fault.retryable
    )


def _fault(error: Exception, original: BaseException) -> _Fault:
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_ERROR and "no such" in str(original):
            return _SCHEMA
        return _OTHER if code is None else _SQLITE.get(code & 0xFF, _OTHER)
    if isinstance(error, DBAPIError):
        state = getattr(original, "sqlstate", None)
        if state:
            for length in (5, 3, 2):
                if found := _SQLSTATE.get(state[:length]):
                    return found
        # libpq has no SQLSTATE for a server that it can't reach.
        elif error.connection_invalidated or type(original).__name__ == "OperationalError":
            return _CONNECTION
    return _OTHER


@contextmanager
def connected(engine: Engine, doing: str) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back whole by any exception.

    Raises ``StoreError`` for whatever the driver raises.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except StoreError:
        raise
    except (SQLAlchemyError, sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
        raise store_error(error, place(engine.url), doing) from error
