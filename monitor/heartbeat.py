"""Whether sources can be reached, told by whoever asks them (feeds), apart from what they say.

A source that answers and has nothing new is quiet; one that does not answer is blind at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Contact:
    """What became of the attempts to reach one source. Moments in UTC."""

    succeeded: datetime | None = None
    """The last success, whether or not there was anything new."""
    failed: datetime | None = None
    failures: int = 0
    """In a row, since the last success."""
    reason: str = ""
    """Of the last failure, for a person."""


class Heartbeat(Protocol):
    """Where the daemon learns of contacts; asked about once a minute."""

    def contacts(self) -> Mapping[str, Contact]:
        """By the source's name, as its documents bear it; sources that nobody polls are missing.

        Raises ``StoreError``.
        """
        ...


class MemoryHeartbeat:
    """A `Heartbeat` that is told what happened. Thread-safe."""

    def __init__(self) -> None:
        self._contacts: dict[str, Contact] = {}
        self._lock = threading.Lock()

    def contacts(self) -> Mapping[str, Contact]:
        """See ``Heartbeat.contacts``."""
        with self._lock:
            return dict(self._contacts)

    def succeeded(self, source: str, at: datetime) -> None:
        """The source answered."""
        with self._lock:
            known = self._contacts.get(source, Contact())
            self._contacts[source] = replace(known, succeeded=at, failures=0)

    def failed(self, source: str, at: datetime, reason: str) -> None:
        """The source could not be reached, or answered nonsense."""
        with self._lock:
            known = self._contacts.get(source, Contact())
            self._contacts[source] = replace(
                known, failed=at, failures=known.failures + 1, reason=reason
            )
