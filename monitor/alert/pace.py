"""No more messages than a channel takes. Pure: the caller brings the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from monitor.alert.base import Rate


class Pace:
    """A bucket of tokens for each rate; a token comes back ``seconds`` after its message ended.

    A bucket that fills steadily lets twice its size through in one period (the burst, and what
    flowed in meanwhile). With tokens that come back one by one no period of that length holds more
    than ``messages``, and since they are counted from the end of an attempt, not at the other side
    either.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._used = [(rate, deque[datetime](maxlen=rate.messages)) for rate in rates]

    def free_at(self, now: datetime) -> datetime:
        """When the next message may go; ``now`` if at once."""
        waits = [
            used[0] + timedelta(seconds=rate.seconds)
            for rate, used in self._used
            if len(used) == rate.messages
        ]
        return max([now, *waits])

    def used(self, now: datetime) -> None:
        """An attempt has ended, whatever became of it."""
        for _, used in self._used:
            used.append(now)
