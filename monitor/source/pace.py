"""How much one poll asks for: pure."""

from __future__ import annotations

GROW, SHRINK = 0.5, 1.0
"""Seconds of a pass below which the next one may be twice as large, above which it is halved."""


class Pace:
    """The size of the next batch, between ``least`` and ``most`` records.

    A transaction waits for the disk once, however many documents it holds. So while a backlog lasts
    (polls that come back full) batches grow as long as they are quick; with a model that takes
    seconds for the smallest of them they stay small, and their verdicts are not held back.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most)
        self.records = least
        """What the next poll should ask for."""

    def took(self, records: int, seconds: float) -> None:
        """A pass over so many records took so long."""
        if seconds > SHRINK:
            self.records = max(self._least, self.records // 2)
        elif records >= self.records and seconds < GROW:
            self.records = min(self._most, self.records * 2)
