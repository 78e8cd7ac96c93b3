"""A position that the client has asked no broker about in vain: it would never be read on from."""

from __future__ import annotations

import pytest
from kafka import TopicPartition

from monitor.demo.broker import EmbeddedBroker
from monitor.events import Record
from monitor.source import kafka
from monitor.source.client import ensure_topics
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher


def test_reading_goes_on_where_the_client_waits_for_a_position_to_be_confirmed(
    embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_STALLED", 1.0)
    settings, name = embedded_broker.settings(group_id="stalled"), "stalled"
    ensure_topics(settings, {name: 1})
    publisher = KafkaPublisher(settings)
    source = KafkaSource(settings, [name])
    read: list[Record] = []

    def on_to(count: int) -> None:
        for _ in range(100):
            batch = source.poll(0.3, 100)
            source.seek(dict.fromkeys(batch.assigned, 0))
            read.extend(batch.records)
            if len(read) >= count:
                return

    publisher.publish(name, [(b"a", b"1")])
    on_to(1)
    partition = TopicPartition(name, read[0].origin.partition)
    # As the client does where a broker answers that it has another epoch.
    source._consumer._subscription.request_position_validation(partition)
    monkeypatch.setattr(source._consumer._fetcher, "validate_offsets_if_needed", lambda **_: None)
    publisher.publish(name, [(b"a", b"2")])
    on_to(2)
    source.close()
    publisher.close()

    assert [b"1", b"2"] == [record.value for record in read]
