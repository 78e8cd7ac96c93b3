"""What only Kafka can do: codecs, transactions, groups, and errors in words."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from harness.worlds import (
    PARTITIONS,
    EmbeddedWorld,
    RealWorld,
    joined,
    numbered,
    places,
    poll_until,
    read,
)
from kafka import KafkaProducer, TopicPartition

from monitor.errors import SourceError
from monitor.events import Partition
from monitor.source.archive import KafkaArchive
from monitor.source.client import client_options
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings


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
