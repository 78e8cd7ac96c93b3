"""The protocol of those who check an alert."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from monitor.events import Alert
from monitor.store.base import KeptReceipt, Listed


class Receipts(Protocol):
    """Reads only. Blocks; any thread. Raises ``StoreError``."""

    def find(self, alert_id: str) -> KeptReceipt | None:
        """The receipt of an alert; None: there is none."""
        ...

    def alert(self, alert_id: str) -> Alert | None:
        """An alert by its id; None: there is none."""
        ...

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """See `Store.listed`."""
        ...

    def known(self, ids: Collection[str]) -> set[str]:
        """Which of these documents are stored."""
        ...

    def newest(self) -> datetime | None:
        """Event time of the newest document; None without documents."""
        ...
