"""Which partitions the Kafka source leaves alone while others have a backlog, and which it seeks
anew."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from monitor.source.kafka import KafkaSource
from monitor.source.unreadable import Unreadable

DONE, BEHIND = (TopicPartition("news", n) for n in (0, 1))


class Client:
    """What the source uses of a consumer: paused partitions, and ends as of the last fetch."""

    def __init__(self) -> None:
        self.paused: set[TopicPartition] = set()
        self.fetched_ends: dict[TopicPartition, int] = {}
        self.sought: list[tuple[TopicPartition, int]] = []
        self._fetcher = SimpleNamespace(
            _next_in_line_exception_metadata=None, _next_partition_records=None
        )

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append((partition, offset))

    def assignment(self) -> set[TopicPartition]:
        return {DONE, BEHIND}

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= set(partitions)

    def highwater(self, partition: TopicPartition) -> int | None:
        return self.fetched_ends.get(partition)

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        assert timeout_ms == 0
        return self.fetched_ends[partition]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def source(client: Client) -> KafkaSource:
    """A source in the middle of its life: nothing of a broker is needed to decide."""
    found = KafkaSource.__new__(KafkaSource)
    state: dict[str, Any] = {
        "_consumer": client,
        "_paused": False,
        "_parked": set(),
        "_positions": {DONE: 5, BEHIND: 5},
        "_ends": {DONE: 5, BEHIND: 900},
        "_flowing": True,
        "_waiting": {},
        "_unreadable": Unreadable(),
    }
    vars(found).update(state)
    return found


def test_what_is_read_to_its_end_is_parked_while_another_has_a_backlog(
    source: KafkaSource, client: Client
) -> None:
    source._park()

    assert {DONE} == client.paused


def test_nothing_is_parked_once_nothing_comes(source: KafkaSource, client: Client) -> None:
    source._park()
    source._flowing = False  # BEHIND's end may be wrong: a log that was cut, say
    source._park()

    assert set() == client.paused


def test_a_position_beyond_the_end_that_is_known_is_at_the_end(
    source: KafkaSource, client: Client
) -> None:
    source._ends[DONE] = 4  # as of a fetch before the last

    source._park()

    assert {DONE} == client.paused


def test_an_end_that_was_asked_for_is_not_forgotten_for_an_older_fetch(
    source: KafkaSource, client: Client
) -> None:
    client.fetched_ends = {DONE: 5}
    source._ends[DONE] = 70  # the brokers say so: records have come while it was parked

    source._advance({})
    source._park()

    assert (70, set()) == (source._ends[DONE], client.paused)


def test_where_nothing_comes_for_long_though_there_is_more_the_position_is_sought_anew(
    source: KafkaSource, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for now in (0.0, 15.0, 29.0):
        source._rouse((), now)
    assert [] == client.sought
    source._rouse((), 30.0)
    source._rouse((), 45.0)
    assert [(BEHIND, 5)] == client.sought
    assert "news/1: nothing comes from offset 5 on though the log goes on to 900" in caplog.text


def test_who_is_paused_or_has_just_been_read_is_not_roused(
    source: KafkaSource, client: Client
) -> None:
    source._rouse((), 0.0)
    source._rouse((BEHIND,), 20.0)
    source._rouse((), 35.0)
    source._paused = True
    source._rouse((), 60.0)
    source._paused = False
    source._rouse((), 89.0)
    assert [] == client.sought


class Broken:
    """What is left of a fetch that could not be unpacked: it takes nothing from it for ever."""

    topic_partition = BEHIND

    def __init__(self) -> None:
        self.drained = False

    def __bool__(self) -> bool:
        return not self.drained

    def drain(self) -> None:
        self.drained = True


@pytest.mark.parametrize(
    "pausing", [KafkaSource._park, lambda source: source.pause(True)], ids=["parked", "paused"]
)
def test_a_failure_behind_records_is_thrown_away_with_its_rest_before_a_partition_is_paused(
    source: KafkaSource, client: Client, pausing: Callable[[KafkaSource], None]
) -> None:
    rest = Broken()
    client._fetcher._next_in_line_exception_metadata = object()
    client._fetcher._next_partition_records = rest
    pausing(source)

    assert DONE in client.paused
    assert rest.drained
    assert client._fetcher._next_in_line_exception_metadata is None


@pytest.mark.parametrize(
    "pausing", [KafkaSource._park, lambda source: source.pause(True)], ids=["parked", "paused"]
)
def test_what_is_whole_is_kept_when_a_partition_is_paused(
    source: KafkaSource, client: Client, pausing: Callable[[KafkaSource], None]
) -> None:
    whole = client._fetcher._next_partition_records = Broken()
    pausing(source)

    assert not whole.drained


def test_what_cannot_be_read_stays_paused_when_all_go_on(
    source: KafkaSource, client: Client
) -> None:
    source._unreadable.hold(BEHIND, 5, ValueError("codec"), 0.0)
    source.pause(True)
    source.pause(False)

    assert {BEHIND} == client.paused


def test_what_cannot_be_read_is_no_backlog_for_which_others_wait(
    source: KafkaSource, client: Client
) -> None:
    source._unreadable.hold(BEHIND, 5, ValueError("codec"), 0.0)
    source._park()

    assert DONE not in client.paused
