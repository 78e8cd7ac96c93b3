"""One contract for every `Source`, `Publisher` and `Archive`: in memory, embedded broker, Apache
Kafka."""

from __future__ import annotations

import dataclasses
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from monitor.demo.broker import EmbeddedBroker
from monitor.errors import SourceError
from monitor.events import Gap, Origin, Partition, Record
from monitor.source.archive import KafkaArchive
from monitor.source.base import Archive, Batch, Publisher, Source
from monitor.source.client import client_options, ensure_topics
from monitor.source.kafka import KafkaSource
from monitor.source.memory import (
    Fail,
    MemoryArchive,
    MemoryLog,
    MemoryPublisher,
    MemorySource,
    Read,
    Rebalance,
    Step,
    Trim,
)
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


@pytest.fixture(
    params=["memory", "embedded", pytest.param("real", marks=pytest.mark.kafka)],
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    made: KafkaWorld
    if request.param == "embedded":
        broker: EmbeddedBroker = request.getfixturevalue("embedded_broker")
        made = EmbeddedWorld(broker.settings(session_timeout=3.5))
    else:
        made = RealWorld(request.getfixturevalue("real_broker"))
    try:
        yield made
    finally:
        made.close()


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


def test_the_first_assignment_brings_every_partition_at_the_start_of_its_log(world: World) -> None:
    world.publisher().publish(world.topic, numbered(20))
    partitions = {Partition(world.topic, number) for number in range(PARTITIONS)}

    batch = joined(world.source())

    assert batch.assigned == partitions
    assert batch.revoked == frozenset()
    assert batch.positions == dict.fromkeys(partitions, 0)
    assert sum(batch.ends.values()) == 20
    assert not batch.records


def test_everything_published_is_read_once_and_byte_for_byte(world: World) -> None:
    messages: list[Message] = [
        (b"empty", b""),
        (b"binary \x00\xff", bytes(range(256))),
        ("Schlüssel".encode(), "naïve ¥ 金融 🏦 \u2028".encode()),
        (None, b"without a key"),
        (b"large", b"x" * 300_000),
        *numbered(200),
    ]
    world.publisher().publish(world.topic, messages)
    source = world.source()
    joined(source)

    records = read(source, len(messages))

    assert sorted(messages, key=repr) == sorted(
        ((record.key, record.value) for record in records), key=repr
    )
    assert len(places(records)) == len(messages)
    assert {world.topic} == {record.origin.topic for record in records}


def test_records_of_a_partition_come_in_the_order_of_their_offsets(world: World) -> None:
    world.publisher().publish(world.topic, numbered(100, key=b"one"))
    source = world.source()
    joined(source)

    records = read(source, 100, limit=7)

    assert [value for _, value in numbered(100)] == [record.value for record in records]
    assert list(range(100)) == [record.origin.offset for record in records]


def test_positions_follow_what_was_delivered_and_reach_the_ends(world: World) -> None:
    world.publisher().publish(world.topic, numbered(50))
    source = world.source()
    joined(source)
    seen: dict[int, int] = {}

    for _ in range(PATIENCE):
        batch = source.poll(0.25, 9)
        for record in batch.records:
            seen[record.origin.partition] = record.origin.offset + 1
        delivered = {Partition(world.topic, number): at for number, at in seen.items()}
        assert delivered == {p: at for p, at in batch.positions.items() if at}
        if sum(seen.values()) == 50:
            break

    assert batch.positions == batch.ends


def test_a_seek_reads_again_from_there(world: World) -> None:
    world.publisher().publish(world.topic, numbered(30, key=b"one"))
    source = world.source()
    joined(source)
    (number,) = {record.origin.partition for record in read(source, 30)}

    source.seek({Partition(world.topic, number): 25, Partition("elsewhere", 9): 3})

    assert [25, 26, 27, 28, 29] == [record.origin.offset for record in read(source, 5)]


def test_a_restart_goes_on_from_the_stored_offsets_whatever_was_committed(world: World) -> None:
    publisher = world.publisher()
    publisher.publish(world.topic, numbered(40))
    first = world.source()
    joined(first)
    batch = poll_until(first, lambda batch: len(batch.records) > 0, limit=10)
    stored, before = dict(batch.positions), list(batch.records)
    first.commit(dict(batch.ends))  # misleading on purpose: it is for lag tools only
    poll_until(first, lambda batch: batch.positions == batch.ends)
    first.close()
    publisher.publish(world.topic, numbered(5))

    second = world.source()
    joined(second)
    second.seek(stored)
    after = read(second, 45 - len(before))

    assert places(before).isdisjoint(places(after))
    assert len(places(before + after)) == 45


def test_a_paused_source_brings_nothing_and_loses_nothing(world: World) -> None:
    publisher = world.publisher()
    publisher.publish(world.topic, numbered(60))
    source = world.source()
    source.pause(True)
    joined(source)

    paused = [source.poll(0.1, 10) for _ in range(5)]
    source.pause(False)
    some = list(poll_until(source, lambda batch: len(batch.records) > 0, limit=5).records)
    source.pause(True)
    publisher.publish(world.topic, numbered(10))
    paused += [source.poll(0.1, 10) for _ in range(5)]
    source.pause(False)
    rest = read(source, 70 - len(some))

    assert [0] * 10 == [len(batch.records) for batch in paused]
    assert all(batch.positions for batch in paused)
    assert len(places(some + rest)) == 70


def test_what_comes_into_a_finished_partition_during_anothers_backlog_is_read_too(
    world: World,
) -> None:
    publisher = world.publisher()
    publisher.publish(world.topic, numbered(300, key=b"one"))
    source = world.source()
    joined(source)
    records = read(source, 40, limit=10)

    publisher.publish(world.topic, numbered(40))
    records += read(source, 300, limit=100)

    assert len(places(records)) == 340
    assert {record.origin.partition for record in records} == set(range(PARTITIONS))


def test_what_retention_deleted_is_reported_as_a_gap_and_reading_goes_on(world: World) -> None:
    world.publisher().publish(world.topic, numbered(30, key=b"one"))
    source = world.source()
    joined(source)
    number = read(source, 30)[0].origin.partition
    partition = Partition(world.topic, number)
    source.close()
    world.lose(partition)

    again = world.source()
    ends = joined(again).ends
    again.seek({**ends, partition: 1})
    (gap,) = poll_until(again, lambda batch: bool(batch.gaps)).gaps
    batch = poll_until(again, lambda batch: len(batch.records) > 0)

    assert (partition, 1) == (gap.partition, gap.expected)
    assert gap.resumed > 1
    assert gap.resumed == batch.records[0].origin.offset


def test_an_offset_beyond_the_end_is_a_recreated_topic_and_starts_over(world: World) -> None:
    world.publisher().publish(world.topic, numbered(10, key=b"one"))
    source = world.source()
    ends = joined(source).ends
    partition = max(ends, key=lambda p: ends[p])

    source.seek({partition: 4_000})
    batch = poll_until(source, lambda batch: bool(batch.gaps))

    assert [Gap(partition, expected=4_000, resumed=0)] == list(batch.gaps)
    assert batch.positions[partition] == 0
    assert len(read(source, 10)) == 10


def test_closing_twice_is_harmless_and_a_closed_publisher_says_so(world: World) -> None:
    source, publisher = world.source(), world.publisher()
    joined(source)
    for _ in range(2):
        source.close()
        publisher.close()

    with pytest.raises(SourceError, match="closed"):
        publisher.publish(world.topic, numbered(1))


# What only Kafka can do.


@pytest.fixture
def embedded(embedded_broker: EmbeddedBroker) -> Iterator[EmbeddedWorld]:
    world = EmbeddedWorld(embedded_broker.settings(session_timeout=3.5))
    yield world
    world.close()


@pytest.fixture
def real(real_broker: KafkaSettings) -> Iterator[RealWorld]:
    world = RealWorld(real_broker)
    yield world
    world.close()


def test_after_a_broken_poll_every_partition_is_where_it_was(
    embedded: EmbeddedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.publisher().publish(embedded.topic, numbered(20))
    source = embedded.source()
    joined(source)
    before = read(source, 8, limit=8)
    consumer: Any = source._consumer
    intact = consumer.poll

    def broken(*args: Any, **kwargs: Any) -> Mapping[TopicPartition, list[Any]]:
        intact(*args, **kwargs)  # what it fetched is lost with the exception
        raise ZeroDivisionError("a codec that gave up")

    with monkeypatch.context() as patch:
        patch.setattr(consumer, "poll", broken)
        with pytest.raises(SourceError, match="a codec that gave up"):
            source.poll(1.0, 100)

    assert len(places(before + read(source, 12))) == 20


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.kafka
def test_every_codec_is_read(real: RealWorld, codec: str | None) -> None:
    publisher = KafkaPublisher(dataclasses.replace(real.settings, compression=codec))
    publisher.publish(real.topic, numbered(50))
    publisher.close()
    source = real.source()
    joined(source)

    assert len(read(source, 50)) == 50


@pytest.mark.kafka
def test_positions_pass_the_markers_of_transactions_and_aborted_records_are_skipped(
    real: RealWorld,
) -> None:
    producer = KafkaProducer(**client_options(real.settings), transactional_id=real.topic)
    producer.init_transactions()
    for value, end in (
        (b"kept", producer.commit_transaction),
        (b"dropped", producer.abort_transaction),
    ):
        producer.begin_transaction()
        producer.send(real.topic, value=value, partition=0).get(10)  # an abort drops the unsent
        end()
    producer.close()
    source = real.source()
    joined(source)

    zero = Partition(real.topic, 0)
    (record,) = read(source, 1)
    # Two records and two markers; the broker writes the last marker after it has answered.
    batch = poll_until(source, lambda batch: batch.positions[zero] == 4)

    assert record.value == b"kept"
    assert not batch.records
    assert batch.positions == batch.ends


@pytest.mark.kafka
def test_a_second_member_takes_half_and_gives_it_back(real: RealWorld) -> None:
    everything = {Partition(real.topic, number) for number in range(PARTITIONS)}
    first, second = real.source(), real.source()
    first.pause(True)
    joined(first)
    leaves = threading.Event()
    given: set[Partition] = set()

    def visit() -> None:
        while not leaves.is_set():
            given.update(second.poll(0.1, 100).assigned)
        second.close()

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        taken = poll_until(first, lambda batch: bool(batch.revoked)).revoked
        poll_until(first, lambda _: len(given) == 2)
    finally:
        leaves.set()
    back = poll_until(first, lambda batch: bool(batch.assigned))
    visitor.join()
    real.publisher().publish(real.topic, numbered(40))
    idle = [first.poll(0.1, 100) for _ in range(3)]
    first.pause(False)

    assert 2 == len(taken)
    assert taken == given == back.assigned
    assert everything == back.positions.keys()
    assert [0, 0, 0] == [len(batch.records) for batch in idle]  # paused: the new ones are too
    assert len(places(read(first, 40))) == 40


@pytest.mark.kafka
def test_a_topic_that_does_not_exist_is_an_error_in_words(real: RealWorld) -> None:
    impatient = dataclasses.replace(real.settings, delivery_timeout=1.0)
    publisher = KafkaPublisher(impatient)

    with pytest.raises(SourceError, match="Publishing to no-such-topic at 127"):
        publisher.publish("no-such-topic", numbered(1))
    publisher.publish(real.topic, numbered(1))  # and the publisher has recovered
    publisher.close()


@pytest.mark.kafka
def test_a_source_for_a_missing_topic_says_which(real: RealWorld) -> None:
    with pytest.raises(SourceError, match="topics no-such-topic do not exist at 127"):
        KafkaSource(real.settings, [real.topic, "no-such-topic"])


def test_a_message_above_the_limit_is_an_error_that_names_the_setting(
    embedded: EmbeddedWorld,
) -> None:
    with pytest.raises(SourceError, match=r"kafka\.max_message_bytes"):
        embedded.publisher().publish(embedded.topic, [(b"k", b"x" * 2_000_000)])


@pytest.mark.parametrize(
    "connect", [KafkaPublisher, KafkaArchive, lambda s: KafkaSource(s, ["news"])]
)
def test_an_unreachable_broker_is_named_with_what_to_do(
    connect: Callable[[KafkaSettings], object],
) -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:9", connect_timeout=0.01)

    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9 .*refused.*make kafka"):
        connect(settings)


# What is read again, by its place.


def where_it_lies(world: World, count: int) -> Partition:
    """Publish so many numbered messages; the partition that holds them."""
    world.publisher().publish(world.topic, numbered(count, key=b"one"))
    starts = [Origin(world.topic, number, 0) for number in range(PARTITIONS)]
    (first,) = world.archive().find(starts).records
    return Partition(first.topic, first.partition)


def test_records_are_found_by_their_places_near_and_far(world: World) -> None:
    number = where_it_lies(world, 2_500).number
    wanted = [0, 1, 7, 1_300, 2_499]

    found = world.archive().find([Origin(world.topic, number, at) for at in wanted])

    assert [f"message {at}".encode() for at in wanted] == [
        found.records[Origin(world.topic, number, at)].value for at in wanted
    ]
    assert {b"one"} == {record.key for record in found.records.values()}
    assert not found.expired and not found.absent


def test_what_retention_deleted_is_told_from_what_never_was_there(world: World) -> None:
    partition = where_it_lies(world, 30)
    world.lose(partition, b"one")
    first, behind, nowhere = (
        Origin(world.topic, number, at)
        for number, at in ((partition.number, 0), (partition.number, 10**6), (17, 0))
    )

    archive = world.archive()
    found = archive.find([first, behind, nowhere])

    assert {first} == found.expired.keys()
    assert {behind, nowhere} == found.absent.keys()
    assert not found.records
    begin = first._replace(offset=found.expired[first])
    assert 0 < begin.offset
    assert {begin} == archive.find([first, begin]).records.keys()


def test_what_retention_deletes_while_it_is_looked_for_is_gone_for_its_age(
    embedded: EmbeddedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = where_it_lies(embedded, 30)
    archive = embedded.archive()
    asked = archive._bounds
    before = asked([TopicPartition(*partition)])
    embedded.lose(partition, b"one")
    answers = iter([before])
    monkeypatch.setattr(archive, "_bounds", lambda of: next(answers, None) or asked(of))
    first = Origin(*partition, 0)

    assert {first} == archive.find([first]).expired.keys()
    assert {first} == archive.find([first]).expired.keys()


def test_records_of_a_topic_that_is_not_there_cannot_be_looked_for(world: World) -> None:
    with pytest.raises(SourceError, match="there is no topic elsewhere"):
        world.archive().find([Origin("elsewhere", 0, 0)])


# What only the source in memory can do: follow a script.


def test_a_script_fails_rebalances_and_trims_in_its_order() -> None:
    log = MemoryLog(["news"], 2)
    zero, one = sorted(log.partitions({"news"}))
    for number in range(6):
        log.append("news", None, str(number).encode(), number % 2)
    script: list[Step] = [
        Read(2),
        Fail(SourceError("lost")),
        Trim(zero, 3),
        Rebalance(frozenset({one})),
    ]
    source = MemorySource(log, ["news"], script)

    assert source.poll(0, 10).assigned == {zero, one}
    assert len(source.poll(0, 10).records) == 2
    with pytest.raises(SourceError, match="lost"):
        source.poll(0, 10)
    with pytest.raises(SourceError, match="seek"):
        source.poll(0, 10)
    source.seek({zero: 2, one: 3})
    assert source.poll(0, 10).gaps == [Gap(zero, 2, 3)]
    last = source.poll(0, 10)
    assert last.revoked == {one}
    assert last.positions == {zero: 3}


def test_a_scripted_publisher_fails_once_and_then_writes() -> None:
    log = MemoryLog(["alerts"], 1)
    publisher = MemoryPublisher(log, [SourceError("broker away"), None])

    with pytest.raises(SourceError, match="broker away"):
        publisher.publish("alerts", numbered(2))
    publisher.publish("alerts", numbered(2))

    assert [b"message 0", b"message 1"] == [record.value for record in log.records("alerts")]
    with pytest.raises(SourceError, match="no topic"):
        publisher.publish("elsewhere", numbered(1))
