"""A partition that can't be read, by the embedded broker's markers: they have no checksum."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

import pytest
from harness.worlds import PATIENCE, EmbeddedWorld, joined, numbered, places, poll_until, read
from kafka.record.default_records import DefaultRecordBatch

from monitor.demo.broker import EmbeddedBroker
from monitor.errors import SourceError
from monitor.events import Origin, Partition, Record
from monitor.source import unreadable
from monitor.source.archive import KafkaArchive
from monitor.source.transact import KafkaTransactions
from monitor.store.publishing.base import Message

pytestmark = pytest.mark.timeout(60)  # a client that never returns is what these are about


@pytest.fixture
def strict(
    embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedWorld]:
    """A world whose readers ask for checksums."""
    monkeypatch.setattr(unreadable, "FIRST_RETRY", 0.2)
    monkeypatch.setattr(unreadable, "LAST_RETRY", 0.2)
    settings = embedded_broker.settings(session_timeout=3.5)
    world = EmbeddedWorld(dataclasses.replace(settings, check_crcs=True))
    yield world
    world.close()


def transact(world: EmbeddedWorld, *ids: str) -> None:
    with closing(KafkaTransactions(world.settings, world.topic)) as sender:
        for name in ids:
            sender.publish([Message(world.topic, name, name.encode())])


def test_what_transactions_wrote_is_read_to_its_end(embedded: EmbeddedWorld) -> None:
    transact(embedded, "a", "b", "a")
    source = embedded.source()
    source.seek(dict.fromkeys(joined(source).assigned, 0))

    assert [b"a", b"a", b"b"] == sorted(record.value or b"" for record in read(source, 3))
    last = poll_until(source, lambda batch: batch.positions == batch.ends)
    assert 6 == sum(last.positions.values())  # a marker behind each
    assert not last.unreadable


def test_a_damaged_partition_waits_for_its_mending_and_the_others_are_read(
    strict: EmbeddedWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = strict.source()
    joined(source)
    transact(strict, "a")
    (first,) = read(source, 1)
    damaged = Partition(strict.topic, first.origin.partition)
    held = poll_until(source, lambda batch: damaged in batch.unreadable)
    strict.publisher().publish(strict.topic, [*numbered(40), (b"a", b"behind")])
    others: list[Record] = []
    for _ in range(PATIENCE):
        batch = source.poll(0.25, 100)
        others += batch.records
        rest = {p: at for p, at in batch.positions.items() if p != damaged}
        if len(others) > 20 and all(batch.ends[p] == at for p, at in rest.items()):
            break

    assert {damaged} == held.unreadable == batch.unreadable
    assert 1 == batch.positions[damaged] < batch.ends[damaged]
    assert damaged.number not in {record.origin.partition for record in others}
    assert f"{damaged.topic}/{damaged.number} can't be read from offset 1 on" in caplog.text

    monkeypatch.setattr(DefaultRecordBatch, "validate_crc", lambda _: True)
    late = read(source, 41 - len(others))

    assert 41 == len(places(others + late))
    assert b"behind" in [record.value for record in late]
    assert not source.poll(0.1, 100).unreadable


def test_a_damaged_partition_is_read_on_from_where_it_is_sought(strict: EmbeddedWorld) -> None:
    source = strict.source()
    joined(source)
    transact(strict, "a")
    read(source, 1)
    (damaged,) = poll_until(source, lambda batch: bool(batch.unreadable)).unreadable
    source.seek({damaged: 0})

    assert [b"a"] == [record.value for record in read(source, 1)]
    assert {damaged} == poll_until(source, lambda batch: bool(batch.unreadable)).unreadable


def test_what_was_given_up_by_deleting_it_is_a_gap_and_reading_goes_on(
    strict: EmbeddedWorld,
) -> None:
    source = strict.source()
    joined(source)
    transact(strict, "a")
    (damaged,) = poll_until(source, lambda batch: bool(batch.unreadable)).unreadable
    strict.lose(damaged, b"a")
    batch = poll_until(source, lambda batch: bool(batch.gaps))

    assert [(damaged, 1)] == [(gap.partition, gap.expected) for gap in batch.gaps]
    assert not batch.unreadable
    assert read(source, 1, limit=1)


def test_an_archive_says_what_is_damaged_as_often_as_it_is_asked(strict: EmbeddedWorld) -> None:
    with closing(KafkaTransactions(strict.settings, strict.topic)) as sender:
        sender.publish([Message(strict.topic, "a", b"a")])
        (number,) = [p.number for p, end in sender.ends({strict.topic}).items() if end]
    marker = Origin(strict.topic, number, 1)
    with closing(KafkaArchive(strict.settings)) as archive:
        for _ in range(2):
            with pytest.raises(SourceError, match=r"offset 1 failed crc check\. .* replica"):
                archive.find([marker])
