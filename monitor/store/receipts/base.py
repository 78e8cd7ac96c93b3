"""The protocol of those who check an alert."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple, Protocol

from monitor.events import Alert
from monitor.store.base import KeptReceipt, Listed


class JudgedText(NamedTuple):
    """What the model read of a stored document, and what it said of the text as a whole."""

    id: str
    content: str
    sentiment: tuple[float, float, float]


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

    def texts(self, ids: Collection[str]) -> list[JudgedText]:
        """Those of these documents that are stored, by id."""
        ...

    def newest(self) -> datetime | None:
        """Event time of the newest document; None without documents."""
        ...
