"""Rows of documents, with those of what they name.

SQLite: in the order of insertion, which is that of the polls. Documents and mentions are read side
by side, since they were inserted so: to look up a million documents among the mentions takes longer
than to read both. PostgreSQL keeps no such order: by the time of the poll, and within it by place
in Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, literal_column, select

from monitor.errors import StoreError
from monitor.store import schema
from monitor.store.faults import connected

_SAID = schema.mentions.c
_MENTIONS = [_SAID.key, _SAID.p_negative, _SAID.p_neutral, _SAID.p_positive]
_READING = "reading the documents"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some documents, column by column."""

    documents: Sequence[Sequence[Any]]
    """The columns that were asked for."""
    keys: Sequence[str]
    """What they name, document by document, and …"""
    towards: Sequence[Sequence[float]]
    """… how negative, neutral and positive they are towards it."""
    first: Sequence[int]
    """The first key of each document; at the end, how many there are."""


def in_order_of_insertion(
    engine: Engine, columns: Sequence[ColumnElement[Any]], page: int
) -> Iterator[Rows]:
    """All documents of a SQLite database; the first column is the id.

    Raises ``StoreError``, also where mentions do not stand in the order of their documents.
    """
    rowid: ColumnElement[int] = literal_column("documents.rowid")
    query = select(*columns, rowid).select_from(schema.documents).order_by(rowid)
    with ExitStack() as stack:
        connection = stack.enter_context(connected(engine, _READING))
        mentions = _Mentions(connection, page)
        stream = connection.execution_options(stream_results=True).execute(query)
        for rows in stream.partitions(page):
            *found, rowids = zip(*rows, strict=True)
            yield _rows(found, mentions.of(found[0], rowids[-1]))


class _Mentions:
    """Those of documents that are read in their order."""

    def __init__(self, connection: Connection, page: int) -> None:
        query = select(_SAID.document_id, *_MENTIONS).order_by(literal_column("mentions.rowid"))
        self._stream = connection.execute(query).partitions(page)
        self._connection = connection
        self._waiting: list[Sequence[Any]] = []

    def of(self, ids: Sequence[str], last: int) -> list[list[Sequence[Any]]]:
        """Those of each of these documents, of which the last has the rowid ``last``."""
        found: list[list[Sequence[Any]]] = [[] for _ in ids]
        each = dict(zip(ids, found, strict=True))
        while self._waiting or self._read():
            row = self._give(each)
            if row is None:
                continue
            if self._come_later(row[0], last):
                break
            del self._waiting[0]  # its document has been deleted
        return found

    def _read(self) -> bool:
        """Whether there are more."""
        self._waiting = list(next(self._stream, ()))
        return bool(self._waiting)

    def _give(self, each: Mapping[str, list[Sequence[Any]]]) -> Sequence[Any] | None:
        """To each what is its own; up to the first that is of none of them, which is returned."""
        for place, row in enumerate(self._waiting):
            mine = each.get(row[0])
            if mine is None:
                del self._waiting[:place]
                return row
            mine.append(row)
        self._waiting = []
        return None

    def _come_later(self, document: str, last: int) -> bool:
        """Whether a document is one that is not read yet; if not, it is there no more."""
        rowid: ColumnElement[int] = literal_column("documents.rowid")
        of = select(rowid).select_from(schema.documents).where(schema.documents.c.id == document)
        found = self._connection.scalar(of)
        if found is not None and found <= last:
            raise StoreError(
                "the mentions do not stand in the order of their documents, as the daemon writes"
                " them; was the database put together by hand?",
                retryable=False,
            )
        return found is not None


def in_order_of_polls(
    engine: Engine, columns: Sequence[ColumnElement[Any]], page: int
) -> Iterator[Rows]:
    """All documents of a PostgreSQL database; the first column is the id. Raises ``StoreError``."""
    documents = schema.documents.c
    named = schema.documents.outerjoin(schema.mentions, _SAID.document_id == documents.id)
    query = (
        select(*columns, *_MENTIONS)
        .select_from(named)
        .order_by(
            func.coalesce(documents.ingested_ms, documents.appended_ms),
            documents.kafka_topic,
            documents.kafka_partition,
            documents.kafka_offset,
        )
    )
    with connected(engine, _READING) as connection:
        stream = connection.execution_options(stream_results=True).execute(query)
        rows: list[Sequence[Any]] = []
        for part in stream.partitions(page):
            rows += part
            last = len(rows) - 1  # of this document more may follow
            while last and rows[last - 1][0] == rows[last][0]:
                last -= 1
            if last:
                yield _joined(rows[:last], len(columns))
                del rows[:last]
        if rows:
            yield _joined(rows, len(columns))


def _joined(rows: Sequence[Sequence[Any]], width: int) -> Rows:
    """From rows of a document and a mention, the latter empty where there is none."""
    first = [i for i, row in enumerate(rows) if not i or row[0] != rows[i - 1][0]]
    ends = [*first[1:], len(rows)]
    mentions = [
        [row[width - 1 :] for row in rows[i:end] if row[width] is not None]
        for i, end in zip(first, ends, strict=True)
    ]
    return _rows(list(zip(*(rows[i][:width] for i in first), strict=True)), mentions)


def _rows(documents: Sequence[Sequence[Any]], mentions: Sequence[Sequence[Sequence[Any]]]) -> Rows:
    """``mentions``: those of each document, each with something before the key."""
    _, keys, *towards = (
        zip(*chain.from_iterable(mentions), strict=True) if any(mentions) else [()] * 5
    )
    return Rows(documents, keys, towards, list(accumulate(map(len, mentions), initial=0)))
