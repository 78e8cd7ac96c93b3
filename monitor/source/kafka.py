"""The Kafka source, on kafka-python.

Positions live in the database: Kafka's committed offsets are written for lag tools and never read
back. Seven of the client's habits shape this module:

- ``auto_offset_reset`` hides loss, so it is off. An offset out of range arrives as an exception and
  leaves as a `Gap`; a partition without a committed offset arrives as one too, and starts at the
  log's start.
- The poll that ends a rebalance already fetches from the committed offset. What it brings from a
  newly assigned partition is thrown away, and the partition put at the log's start, before anybody
  can see a record from the wrong place; then the caller seeks.
- After an exception inside ``poll`` the next one may never return unless every partition was sought
  anew; this module does so itself.
- Rebalance listeners run on the client's IO thread: this one only takes notes.
- A fetch that asks for empty partitions alone waits ``fetch_max_wait`` at the broker, and every
  request behind it on the connection waits too. So while one partition has a backlog those that are
  read to their ends are parked: paused, their ends asked for all the same.
- A partition that was read to its end just as a poll's limit was reached, and is then parked, would
  not be fetched from again, or much later (`monitor.source.fetched.free_line`).
- A batch that can't be unpacked (`monitor.source.unreadable`) raises, and stays in the way of all
  partitions. Its own is held, and the others go on.
- A position that it wants confirmed (KIP-320) is not fetched from until a broker has, which may be
  never, and nothing is said. Where there is more and nothing comes for long, it is sought anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.structs import MemberState

from monitor.errors import SourceError
from monitor.events import Gap, Origin, Partition, Record
from monitor.source.base import Batch
from monitor.source.client import (
    EPOCH,
    appended_at,
    consumer_options,
    milliseconds,
    require_reachable,
    source_error,
)
from monitor.source.fetched import discard_failed, discard_fetched, free_line
from monitor.source.settings import KafkaSettings
from monitor.source.unreadable import Unreadable, is_unreadable
from monitor.tuples import maker

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 5.0
_SLICE = 0.1
_CONFIRM_INTERVAL = 1.0  # seconds between two looks at the log's ends while nothing comes
_CONFIRM_TIMEOUT = 2.0
_JOIN_PATIENCE = 5.0
_STALLED = 30.0

_origin, _record = maker(Origin), maker(Record)


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """What was taken away since it was last asked; what was given is seen in the assignment."""

    def __init__(self) -> None:
        self._revoked: set[TopicPartition] = set()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._revoked.update(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to note."""

    def take(self) -> set[TopicPartition]:
        taken, self._revoked = self._revoked, set()
        return taken


class KafkaSource:
    """A `Source` that is one member of a consumer group.

    Blocks in ``poll`` and, after an assignment or a gap, in two requests for the log's bounds.
    The constructor raises ``SourceError`` when no broker answers within ``connect_timeout``.
    A topic that was created anew shows as a `Gap` whose ``resumed`` is below its ``expected``: the
    stored offset lies beyond the log's end, and reading starts over. ``wall`` stands in for the
    time of publication where a record carries none.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._wall = wall
        self._paused = False
        self._closed = False
        self._names: dict[TopicPartition, Partition] = {}
        self._positions: dict[TopicPartition, int] = {}  # of every partition reported as assigned
        self._ends: dict[TopicPartition, int] = {}
        self._parked: set[TopicPartition] = set()  # paused because others have a backlog
        self._unreadable = Unreadable()
        self._flowing = False  # whether the last poll brought records
        self._waiting: dict[TopicPartition, float] = {}  # since when nothing comes, though
        # there is more
        self._committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self._commit_error = ""
        self._confirmed = 0.0
        self._notes = _Notes()
        require_reachable(settings)
        try:
            self._consumer = KafkaConsumer(
                **consumer_options(settings),
                group_id=settings.group_id,
                group_instance_id=settings.group_instance_id,
                partition_assignment_strategy=[CooperativeStickyAssignor],
                session_timeout_ms=milliseconds(settings.session_timeout),
                heartbeat_interval_ms=milliseconds(min(3.0, settings.session_timeout / 4)),
                max_poll_interval_ms=milliseconds(settings.max_poll_interval),
                metadata_max_age_ms=60_000,  # new partitions are seen within a minute
            )
        except KafkaError as error:
            raise source_error(settings, "Connecting to Kafka", error) from error
        try:
            self._subscribe(topics)
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=0)
            raise

    def poll(self, timeout: float, limit: int) -> Batch:
        """See `monitor.source.base.Source.poll`. It returns early after a rebalance or a gap, and
        up to 5 s late while the group is being joined."""
        fetched: Mapping[TopicPartition, Sequence[Any]] = {}
        gaps: Sequence[Gap] = ()
        try:
            try:
                self._retry()
                self._park()
                fetched = self._wait_for_records(timeout, limit)
            except NoOffsetForPartitionError:
                log.debug("newly assigned partitions without a committed offset")
            except OffsetOutOfRangeError as error:
                gaps = self._close_gaps(error.args[0])
            except LogTruncationError as error:
                gaps = self._close_gaps(error.divergent_offsets)
            except Exception as error:
                if not self._hold(error):
                    raise
            assigned, revoked = self._rebalanced()
            records = self._records(fetched, assigned)
            self._advance(fetched)
            self._release()
            self._flowing = bool(records)
            self._confirm_ends(self._flowing)
            self._rouse(fetched, time.monotonic())
        except Exception as error:
            self._rewind()
            raise source_error(self._settings, "Reading from Kafka", error) from error
        return Batch(
            records=records,
            positions={self._name(tp): at for tp, at in self._positions.items()},
            ends={self._name(tp): at for tp, at in self._ends.items()},
            assigned=frozenset(map(self._name, assigned)),
            revoked=frozenset(map(self._name, revoked)),
            gaps=gaps,
            unreadable=frozenset(map(self._name, self._unreadable.partitions)),
        )

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `monitor.source.base.Source.seek`. Sends nothing; does not block."""
        for partition, offset in offsets.items():
            tp = TopicPartition(partition.topic, partition.number)
            if tp in self._positions and tp in self._consumer.assignment():
                self._consumer.seek(tp, offset)
                self._positions[tp] = offset

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `monitor.source.base.Source.commit`."""
        payload = {
            TopicPartition(partition.topic, partition.number): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        }
        self._committed = payload
        try:
            self._consumer.commit_async(payload, callback=self._on_commit)
        except KafkaError as error:
            self._on_commit(payload, error)

    def pause(self, paused: bool) -> None:
        """See `monitor.source.base.Source.pause`."""
        self._paused = paused
        self._parked.clear()
        mine = self._consumer.assignment()
        if paused:
            discard_failed(self._consumer)
            self._consumer.pause(*mine)
        else:
            self._consumer.resume(*(mine - self._unreadable.paused))

    def close(self) -> None:
        """Commit what is still to be committed, leave the group, disconnect; at most about 10 s."""
        if self._closed:
            return
        self._closed = True
        timeout = milliseconds(_CLOSE_TIMEOUT)
        try:
            if self._committed:  # an asynchronous commit in flight would be lost
                mine = self._consumer.assignment()
                last = {tp: at for tp, at in self._committed.items() if tp in mine}
                self._consumer.commit(last, timeout_ms=timeout)
        except KafkaError as error:
            log.warning("the last offsets were not committed for lag tools: %s", error)
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout)
        except KafkaError as error:
            log.warning("leaving the consumer group failed: %s", error)

    def _subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe, and learn the topics' partitions before the group is joined.

        A leader that joins without them assigns nothing, and the client's refresh that is under way
        from its bootstrap can swallow the request for them: that member would idle for a minute.
        """
        try:
            self._consumer.bootstrap(timeout_ms=milliseconds(self._settings.connect_timeout))
            self._consumer.subscribe(list(topics), listener=self._notes)
            missing = [t for t in topics if not self._consumer.partitions_for_topic(t)]
        except KafkaError as error:
            raise source_error(self._settings, "Connecting to Kafka", error) from error
        if missing:
            raise SourceError(
                f"The topics {', '.join(missing)} do not exist at "
                f"{self._settings.bootstrap_servers}, or this user may not read them: create them "
                "(kafka-topics --create), or check kafka.topics"
            )

    def _wait_for_records(
        self, timeout: float, limit: int
    ) -> Mapping[TopicPartition, Sequence[Any]]:
        """Poll in slices: the client itself would keep a rebalance to itself until ``timeout``.

        A join that completes between two polls is thrown away and begun anew, for every member of
        the group; so while one is under way this waits for it, beyond ``timeout`` if need be.
        """
        start = time.monotonic()
        patience = timeout
        while True:
            left = max(0.0, patience - (time.monotonic() - start))
            free_line(self._consumer)
            fetched: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(
                milliseconds(min(left, _SLICE)), max_records=limit
            )
            if fetched or self._consumer.assignment() != self._positions.keys():
                return fetched
            joining = self._consumer.group_metadata().state == MemberState.REBALANCING
            patience = max(timeout, _JOIN_PATIENCE) if joining else timeout
            if time.monotonic() - start >= patience:
                return fetched

    def _park(self) -> None:
        """Park what is read to its end while others are not; see the module."""
        if self._paused:
            return
        ends, reading = self._ends, self._positions.keys() - self._unreadable.paused
        at_end = {tp for tp, at in self._positions.items() if tp in ends and at >= ends[tp]}
        # Where nothing came, an end may be known wrongly: nobody waits for a backlog that is none.
        parked = at_end if self._flowing and len(at_end) < len(reading) else set()
        mine = self._consumer.assignment()
        if parked - self._parked:
            discard_failed(self._consumer)
        self._consumer.resume(*((self._parked - parked) & mine))
        self._consumer.pause(*((parked - self._parked) & mine))
        self._parked = parked & mine

    def _retry(self) -> None:
        """Fetch anew what could not be read, when its time has come."""
        if not self._paused:
            due = self._unreadable.due(time.monotonic())
            self._consumer.resume(*(due & self._consumer.assignment()))

    def _hold(self, error: Exception) -> bool:
        """Hold the partition that can't be read; False: the error is of another kind."""
        tp = discard_fetched(self._consumer)
        if tp is None or not is_unreadable(error):
            return False
        if tp in self._positions and tp in self._consumer.assignment():
            offset = self._consumer.position(tp, timeout_ms=0)
            if offset is not None:
                self._positions[tp] = offset
            self._consumer.pause(tp)
            self._unreadable.hold(tp, self._positions[tp], error, time.monotonic())
        return True  # one that was assigned just now is put at its start first

    def _release(self) -> None:
        resumed = self._unreadable.settle(self._positions)
        if not self._paused:
            self._consumer.resume(*(resumed & self._consumer.assignment()))

    def _rebalanced(self) -> tuple[set[TopicPartition], set[TopicPartition]]:
        """What was assigned and revoked since the last poll; new partitions are made ready.

        A partition that was lost and given back is in both sets.
        """
        now_mine = self._consumer.assignment()
        before = self._positions.keys()
        revoked = before & (self._notes.take() | (before - now_mine))
        for tp in revoked:
            del self._positions[tp]
            self._ends.pop(tp, None)
        self._parked -= revoked
        assigned = now_mine - self._positions.keys()
        if assigned:
            if self._paused:
                self._consumer.pause(*assigned)
            starts, ends = self._bounds(assigned)
            for tp in assigned:
                self._consumer.seek(tp, starts[tp])
            self._positions.update(starts)
            self._ends.update(ends)
        if assigned or revoked:
            log.info("rebalance: %d assigned, %d revoked", len(assigned), len(revoked))
        return assigned, revoked

    def _bounds(
        self, partitions: Iterable[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        wanted = list(partitions)
        timeout = milliseconds(self._settings.request_timeout)
        starts = self._consumer.beginning_offsets(wanted, timeout_ms=timeout)
        return starts, self._consumer.end_offsets(wanted, timeout_ms=timeout)

    def _close_gaps(self, partitions: Iterable[TopicPartition]) -> list[Gap]:
        """Where the log does not hold the position: go on at its start, and say what is lost."""
        mine = [tp for tp in partitions if tp in self._positions]
        starts, ends = self._bounds(mine)
        gaps = []
        for tp in mine:
            wanted = self._positions[tp]
            inside = starts[tp] <= wanted <= ends[tp]
            resumed = wanted if inside else starts[tp]
            self._consumer.seek(tp, resumed)
            self._positions[tp] = resumed
            self._ends[tp] = ends[tp]
            if not inside:
                gaps.append(Gap(self._name(tp), wanted, resumed))
                log.error(
                    "%s/%d: offset %d is %s; going on at %d",
                    *(tp.topic, tp.partition, wanted),
                    "beyond the log's end (was the topic created anew?)"
                    if wanted > ends[tp]
                    else "deleted by retention before it was read",
                    resumed,
                )
        return gaps

    def _records(
        self,
        fetched: Mapping[TopicPartition, Sequence[Any]],
        unsettled: set[TopicPartition],
    ) -> list[Record]:
        records = []
        for tp, messages in fetched.items():
            if tp in unsettled:
                continue
            topic, number = tp
            at, appended = None, EPOCH
            for message in messages:
                if message.timestamp != at:  # a producer's batch often has one for all
                    at = message.timestamp
                    appended = appended_at(at) or self._wall()
                origin = _origin((topic, number, message.offset))
                records.append(_record((origin, message.value, message.key, appended)))
        return records

    def _advance(self, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Learn the positions: they pass control records and compacted gaps without a record."""
        for tp, known in self._positions.items():
            end = self._consumer.highwater(tp)
            if end is not None:
                # A fetch before the partition was parked knows less than what was asked since.
                self._ends[tp] = max(end, self._ends.get(tp, end))
            if tp in fetched or (end is not None and end != known):
                position = self._consumer.position(tp, timeout_ms=0)
                if position is not None:
                    self._positions[tp] = position

    def _confirm_ends(self, read: bool) -> None:
        """Ask the brokers for the end of every partition that seems to be read to it.

        The client learns an end only when it parses a fetch of that partition, and parses one
        partition at a time. While one drains, the fetched backlog of another waits unseen: that
        partition would pass for idle, the watermark would leave it behind, and all of its documents
        would come too late. Where no broker answers, the end is unknown, which is not idle.
        """
        now = time.monotonic()
        done = [tp for tp, at in self._positions.items() if at >= self._ends.get(tp, at)]
        if not done or (not read and now - self._confirmed < _CONFIRM_INTERVAL):
            return
        self._confirmed = now
        try:
            ends = self._consumer.end_offsets(done, timeout_ms=milliseconds(_CONFIRM_TIMEOUT))
        except KafkaError as error:
            log.debug("the log's ends are not known: %s", error)
            for tp in done:
                self._ends.pop(tp, None)
        else:
            self._ends.update(ends)

    def _rouse(self, fetched: Collection[TopicPartition], now: float) -> None:
        """Seek anew where nothing came for `_STALLED` seconds though there is more."""
        self._waiting = {
            tp: self._waiting.get(tp, now)
            for tp, at in self._positions.items()
            if at < self._ends.get(tp, at) and tp not in fetched and not self._paused
            and tp not in self._unreadable.partitions
        }  # fmt: skip
        for tp, since in self._waiting.items():
            if now - since >= _STALLED:
                log.warning(
                    "%s/%d: nothing comes from offset %d on though the log goes on to %d;"
                    " seeking it anew",
                    *(tp.topic, tp.partition, self._positions[tp], self._ends[tp]),
                )
                self._consumer.seek(tp, self._positions[tp])
                self._waiting[tp] = now

    def _rewind(self) -> None:
        """Put every partition where the caller knows it to be."""
        discard_fetched(self._consumer)
        mine = self._consumer.assignment()
        for tp, offset in self._positions.items():
            if tp in mine:
                self._consumer.seek(tp, offset)

    def _on_commit(self, _offsets: object, outcome: object) -> None:
        error = repr(outcome) if isinstance(outcome, Exception) else ""
        if error and error != self._commit_error:
            log.warning("committing offsets for lag tools failed (harmless): %s", error)
        self._commit_error = error

    def _name(self, tp: TopicPartition) -> Partition:
        name = self._names.get(tp)
        if name is None:
            name = self._names[tp] = Partition(tp.topic, tp.partition)
        return name
