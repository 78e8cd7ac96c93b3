"""How far event time is complete: one watermark for each partition, one for the whole stream."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from monitor.events import Document, Partition


@dataclass(slots=True)
class _Progress:
    max_event_time: float | None  # seconds since the epoch
    last_record: float  # monotonic seconds
    at_end: bool = False


class Watermarks:
    """Bounded out-of-orderness with honest idleness.

    A partition's watermark is its largest event time − ``out_of_orderness``; the stream's is the
    minimum over the partitions that are not idle. Idle means: read to the log's end AND silent for
    ``idle_after`` seconds. Without the first half a broker outage would age the clock and turn the
    whole backlog late. When every partition is idle the furthest one rules, until a record wakes
    the stream: then each partition is waited for anew. That it was at its end had been seen before,
    and of a backlog published into all of them, what is fetched second would be late.

    All arguments are in seconds.
    """

    def __init__(self, out_of_orderness: float = 60.0, idle_after: float = 60.0) -> None:
        self._out_of_orderness = out_of_orderness
        self._idle_after = idle_after
        self._partitions: dict[Partition, _Progress] = {}

    def assign(self, partitions: Mapping[Partition, float | None], monotonic: float) -> None:
        """Follow exactly these partitions; the values are their stored largest event times."""
        self._partitions = {
            partition: self._partitions.get(partition) or _Progress(event_time, monotonic)
            for partition, event_time in partitions.items()
        }

    def observe(self, partition: Partition, event_time: float, monotonic: float) -> None:
        """A record with this event time was read from the partition."""
        if (progress := self._partitions.get(partition)) is None:
            progress = self._partitions[partition] = _Progress(None, monotonic)
        if self._is_idle(progress, monotonic) and all(
            self._is_idle(p, monotonic) for p in self._partitions.values()
        ):
            for p in self._partitions.values():
                p.last_record = monotonic
        progress.last_record = monotonic
        if progress.max_event_time is None or event_time > progress.max_event_time:
            progress.max_event_time = event_time

    def observe_all(self, documents: Iterable[Document], monotonic: float) -> None:
        """The records of these documents were read: as ``observe`` for each of them."""
        newest: dict[tuple[str, int], datetime] = {}
        for document in documents:
            topic, number, _ = document.origin
            seen = newest.get((topic, number))
            if seen is None or document.published_at > seen:
                newest[topic, number] = document.published_at
        for (topic, number), at in newest.items():
            self.observe(Partition(topic, number), at.timestamp(), monotonic)

    def reached_end(self, at_end: Collection[Partition]) -> None:
        """These partitions, and no others, have been read to the log's end."""
        for partition, progress in self._partitions.items():
            progress.at_end = partition in at_end

    def max_event_time(self, partition: Partition) -> float | None:
        """The largest event time read from the partition, None before the first."""
        progress = self._partitions.get(partition)
        return progress.max_event_time if progress else None

    def next_idle(self, after: float) -> float | None:
        """The first moment later than ``after`` (monotonic) at which another partition falls idle
        if nothing more is read; None: none will."""
        falls = (p.last_record + self._idle_after for p in self._partitions.values() if p.at_end)
        return min((moment for moment in falls if moment > after), default=None)

    def current(self, monotonic: float) -> float | None:
        """The stream's watermark (seconds since the epoch); None while one partition is unknown."""
        if not self._partitions:
            return None
        busy = [p for p in self._partitions.values() if not self._is_idle(p, monotonic)]
        if busy:
            times = [p.max_event_time for p in busy]
            known = [t for t in times if t is not None]
            return min(known) - self._out_of_orderness if len(known) == len(times) else None
        seen = [p.max_event_time for p in self._partitions.values() if p.max_event_time is not None]
        return max(seen) - self._out_of_orderness if seen else None

    def holding(self, time: float, monotonic: float) -> list[Partition]:
        """The partitions that are not idle and keep the stream's watermark below ``time`` (seconds
        since the epoch)."""
        return [
            partition
            for partition, p in self._partitions.items()
            if not self._is_idle(p, monotonic)
            and (p.max_event_time is None or p.max_event_time - self._out_of_orderness < time)
        ]

    def _is_idle(self, progress: _Progress, monotonic: float) -> bool:
        return progress.at_end and monotonic - progress.last_record >= self._idle_after
