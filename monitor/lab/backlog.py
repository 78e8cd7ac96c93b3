"""What had been appended and was not read yet, at a moment of the rerun.

While a daemon lags behind, each of its polls brings something, and a partition that has a backlog
is not idle. When a record was appended is as Kafka says: where producers set that time and their
clocks are wrong, so is this.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from itertools import accumulate
from math import inf

from monitor.events import Partition

LAG = 100
"""Milliseconds after which a record that is not read lies there, and is not just on its way."""


class Backlog:
    """Records that lay there before they were read. Asked in seconds since the epoch."""

    def __init__(
        self, partitions: Iterable[Partition], waited: Iterable[tuple[Partition, int, int]]
    ) -> None:
        """``waited``: the partition of each, and when it was read and appended (milliseconds since
        the epoch), in the order in which they were read."""
        self._read: dict[Partition, list[int]] = {partition: [] for partition in partitions}
        self._oldest: dict[Partition, list[int]] = {}
        for partition, read, appended in waited:
            self._read.setdefault(partition, []).append(read)
            self._oldest.setdefault(partition, []).append(appended)
        for partition, each in self._oldest.items():  # of it and of those that are read after it
            self._oldest[partition] = list(accumulate(reversed(each), min))[::-1]

    @property
    def partitions(self) -> Collection[Partition]:
        """All of them, empty ones among them."""
        return self._read.keys()

    def since(self, at: float) -> float:
        """When the oldest of the records was appended that were read after ``at``; infinite: there
        are none."""
        return min((self._since(partition, at) for partition in self._read), default=inf)

    def at_end(self, at: float) -> list[Partition]:
        """The partitions of which everything that was there at ``at`` had been read by then."""
        return [partition for partition in self._read if self._since(partition, at) > at]

    def _since(self, partition: Partition, at: float) -> float:
        first = bisect_right(self._read[partition], round(at * 1000))
        oldest = self._oldest.get(partition, ())
        return oldest[first] / 1000 if first < len(oldest) else inf
