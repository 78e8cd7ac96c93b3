"""The sources in the database: written and read in the transactions of the pipeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, select

from monitor.events import Kind, SourceState
from monitor.store import rows, schema
from monitor.store.base import RhythmRow, SourceRow
from monitor.store.statements import Bulk, Dialect

VISIBLE = [column for column in schema.sources.columns if column.name != "memory"]
"""What a person may want to see of a source."""


class SourceTable:
    """The statements, rendered once for one database."""

    def __init__(self, engine: Engine) -> None:
        dialect = Dialect(engine.dialect.name)
        self._put = Bulk(dialect.upsert(schema.sources), engine)
        self._put_rhythm = Bulk(dialect.upsert(schema.rhythms), engine)
        self._delete = [
            delete(table).where(table.c.name == bindparam("gone"))
            for table in (schema.sources, schema.rhythms)
        ]

    def write(
        self,
        connection: Connection,
        sources: Sequence[SourceRow],
        rhythms: Sequence[RhythmRow],
        gone: Sequence[str],
    ) -> None:
        """Delete the sources that are gone; then put the rows."""
        if gone:
            for statement in self._delete:
                connection.execute(statement, [{"gone": name} for name in gone])
        self._put.execute(connection, [_values(row) for row in sources])
        self._put_rhythm.execute(connection, [tuple(row) for row in rhythms])

    def read(self, connection: Connection) -> tuple[list[SourceRow], list[RhythmRow]]:
        """All rows, by name."""
        sources, rhythms = schema.sources, schema.rhythms
        return (
            [
                source_of(row, bytes(row.memory))
                for row in connection.execute(select(sources).order_by(sources.c.name))
            ],
            [
                RhythmRow(row.name, bytes(row.rhythm))
                for row in connection.execute(select(rhythms).order_by(rhythms.c.name))
            ],
        )


def source_of(row: Row[Any], memory: bytes = b"") -> SourceRow:
    """A row of ``sources``, whose memory may have been left where it is."""
    return SourceRow(
        name=row.name,
        kind=None if row.kind is None else Kind(row.kind),
        state=SourceState(row.state),
        since=rows.moment(row.since_ms),
        last=None if row.last_event_ms is None else rows.moment(row.last_event_ms),
        expected=row.expected,
        seen=row.seen,
        missing=row.missing,
        reason=row.reason,
        recent=tuple(json.loads(row.recent)),
        keys=tuple(json.loads(row.depend)),
        memory=memory,
    )


def _values(row: SourceRow) -> tuple[Any, ...]:
    """In the order of the columns of ``sources``."""
    return (
        row.name,
        None if row.kind is None else row.kind.value,
        row.state.value,
        rows.milliseconds(row.since),
        None if row.last is None else rows.milliseconds(row.last),
        row.expected,
        row.seen,
        row.missing,
        row.reason,
        json.dumps(row.recent),
        json.dumps(row.keys),
        row.memory,
    )
