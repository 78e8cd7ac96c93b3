"""The stories in the database: written and read in the transactions of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, bindparam, delete, or_, select, update

from monitor.store import schema
from monitor.store.rows import milliseconds
from monitor.store.statements import Bulk
from monitor.store.wordings import pack, unpack
from monitor.story.base import Changes, ToldRow


class ToldTable:
    """The statements, made once."""

    def __init__(self, engine: Engine) -> None:
        table = schema.stories.c
        self._put = schema.stories.insert().inline()
        self._forget = delete(schema.stories).where(table.newest_ms < bindparam("before"))
        self._all = select(table.forget_ms, table.wordings).order_by(table.id.desc())
        documents = schema.documents.c
        self._flip = Bulk(
            update(schema.documents)
            .where(documents.id == bindparam("of_id"))
            .values(story=bindparam("to_story"), copy_of=bindparam("of_copy")),
            engine,
        )
        of_old = documents.story == bindparam("old")
        self._rename = (
            update(schema.documents)
            # In two parts: the index of stories has only the second.
            .where(
                or_(
                    and_(documents.id == bindparam("old"), of_old),
                    and_(of_old, documents.story != documents.id),
                )
            )
            .values(story=bindparam("new"))
        )

    def write(
        self, connection: Connection, rows: Sequence[ToldRow], before: datetime | None
    ) -> None:
        """Forget the rows whose last document is older than ``before``; then put ``rows``."""
        if before is None and not rows:
            return
        forget = None if before is None else milliseconds(before)
        if forget is not None:
            connection.execute(self._forget, {"before": forget})
        newest = max((row.last_ms for row in rows), default=forget)
        connection.execute(
            self._put, {"newest_ms": newest, "forget_ms": forget, "wordings": pack(rows)}
        )

    def change(self, connection: Connection, changes: Changes) -> None:
        """What stored documents have turned out to be."""
        self._flip.execute(
            connection, [(f.told.story, f.told.copy_of, f.document) for f in changes.flipped]
        )
        if renames := [{"old": r.old, "new": r.new} for r in changes.renamed]:
            connection.execute(self._rename, renames)

    def read(self, connection: Connection) -> list[ToldRow]:
        """All rows, by number."""
        found: dict[int, ToldRow | None] = {}  # by the last word; None: forgotten since
        horizon: int | None = None
        for forget, wordings in connection.execute(self._all):
            for row in unpack(bytes(wordings)):
                if row.number not in found:
                    kept = horizon is None or row.last_ms >= horizon
                    found[row.number] = row if kept else None
            if forget is not None:
                horizon = forget if horizon is None else max(forget, horizon)
        return [row for _, row in sorted(found.items()) if row is not None]
