"""INSERT … ON CONFLICT, which both databases have and SQLAlchemy's Core spells per dialect."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


@dataclass(frozen=True, slots=True)
class Dialect:
    """Builds the two kinds of insert for one database."""

    name: str

    def _insert(self, table: Table) -> Insert:
        return postgresql.insert(table) if self.name == "postgresql" else sqlite.insert(table)

    def insert_or_ignore(self, table: Table) -> Insert:
        """Leave a row with the same primary key as it is."""
        return self._insert(table).on_conflict_do_nothing(index_elements=[*table.primary_key])

    def upsert(self, table: Table, columns: Collection[str] = ()) -> Insert:
        """Replace ``columns`` (by default all outside the primary key) of an existing row."""
        names = columns or [c.name for c in table.columns if not c.primary_key]
        insert = self._insert(table)
        return insert.on_conflict_do_update(
            index_elements=[*table.primary_key],
            set_={name: insert.excluded[name] for name in names},
        )
