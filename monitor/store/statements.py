"""INSERT … ON CONFLICT, which both databases have and SQLAlchemy's Core spells per dialect."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    Update,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

Insert = postgresql.Insert | sqlite.Insert


@dataclass(frozen=True, slots=True)
class Dialect:
    """Builds the two kinds of insert for one database."""

    name: str

    def _insert(self, table: Table) -> Insert:
        return postgresql.insert(table) if self.name == "postgresql" else sqlite.insert(table)

    def insert_or_ignore(self, table: Table, unique: Sequence[Column[Any]] = ()) -> Insert:
        """Leave a row with the same primary key, or the same ``unique`` columns, as it is."""
        elements = [*(unique or table.primary_key)]
        return self._insert(table).on_conflict_do_nothing(index_elements=elements)

    def upsert(self, table: Table, columns: Collection[str] = ()) -> Insert:
        """Replace ``columns`` (by default all outside the primary key) of an existing row."""
        names = columns or [c.name for c in table.columns if not c.primary_key]
        insert = self._insert(table)
        return insert.on_conflict_do_update(
            index_elements=[*table.primary_key],
            set_={name: insert.excluded[name] for name in names},
        )

    def accumulate(self, table: Table, columns: Collection[str], counter: str) -> Insert:
        """Add ``columns`` to those of an existing row, whose ``counter`` grows by one."""
        insert = self._insert(table)
        added = {name: table.c[name] + insert.excluded[name] for name in columns}
        return insert.on_conflict_do_update(
            index_elements=[*table.primary_key],
            set_={**added, counter: table.c[counter] + literal_column("1")},
        )

    def any_of(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """``column`` is one of the parameter ``name``, which `many` makes: however many there are,
        it is one parameter of one statement."""
        if self.name == "postgresql":
            return column == func.any(bindparam(name, type_=postgresql.ARRAY(Text)))
        each = func.json_each(bindparam(name)).table_valued("value")
        return column.in_(select(each.c.value))

    def many(self, values: Collection[str]) -> object:
        """The value of the parameter of `any_of`."""
        return list(values) if self.name == "postgresql" else json.dumps(list(values))


class Bulk:
    """One statement for many rows, each a tuple: an insert's in the order of the table's columns,
    another's in the order of its text.

    SQLAlchemy makes a dictionary of every row, and a tuple of that again, which costs as much as
    the database does; so it renders the statement here, once, and the rows go to the driver as
    they are.
    """

    def __init__(self, statement: Insert | Update, engine: Engine) -> None:
        native: Any = type(engine.dialect)
        # By position: psycopg's own style is by name.
        style = "qmark" if engine.dialect.name == "sqlite" else "format"
        compiled = statement.compile(
            dialect=native(paramstyle=style),
            column_keys=(
                None if statement.is_update else [column.name for column in statement.table.columns]
            ),
        )
        self._sql = str(compiled)

    def execute(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Send the rows, in the caller's transaction. Raises what ``Connection.execute`` does."""
        if rows:
            connection.exec_driver_sql(self._sql, rows if isinstance(rows, list) else list(rows))
