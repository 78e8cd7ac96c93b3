"""The stories in the database: written and read in the transactions of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from sqlalchemy import Connection, Engine, bindparam, delete, select, update

from monitor.store import schema
from monitor.store.rows import milliseconds
from monitor.store.statements import Bulk, Dialect
from monitor.story.base import Changes, ToldRow

_COLUMNS = [column.name for column in schema.stories.columns]
_in_order = itemgetter(*(ToldRow._fields.index(name) for name in _COLUMNS))


class ToldTable:
    """The statements, rendered once for one database."""

    def __init__(self, engine: Engine) -> None:
        upsert = Dialect(engine.dialect.name).upsert(schema.stories)
        self._put = Bulk(upsert, schema.stories, engine)
        self._forget = delete(schema.stories).where(schema.stories.c.last_ms < bindparam("before"))
        documents = schema.documents.c
        self._flip = (
            update(schema.documents)
            .where(documents.id == bindparam("of_id"))
            .values(story=bindparam("to_story"), copy_of=bindparam("of_copy"))
        )
        self._rename = (
            update(schema.documents)
            .where(documents.story == bindparam("old"))
            .values(story=bindparam("new"))
        )
        table = schema.stories.c
        self._all = select(*(table[name] for name in ToldRow._fields)).order_by(table.number)

    def write(
        self, connection: Connection, rows: Sequence[ToldRow], before: datetime | None
    ) -> None:
        """Delete the rows whose last document is older than ``before``; then put ``rows``."""
        if before is not None:
            connection.execute(self._forget, {"before": milliseconds(before)})
        self._put.execute(connection, list(map(_in_order, rows)))

    def change(self, connection: Connection, changes: Changes) -> None:
        """What stored documents have turned out to be."""
        flips = [
            {"of_id": f.document, "to_story": f.told.story, "of_copy": f.told.copy_of}
            for f in changes.flipped
        ]
        renames = [{"old": r.old, "new": r.new} for r in changes.renamed]
        for statement, values in ((self._flip, flips), (self._rename, renames)):
            if values:
                connection.execute(statement, values)

    def read(self, connection: Connection) -> list[ToldRow]:
        """All rows, by number."""
        return [
            ToldRow(*row)._replace(words=bytes(row.words)) for row in connection.execute(self._all)
        ]
