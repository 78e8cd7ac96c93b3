"""Records of Kafka by their places, read again by a consumer of no group, which commits nothing."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from monitor.errors import SourceError
from monitor.events import Origin, Record
from monitor.source.base import Found
from monitor.source.client import (
    EPOCH,
    appended_at,
    consumer_options,
    milliseconds,
    require_reachable,
    source_error,
)
from monitor.source.fetched import discard_fetched
from monitor.source.settings import KafkaSettings

_SLICE = 0.5
_APART = 1_000
"""Records between two that are wanted which are read over rather than sought over: a fetch brings
as many anyway."""
_DOING = "Reading records again"

Wanted = dict[TopicPartition, list[int]]


class KafkaArchive:
    """A `monitor.source.base.Archive` on kafka-python, which needs the right to read the topics and
    no other. The constructor connects; it raises ``SourceError`` when no broker answers within
    ``connect_timeout``, `find` when nothing comes for ``request_timeout``."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._timeout = milliseconds(settings.request_timeout)
        self._closed = False
        require_reachable(settings)
        try:
            self._consumer = KafkaConsumer(**consumer_options(settings), group_id=None)
        except kafka_errors.KafkaError as error:
            raise source_error(settings, "Connecting to Kafka", error) from error
        try:
            self._consumer.bootstrap(timeout_ms=milliseconds(settings.connect_timeout))
        except kafka_errors.KafkaError as error:
            self.close()
            raise source_error(settings, "Connecting to Kafka", error) from error

    def find(self, places: Collection[Origin]) -> Found:
        """See `monitor.source.base.Archive.find`. Partitions are read one after the other."""
        try:
            wanted, absent = self._known(places)
            bounds = self._bounds(wanted)
            records: dict[Origin, Record] = {}
            expired: dict[Origin, int] = {}
            for partition, offsets in wanted.items():
                start, end = bounds[partition]
                inside = [at for at in offsets if start <= at < end]
                found, start = self._read(partition, inside, start)
                for at in offsets:
                    place = Origin(partition.topic, partition.partition, at)
                    if at in found:
                        records[place] = found[at]
                    elif at < start:
                        expired[place] = start
                    elif at >= end:
                        absent[place] = f"the log ends at {end}; was the topic created anew?"
                    else:
                        absent[place] = "the log has no record there any more; was it compacted?"
        except SourceError:
            raise
        except Exception as error:  # a broken record raises whatever its codec raises
            discard_fetched(self._consumer)
            raise source_error(self._settings, _DOING, error) from error
        return Found(records, expired, absent)

    def close(self) -> None:
        """See `monitor.source.base.Archive.close`."""
        if not self._closed:
            self._closed = True
            self._consumer.close(autocommit=False, timeout_ms=0)

    def _known(self, places: Iterable[Origin]) -> tuple[Wanted, dict[Origin, str]]:
        """Sorted offsets by partition, and what lies in partitions that do not exist. Kafka does
        not tell a topic that is missing from one that may not be read: raises ``SourceError``."""
        of_topic: defaultdict[str, list[Origin]] = defaultdict(list)
        for place in places:
            of_topic[place.topic].append(place)
        wanted: defaultdict[TopicPartition, list[int]] = defaultdict(list)
        absent: dict[Origin, str] = {}
        for topic, mine in of_topic.items():
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise SourceError(
                    f"{_DOING}: there is no topic {topic} at {self._settings.bootstrap_servers}, "
                    "or this user may not read it: check kafka.bootstrap_servers, or give it the "
                    "right to"
                )
            for place in sorted(mine):
                if place.partition in numbers:
                    wanted[TopicPartition(topic, place.partition)].append(place.offset)
                else:
                    absent[place] = (
                        f"the topic has {len(numbers)} partitions now; was it created anew?"
                    )
        return wanted, absent

    def _bounds(
        self, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, tuple[int, int]]:
        if not partitions:
            return {}
        wanted = list(partitions)
        starts = self._consumer.beginning_offsets(wanted, timeout_ms=self._timeout)
        ends = self._consumer.end_offsets(wanted, timeout_ms=self._timeout)
        return {partition: (starts[partition], ends[partition]) for partition in wanted}

    def _read(
        self, partition: TopicPartition, offsets: list[int], start: int
    ) -> tuple[dict[int, Record], int]:
        """The records at these offsets, and where the log begins by now."""
        found: dict[int, Record] = {}
        wanted = set(offsets)
        for first, last in _stretches(offsets):
            self._consumer.assign([partition])
            self._consumer.seek(partition, first)
            try:
                for record in self._until(partition, last):
                    if record.origin.offset in wanted:
                        found[record.origin.offset] = record
            except kafka_errors.OffsetOutOfRangeError:  # deleted since the bounds were asked for
                start = self._bounds([partition])[partition][0]
        return found, start

    def _until(self, partition: TopicPartition, last: int) -> Iterator[Record]:
        """What the log holds from where it was sought to up to an offset. What was compacted, or
        aborted, is passed over."""
        deadline = time.monotonic() + self._settings.request_timeout
        reached = -1
        while reached <= last:
            fetched = self._consumer.poll(milliseconds(_SLICE)).get(partition, ())
            for message in fetched:
                if message.offset <= last:
                    origin = Origin(partition.topic, partition.partition, message.offset)
                    appended = appended_at(message.timestamp) or EPOCH
                    yield Record(origin, message.value, message.key, appended)
            position = self._consumer.position(partition, timeout_ms=0)
            if position is not None and position != reached:
                reached = position
                deadline = time.monotonic() + self._settings.request_timeout
            elif time.monotonic() > deadline:
                raise kafka_errors.KafkaTimeoutError(
                    f"nothing came from {partition.topic}[{partition.partition}] for "
                    f"{self._settings.request_timeout:g} s"
                )


def _stretches(offsets: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of those that lie together. ``offsets`` are sorted."""
    first: int | None = None
    last = 0
    for at in offsets:
        if first is not None and at - last > _APART:
            yield first, last
            first = None
        first, last = at if first is None else first, at
    if first is not None:
        yield first, last
