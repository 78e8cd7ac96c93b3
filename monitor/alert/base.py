"""The protocol of a receiver of notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from monitor.store.base import Notification


class Notifier(Protocol):
    """Delivers one notification to one receiver. Blocks, with a time limit of its own."""

    def send(self, notification: Notification, now: datetime) -> None:
        """Deliver it, or raise ``DeliveryError``, which says whether a retry can help.

        ``now`` is the wall time that goes into the signature. Taking the same notification twice
        must be harmless for the receiver: its id and body are the same on every attempt.
        """
        ...

    def close(self) -> None:
        """Drop the connections. Idempotent."""
        ...
