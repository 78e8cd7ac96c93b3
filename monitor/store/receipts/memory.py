"""The receipts in memory: for tests."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from monitor.events import Alert
from monitor.store.base import KeptReceipt, Listed
from monitor.store.memory import MemoryDatabase, listed
from monitor.store.receipts.base import JudgedText


class MemoryReceipts:
    """`Receipts` over the same `MemoryDatabase` as a `MemoryStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database

    def find(self, alert_id: str) -> KeptReceipt | None:
        """See `Receipts.find`."""
        return self.database.receipts.get(alert_id)

    def alert(self, alert_id: str) -> Alert | None:
        """See `Receipts.alert`."""
        return self.database.alerts.get(alert_id)

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """See `Receipts.listed`."""
        return listed(self.database, key, since, until, limit)

    def known(self, ids: Collection[str]) -> set[str]:
        """See `Receipts.known`."""
        return {identifier for identifier in ids if identifier in self.database.documents}

    def texts(self, ids: Collection[str]) -> list[JudgedText]:
        """See `Receipts.texts`."""
        stored = self.database.documents
        found = (stored[identifier] for identifier in sorted(ids) if identifier in stored)
        return [JudgedText(s.document.id, s.document.content, s.sentiment) for s in found]

    def newest(self) -> datetime | None:
        """See `Receipts.newest`."""
        times = (s.document.published_at for s in self.database.documents.values())
        return max(times, default=None)
