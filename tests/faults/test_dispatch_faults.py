"""Exactly once into a real Apache Kafka: the sender is killed at every step, and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness import dispatching
from kafka import KafkaConsumer, TopicPartition

from monitor.errors import SourceError
from monitor.source.client import client_options, ensure_topics
from monitor.source.settings import KafkaSettings
from monitor.source.transact import KafkaTransactions
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.publishing.base import Message
from monitor.store.publishing.sql import SqlLane, SqlPublishing

pytestmark = pytest.mark.kafka

T0 = datetime(2026, 3, 2, tzinfo=UTC)
IDS = [f"id-{number}" for number in range(10)]


class World:
    """A topic of its own, and a database with messages for it."""

    def __init__(self, settings: KafkaSettings, folder: Path) -> None:
        self.settings = settings
        self.topic = f"news-{uuid.uuid4().hex[:8]}"
        self.url = f"sqlite:///{folder / 'monitor.db'}"
        ensure_topics(settings, {self.topic: 3})
        migrate(self.url)
        engine = open_engine(self.url)
        messages = [Message(self.topic, name, name.encode()) for name in IDS]
        SqlPublishing(engine, SqlLane(engine, "feeds")).add(messages, T0)
        engine.dispose()

    def send(self, step: str = "never") -> int:
        """Run a sender in a process of its own; its exit status."""
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [
                sys.executable,
                dispatching.__file__,
                self.url,
                self.settings.bootstrap_servers,
                step,
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), *sys.path))},
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, dispatching.DIED), done.stderr
        return done.returncode

    def committed(self) -> list[str]:
        """The keys of the topic, as the daemon reads it."""
        consumer = KafkaConsumer(
            **client_options(self.settings), isolation_level="read_committed", group_id=None
        )
        try:
            places = [TopicPartition(self.topic, number) for number in range(3)]
            consumer.assign(places)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(places)
            keys: list[str] = []
            while any(consumer.position(place) < ends[place] for place in places):
                for records in consumer.poll(timeout_ms=500).values():
                    keys += [record.key.decode() for record in records]
            return sorted(keys)
        finally:
            consumer.close()


@pytest.fixture
def world(real_broker: KafkaSettings, tmp_path: Path) -> World:
    return World(real_broker, tmp_path)


@pytest.mark.parametrize("step", [step for step in dispatching.STEPS if step != "found"])
def test_a_sender_killed_at_any_step_leaves_each_message_written_once(
    world: World, step: str
) -> None:
    assert dispatching.DIED == world.send(step)
    assert 0 == world.send()

    assert sorted(IDS) == world.committed()


@pytest.mark.parametrize("first", ["open", "committed"])
def test_killed_again_while_it_finds_out_each_message_is_written_once(
    world: World, first: str
) -> None:
    for step in (first, "found", "committed"):
        assert dispatching.DIED == world.send(step)
    assert 0 == world.send()

    assert sorted(IDS) == world.committed()


def test_a_fenced_producer_cannot_write_late(real_broker: KafkaSettings) -> None:
    topic, identity = f"news-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex[:16]
    ensure_topics(real_broker, {topic: 1})
    old = KafkaTransactions(real_broker, identity)
    new = KafkaTransactions(real_broker, identity)
    begin = new.ends({topic})

    with pytest.raises(SourceError):
        old.publish([Message(topic, "late", b"1")])
    new.publish([Message(topic, "once", b"1")])

    keys = {(topic, "late"), (topic, "once"), (topic, "never")}
    assert {(topic, "once")} == new.found(begin, keys)
    assert set() == new.found(new.ends({topic}), keys)
    old.close()
    new.close()
