"""One contract for every ``TransactionLog``: in memory and on Apache Kafka."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from kafka import KafkaProducer

from monitor.errors import SourceError
from monitor.source.client import client_options, ensure_topics
from monitor.source.dispatch import TransactionLog
from monitor.source.memory import MemoryLog, MemoryTransactions
from monitor.source.settings import KafkaSettings
from monitor.source.transact import KafkaTransactions
from monitor.store.publishing.base import Message


@dataclass
class World:
    """Two fresh topics, and senders by their identity."""

    make: Callable[[str], TransactionLog]
    suffix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    opened: list[TransactionLog] = field(default_factory=list)

    @property
    def topics(self) -> tuple[str, str]:
        return f"news-{self.suffix}", f"comments-{self.suffix}"

    def sender(self, identity: str = "0") -> TransactionLog:
        sender = self.make(f"{identity}-{self.suffix}")
        self.opened.append(sender)
        return sender


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        made = World(lambda identity: MemoryTransactions(log, identity))
        log = MemoryLog(made.topics, 3)
    else:
        settings: KafkaSettings = request.getfixturevalue("real_broker")
        settings = replace(settings, request_timeout=10.0, delivery_timeout=10.0)
        made = World(lambda identity: KafkaTransactions(settings, identity))
        ensure_topics(settings, dict.fromkeys(made.topics, 3))
    yield made
    for sender in made.opened:
        sender.close()


def some(topic: str, *ids: str) -> list[Message]:
    return [Message(topic, name, name.encode()) for name in ids]


def test_what_was_published_is_found_behind_the_ends_that_were_noted(world: World) -> None:
    news, comments = world.topics
    sender = world.sender()
    before = sender.ends({news, comments})
    sender.publish([*some(news, "a", "b", "c", "d"), *some(comments, "a")])
    keys = {(news, "a"), (news, "d"), (news, "e"), (comments, "a"), (comments, "b")}

    expected = {(news, "a"), (news, "d"), (comments, "a")}
    assert expected == sender.found(before, keys)
    assert set() == sender.found(sender.ends({news, comments}), keys)


def test_partitions_that_were_not_noted_are_read_from_their_start(world: World) -> None:
    news, _ = world.topics
    sender = world.sender()
    sender.publish(some(news, "a"))

    assert {(news, "a")} == sender.found({}, {(news, "a")})


def test_every_partition_has_an_end_and_it_grows(world: World) -> None:
    news, _ = world.topics
    sender = world.sender()
    before = sender.ends({news})
    sender.publish(some(news, "a", "b"))
    after = sender.ends({news})

    assert [(news, n) for n in range(3)] == sorted(before) == sorted(after)
    assert {0} == set(before.values())
    assert sum(after.values()) >= 2


def test_a_topic_that_does_not_exist_is_a_fault(world: World) -> None:
    sender = world.sender()
    with pytest.raises(SourceError, match="topic"):
        sender.publish(some("nowhere", "a"))


def test_whoever_comes_later_fences_the_one_before_but_no_other(world: World) -> None:
    news, _ = world.topics
    old, other = world.sender("same"), world.sender("other")
    new = world.sender("same")
    with pytest.raises(SourceError):
        old.publish(some(news, "late"))
    other.publish(some(news, "from another"))
    new.publish(some(news, "a"))

    keys = {(news, "late"), (news, "from another"), (news, "a")}
    assert {(news, "from another"), (news, "a")} == new.found({}, keys)


def test_closing_twice_is_harmless(world: World) -> None:
    sender = world.sender()
    sender.close()
    sender.close()


@pytest.mark.kafka
def test_what_lies_behind_somebody_elses_open_transaction_is_waited_for(
    real_broker: KafkaSettings,
) -> None:
    topic = f"news-{uuid.uuid4().hex[:8]}"
    ensure_topics(real_broker, {topic: 1})
    other = KafkaProducer(**client_options(real_broker), transactional_id=topic)
    other.init_transactions()
    other.begin_transaction()
    other.send(topic, value=b"theirs").get(10)
    sender = KafkaTransactions(real_broker, topic)
    sender.publish(some(topic, "ours"))
    threading.Timer(0.5, other.abort_transaction).start()

    assert {(topic, "ours")} == sender.found({}, {(topic, "ours")})
    sender.close()
    other.close()
