"""The protocol of a source of records, and what its positions look like."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monitor.events import Gap, Origin, Partition, Record


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll gave.

    ``positions`` holds, for every partition that this worker is assigned, the offset that follows
    everything delivered so far (records, control records and compacted gaps alike); ``ends`` the
    log's end as last seen. ``assigned`` and ``revoked`` tell what the rebalance since the last poll
    changed: after an assignment the caller loads its stored offsets and seeks. ``unreadable`` are
    the partitions whose next record can't be unpacked: they stand still, and are tried again.
    """

    records: Sequence[Record] = ()
    positions: Mapping[Partition, int] = field(default_factory=dict)
    ends: Mapping[Partition, int] = field(default_factory=dict)
    assigned: frozenset[Partition] = frozenset()
    revoked: frozenset[Partition] = frozenset()
    gaps: Sequence[Gap] = ()
    unreadable: frozenset[Partition] = frozenset()


class Source(Protocol):
    """Records in batches. One thread owns it; only ``close`` may raise nothing."""

    def poll(self, timeout: float, limit: int) -> Batch:
        """Wait up to ``timeout`` seconds for at most ``limit`` records.

        While paused it returns no records, but keeps the membership alive. Raises ``SourceError``;
        the caller must then ``seek`` before it polls again.
        """
        ...

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Go on reading each partition at its offset. Where retention has deleted that offset, the
        next poll reports a ``Gap`` and goes on at the log's start. Partitions that are not assigned
        are ignored."""
        ...

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell the broker how far we are, asynchronously: for lag tools only, never read back.
        Failures are logged, never raised."""
        ...

    def pause(self, paused: bool) -> None:
        """Stop (or resume) fetching from every partition, those assigned later included."""
        ...

    def close(self) -> None:
        """Leave the group. Idempotent."""
        ...


class Publisher(Protocol):
    """Writes messages to topics: the outbox, feeds and replays use it."""

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        """Send (key, value) pairs and block until the broker has acknowledged all of them.

        Raises ``SourceError``; some of the messages may then have been written (at least once).
        """
        ...

    def close(self) -> None:
        """Flush and disconnect. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What lies at places that records were read from before. Each place is in one of the three."""

    records: Mapping[Origin, Record] = field(default_factory=dict)
    expired: Mapping[Origin, int] = field(default_factory=dict)
    """Deleted by retention, with the offset at which the partition begins."""
    absent: Mapping[Origin, str] = field(default_factory=dict)
    """Nothing there, though nothing is older than the log: why, in words."""


class Archive(Protocol):
    """Records by their places, read again. It joins no group, commits nothing and moves nobody's
    position."""

    def find(self, places: Collection[Origin]) -> Found:
        """What lies there now. Blocks, for a bounded time; raises ``SourceError``."""
        ...

    def close(self) -> None:
        """Disconnect. Idempotent."""
        ...
