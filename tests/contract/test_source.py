"""One contract for every `Source` and `Publisher`: in memory, embedded broker, Apache Kafka."""

from __future__ import annotations

import pytest
from harness.worlds import (
    PARTITIONS,
    PATIENCE,
    Message,
    World,
    joined,
    numbered,
    places,
    poll_until,
    read,
)

from monitor.errors import SourceError
from monitor.events import Gap, Partition
from monitor.source.memory import (
    Fail,
    MemoryLog,
    MemoryPublisher,
    MemorySource,
    Read,
    Rebalance,
    Step,
    Trim,
)


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


@pytest.mark.parametrize("limit", [1, 5])
def test_what_was_read_to_its_end_just_as_the_limit_was_reached_is_read_on_later(
    world: World, limit: int
) -> None:
    publisher = world.publisher()
    publisher.publish(world.topic, numbered(40))
    source = world.source()
    joined(source)
    records = read(source, 40, limit=limit)
    publisher.publish(world.topic, numbered(40))
    records += read(source, 40, limit=limit)

    assert len(places(records)) == 80


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
