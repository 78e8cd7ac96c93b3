"""The receipts in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Engine, func, select

from monitor.events import Alert, content_of
from monitor.store import alert_rows, rows, schema
from monitor.store.base import KeptReceipt, Listed
from monitor.store.faults import connected
from monitor.store.receipts.base import JudgedText
from monitor.store.receipts.rows import listed_row, listing, receipt_of
from monitor.store.statements import Dialect


class SqlReceipts:
    """`Receipts` over the engine of the daemon, or one of ``open_reader``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        dialect = self._dialect = Dialect(engine.dialect.name)
        ids = schema.documents.c.id
        self._known = select(ids).where(dialect.any_of(ids, "ids"))

    def close(self) -> None:
        """Close the idle connections. Idempotent."""
        self._engine.dispose()

    def find(self, alert_id: str) -> KeptReceipt | None:
        """See `Receipts.find`."""
        query = select(schema.receipts).where(schema.receipts.c.alert_id == alert_id)
        with connected(self._engine, "reading a receipt") as connection:
            row = connection.execute(query).first()
        return None if row is None else receipt_of(row)

    def alert(self, alert_id: str) -> Alert | None:
        """See `Receipts.alert`."""
        query = select(schema.alerts).where(schema.alerts.c.id == alert_id)
        with connected(self._engine, "reading an alert") as connection:
            row = connection.execute(query).first()
        return None if row is None else alert_rows.alert_of(row)

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """See `Receipts.listed`."""
        query = listing(key, since, until, limit)
        with connected(self._engine, "listing documents") as connection:
            return [listed_row(row) for row in connection.execute(query)][::-1]

    def known(self, ids: Collection[str]) -> set[str]:
        """See `Receipts.known`."""
        with connected(self._engine, "looking up documents") as connection:
            return set(connection.scalars(self._known, {"ids": self._dialect.many(ids)}))

    def texts(self, ids: Collection[str]) -> list[JudgedText]:
        """See `Receipts.texts`."""
        table = schema.documents.c
        query = (
            select(
                table.id,
                table.title,
                table.text,
                table.p_negative,
                table.p_neutral,
                table.p_positive,
            )
            .where(self._dialect.any_of(table.id, "ids"))
            .order_by(table.id)
        )
        with connected(self._engine, "reading texts") as connection:
            return [
                JudgedText(name, content_of(title, text), (negative, neutral, positive))
                for name, title, text, negative, neutral, positive in connection.execute(
                    query, {"ids": self._dialect.many(ids)}
                )
            ]

    def newest(self) -> datetime | None:
        """See `Receipts.newest`."""
        query = select(func.max(schema.documents.c.published_ms))
        with connected(self._engine, "reading the time range") as connection:
            return rows.optional_moment(connection.scalar(query))
