"""Brokers with one fresh topic, in memory, embedded and real, and what is read from them."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable
from typing import Protocol

from kafka import KafkaAdminClient, TopicPartition

from monitor.events import Partition, Record
from monitor.source.archive import KafkaArchive
from monitor.source.base import Archive, Batch, Publisher, Source
from monitor.source.client import client_options, ensure_topics
from monitor.source.kafka import KafkaSource
from monitor.source.memory import MemoryArchive, MemoryLog, MemoryPublisher, MemorySource
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings

PARTITIONS = 4
PATIENCE = 120  # polls of 0.25 s: an upper bound for a broker's rebalance, not a pause
Message = tuple[bytes | None, bytes]


class World(Protocol):
    """One broker with one fresh topic."""

    topic: str

    def source(self) -> Source: ...

    def publisher(self) -> Publisher: ...

    def archive(self) -> Archive: ...

    def lose(self, partition: Partition, key: bytes | None = None) -> None:
        """Make retention delete the partition's first records. ``key``: one that goes to it."""
        ...


class MemoryWorld:
    def __init__(self) -> None:
        self.topic = "news"
        self.log = MemoryLog([self.topic], PARTITIONS)

    def source(self) -> Source:
        return MemorySource(self.log, [self.topic])

    def publisher(self) -> Publisher:
        return MemoryPublisher(self.log)

    def archive(self) -> Archive:
        return MemoryArchive(self.log)

    def lose(self, partition: Partition, key: bytes | None = None) -> None:
        self.log.trim(partition, 3)


class KafkaWorld:
    def __init__(self, settings: KafkaSettings) -> None:
        self.topic = f"news-{uuid.uuid4().hex[:8]}"
        self.settings = dataclasses.replace(settings, group_id=f"group-{self.topic}")
        ensure_topics(settings, {self.topic: PARTITIONS})
        self._opened: list[Source | Publisher | Archive] = []

    def source(self) -> KafkaSource:
        source = KafkaSource(self.settings, [self.topic])
        self._opened.append(source)
        return source

    def publisher(self) -> KafkaPublisher:
        publisher = KafkaPublisher(self.settings)
        self._opened.append(publisher)
        return publisher

    def archive(self) -> KafkaArchive:
        archive = KafkaArchive(self.settings)
        self._opened.append(archive)
        return archive

    def close(self) -> None:
        for opened in self._opened:
            opened.close()

    def lose(self, partition: Partition, key: bytes | None = None) -> None:
        raise NotImplementedError


class EmbeddedWorld(KafkaWorld):
    def lose(self, partition: Partition, key: bytes | None = None) -> None:
        # It keeps 5 MiB of a partition, compressed or not, so fill it with noise.
        key = key or key_of(self, partition)
        with_noise = dataclasses.replace(self.settings, compression=None)
        publisher = KafkaPublisher(with_noise)
        publisher.publish(self.topic, ((key, os.urandom(900_000)) for _ in range(8)))
        publisher.close()


class RealWorld(KafkaWorld):
    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(dataclasses.replace(settings, session_timeout=4.0))  # quick heartbeats

    def lose(self, partition: Partition, key: bytes | None = None) -> None:
        admin = KafkaAdminClient(**client_options(self.settings))
        admin.delete_records({TopicPartition(partition.topic, partition.number): 3})
        admin.close()


def poll_until(source: Source, done: Callable[[Batch], bool], limit: int = 1_000) -> Batch:
    """The first batch for which ``done`` holds; records of earlier ones are lost to the caller."""
    for _ in range(PATIENCE):
        batch = source.poll(0.25, limit)
        if done(batch):
            return batch
    raise AssertionError("the source did not come that far")


def joined(source: Source) -> Batch:
    """The batch of the first assignment."""
    return poll_until(source, lambda batch: bool(batch.assigned))


def read(source: Source, count: int, limit: int = 1_000) -> list[Record]:
    """Exactly so many records, in the order in which they came."""
    records: list[Record] = []
    for _ in range(PATIENCE):
        batch = source.poll(0.25, limit)
        assert len(batch.records) <= limit
        records += batch.records
        if len(records) >= count:
            break
    assert count == len(records)
    return records


def numbered(count: int, key: bytes | None = None) -> list[Message]:
    return [(key or str(i).encode(), f"message {i}".encode()) for i in range(count)]


def key_of(world: World, partition: Partition) -> bytes:
    """A key that the world's partitioner sends to this partition (by publishing and looking)."""
    source = world.source()
    before = joined(source).ends
    source.seek(before)
    publisher = world.publisher()
    keys = [f"probe {i}".encode() for i in range(40)]
    publisher.publish(world.topic, [(key, b"probe") for key in keys])
    found = next(
        record.key
        for record in read(source, len(keys))
        if record.origin.partition == partition.number
    )
    source.close()
    publisher.close()
    assert found is not None
    return found


def places(records: list[Record]) -> set[tuple[int, int]]:
    return {(record.origin.partition, record.origin.offset) for record in records}
