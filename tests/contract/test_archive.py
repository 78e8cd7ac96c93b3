"""What is read again, by its place: one contract for every `Archive`."""

from __future__ import annotations

import pytest
from harness.worlds import PARTITIONS, EmbeddedWorld, World, numbered
from kafka import TopicPartition

from monitor.errors import SourceError
from monitor.events import Origin, Partition


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
