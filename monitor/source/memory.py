"""A source and a publisher over a log in memory: the same contract as Kafka's, with a script.

For tests of whatever polls or publishes: what goes wrong is written down beforehand, step by step,
so that no test has to wait for it.
"""

from __future__ import annotations

import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from monitor.errors import SourceError
from monitor.events import Gap, Origin, Partition, Record
from monitor.source.base import Batch, Found
from monitor.source.dispatch import Key
from monitor.store.publishing.base import Message


@dataclass(slots=True)
class _Segment:
    """One partition's log: ``records[i]`` has the offset ``start`` + i."""

    start: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.records)


class MemoryLog:
    """Topics with ``partitions`` partitions each, shared by its sources and publishers."""

    def __init__(
        self,
        topics: Collection[str],
        partitions: int = 4,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._wall = wall
        self._segments = {
            Partition(topic, number): _Segment() for topic in topics for number in range(partitions)
        }
        self._turn = 0
        self.senders: defaultdict[str, int] = defaultdict(int)
        """Epochs of the transactional senders, by identity."""

    def partitions(self, topics: Collection[str]) -> frozenset[Partition]:
        """The partitions of these topics."""
        return frozenset(partition for partition in self._segments if partition.topic in topics)

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, number: int | None = None
    ) -> Origin:
        """Add a record; without ``number`` the key chooses the partition, without a key the turn.

        Raises ``SourceError`` where there is no such topic or partition.
        """
        mine = sorted(self.partitions({topic}))
        if not mine:
            raise SourceError(f"there is no topic {topic}")
        if number is None and key is None:
            self._turn += 1
        chosen = (self._turn if key is None else zlib.crc32(key)) if number is None else number
        partition = mine[chosen % len(mine)]
        segment = self._segments[partition]
        origin = Origin(topic, partition.number, segment.end)
        segment.records.append(Record(origin, value, key, self._wall()))
        return origin

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        return [
            record
            for partition in sorted(self.partitions({topic}))
            for record in self._segments[partition].records
        ]

    def trim(self, partition: Partition, start: int) -> None:
        """Delete the records before ``start``, as retention does."""
        segment = self._segments[partition]
        del segment.records[: max(0, start - segment.start)]
        segment.start = max(segment.start, start)

    def recreate(self, topic: str) -> None:
        """Delete the topic and create it anew: offsets start over."""
        for partition in self.partitions({topic}):
            self._segments[partition] = _Segment()

    def segment(self, partition: Partition) -> tuple[int, int, Sequence[Record]]:
        """Start, end and records of one partition."""
        segment = self._segments[partition]
        return segment.start, segment.end, segment.records


@dataclass(frozen=True, slots=True)
class Fail:
    """The next poll raises; the source then insists on a seek."""

    error: SourceError


@dataclass(frozen=True, slots=True)
class Rebalance:
    """The next poll takes and gives partitions, and brings no records."""

    revoked: frozenset[Partition] = frozenset()
    assigned: frozenset[Partition] = frozenset()


@dataclass(frozen=True, slots=True)
class Read:
    """The next poll brings at most ``limit`` records."""

    limit: int


@dataclass(frozen=True, slots=True)
class Trim:
    """Retention deletes records before the next poll looks."""

    partition: Partition
    start: int


Step = Fail | Rebalance | Read | Trim


class MemorySource:
    """A `Source` on a `MemoryLog`; never blocks. Each poll takes one step of ``script``.

    The first step that is not a `Rebalance` finds every partition assigned to it, as a first poll
    does on Kafka; after the script's end polls are plain reads. ``committed`` holds what was told
    to the broker, ``polls`` counts.
    """

    def __init__(self, log: MemoryLog, topics: Sequence[str], script: Iterable[Step] = ()) -> None:
        self._log = log
        self._topics = tuple(topics)
        self._script = deque(script)
        self._positions: dict[Partition, int] = {}
        self._joined = False
        self._paused = False
        self._must_seek = False
        self._closed = False
        self.committed: dict[Partition, int] = {}
        self.polls = 0

    def poll(self, timeout: float, limit: int) -> Batch:  # noqa: ARG002  nothing to wait for
        """See `monitor.source.base.Source.poll`; ``timeout`` is not waited for."""
        if self._closed:
            raise SourceError("this source is closed")
        if self._must_seek:
            raise SourceError("a failed poll must be followed by a seek")
        self.polls += 1
        if not self._joined:
            self._joined = True
            if not (self._script and isinstance(self._script[0], Rebalance)):
                return self._rebalance(Rebalance(assigned=self._log.partitions(self._topics)))
        step = self._script.popleft() if self._script else None
        match step:
            case Fail(error):
                self._must_seek = True
                raise error
            case Rebalance():
                return self._rebalance(step)
            case Read(most):
                limit = min(limit, most)
            case Trim(partition, start):
                self._log.trim(partition, start)
            case None:
                pass
        return self._batch((), ()) if self._paused else self._read(limit)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `monitor.source.base.Source.seek`."""
        self._must_seek = False
        for partition, offset in offsets.items():
            if partition in self._positions:
                self._positions[partition] = offset

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `monitor.source.base.Source.commit`."""
        self.committed.update(offsets)

    def pause(self, paused: bool) -> None:
        """See `monitor.source.base.Source.pause`."""
        self._paused = paused

    def close(self) -> None:
        """See `monitor.source.base.Source.close`."""
        self._closed = True

    def _rebalance(self, step: Rebalance) -> Batch:
        for partition in step.revoked:
            self._positions.pop(partition, None)
        for partition in step.assigned:
            self._positions[partition] = self._log.segment(partition)[0]
        return self._batch((), (), step)

    def _read(self, limit: int) -> Batch:
        records: list[Record] = []
        gaps: list[Gap] = []
        for partition in sorted(self._positions):
            start, end, log = self._log.segment(partition)
            position = self._positions[partition]
            if not start <= position <= end:
                gaps.append(Gap(partition, position, start))
                self._positions[partition] = start
                continue
            found = log[position - start : position - start + limit - len(records)]
            records.extend(found)
            self._positions[partition] = position + len(found)
        return self._batch(records, gaps)

    def _batch(
        self, records: Sequence[Record], gaps: Sequence[Gap], step: Rebalance | None = None
    ) -> Batch:
        step = Rebalance() if step is None else step
        return Batch(
            records=records,
            positions=dict(self._positions),
            ends={partition: self._log.segment(partition)[1] for partition in self._positions},
            assigned=step.assigned,
            revoked=step.revoked,
            gaps=gaps,
        )


class MemoryPublisher:
    """A `Publisher` into a `MemoryLog`. ``failures`` says for each call in turn what it raises
    (None: nothing), before anything is written."""

    def __init__(self, log: MemoryLog, failures: Iterable[SourceError | None] = ()) -> None:
        self._log = log
        self._failures = deque(failures)
        self._closed = False

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        """See `monitor.source.base.Publisher.publish`."""
        if self._closed:
            raise SourceError(f"Publishing to {topic}: this publisher is closed")
        failure = self._failures.popleft() if self._failures else None
        if failure is not None:
            raise failure
        for key, value in messages:
            self._log.append(topic, key, value)

    def close(self) -> None:
        """See `monitor.source.base.Publisher.close`."""
        self._closed = True


class MemoryArchive:
    """An `Archive` of a `MemoryLog`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def find(self, places: Collection[Origin]) -> Found:
        """See `monitor.source.base.Archive.find`."""
        records: dict[Origin, Record] = {}
        expired: dict[Origin, int] = {}
        absent: dict[Origin, str] = {}
        topics = {place.topic for place in places}
        if missing := sorted(t for t in topics if not self._log.partitions({t})):
            raise SourceError(f"there is no topic {', '.join(missing)}")
        known = self._log.partitions(topics)
        for place in places:
            partition = Partition(place.topic, place.partition)
            if partition not in known:
                absent[place] = "there is no such partition"
                continue
            start, end, log = self._log.segment(partition)
            if place.offset < start:
                expired[place] = start
            elif place.offset >= end:
                absent[place] = f"the log ends at {end}"
            else:
                records[place] = log[place.offset - start]
        return Found(records, expired, absent)

    def close(self) -> None:
        """Nothing to close."""


class MemoryTransactions:
    """A `monitor.source.dispatch.TransactionLog` on a `MemoryLog`."""

    def __init__(self, log: MemoryLog, identity: str) -> None:
        self._log = log
        self._identity = identity
        log.senders[identity] += 1
        self._epoch = log.senders[identity]

    def ends(self, topics: Collection[str]) -> Mapping[Partition, int]:
        """See `TransactionLog.ends`."""
        return {p: self._log.segment(p)[1] for p in self._log.partitions(topics)}

    def publish(self, messages: Sequence[Message]) -> None:
        """See `TransactionLog.publish`."""
        if self._log.senders[self._identity] != self._epoch:
            raise SourceError(f"{self._identity} is fenced: another sender has its identity")
        for topic in {message.topic for message in messages}:
            if not self._log.partitions({topic}):
                raise SourceError(f"there is no topic {topic}")
        for message in messages:
            self._log.append(message.topic, message.id.encode(), message.value)

    def found(self, since: Mapping[Partition, int], keys: Collection[Key]) -> set[Key]:
        """See `TransactionLog.found`."""
        return {
            key
            for partition in self._log.partitions({topic for topic, _ in keys})
            for record in self._log.segment(partition)[2]
            if record.origin.offset >= since.get(partition, 0)
            if record.key is not None and (key := (partition.topic, record.key.decode())) in keys
        }

    def close(self) -> None:
        """Nothing to close."""
