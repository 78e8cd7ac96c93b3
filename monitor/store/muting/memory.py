"""Silences and acknowledgements in memory: for tests and simulations."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from monitor.events import AlertStatus
from monitor.store.memory import MemoryDatabase
from monitor.store.muting.base import Acknowledgement, Muted, Silence


class MemoryMuting:
    """``Muting`` over the alerts of a ``MemoryDatabase``."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self.database = database or MemoryDatabase()
        self._silences: dict[str, Silence] = {}
        self._taken: dict[str, Acknowledgement] = {}

    def muted(self, now: datetime) -> Muted:
        """See ``Muting.muted``."""
        silences = (s for s in self._silences.values() if s.ends > now)
        taken = (a for a in self._taken.values() if a.until > now)
        return Muted(
            tuple(sorted(silences, key=lambda s: (s.created_at, s.id))),
            tuple(sorted(taken, key=lambda a: (a.created_at, a.alert_id))),
        )

    def silence(self, silence: Silence) -> None:
        """See ``Muting.silence``."""
        self._silences[silence.id] = silence

    def expire(self, silence_id: str, now: datetime) -> bool:
        """See ``Muting.expire``."""
        found = self._silences.get(silence_id)
        if found is None or found.ends <= now:
            return False
        self._silences[silence_id] = replace(found, ends=now)
        return True

    def acknowledge(self, taken: Acknowledgement) -> None:
        """See ``Muting.acknowledge``."""
        self._taken[taken.alert_id] = taken

    def withdraw(self, alert_id: str) -> bool:
        """See ``Muting.withdraw``."""
        return self._taken.pop(alert_id, None) is not None

    def firing(self, alert_id: str) -> bool:
        """See ``Muting.firing``."""
        found = self.database.alerts.get(alert_id)
        return found is not None and found.status is not AlertStatus.RESOLVED
