"""Which partitions are held because they can't be read, and when they are tried again."""

from __future__ import annotations

import zlib

import pytest
from kafka import TopicPartition
from kafka import errors as kafka_errors

from monitor.source.unreadable import FIRST_RETRY, LAST_RETRY, Unreadable, is_unreadable

NEWS = TopicPartition("news", 2)
ERROR = kafka_errors.CorruptRecordError("crc")


def test_one_that_stays_damaged_is_tried_again_ever_more_rarely() -> None:
    held, now, waits = Unreadable(), 100.0, []
    for _ in range(9):
        held.hold(NEWS, 7, ERROR, now)
        assert set() == held.due(now)
        begin = now
        while not held.due(now):
            now += 0.5
        waits.append(now - begin)

    assert [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY] == waits[:3]
    assert [LAST_RETRY, LAST_RETRY] == waits[-2:]


def test_it_counts_as_unreadable_while_it_is_tried_but_is_not_paused() -> None:
    held = Unreadable()
    held.hold(NEWS, 7, ERROR, 0.0)
    assert {NEWS} == held.paused == held.partitions
    assert {NEWS} == held.due(FIRST_RETRY)
    assert set() == held.due(FIRST_RETRY)

    assert set() == held.paused
    assert set() == held.settle({NEWS: 7})
    assert {NEWS} == held.partitions


@pytest.mark.parametrize("positions", [{NEWS: 8}, {NEWS: 3}])
def test_one_that_stands_elsewhere_is_let_go_and_resumed(
    positions: dict[TopicPartition, int],
) -> None:
    held = Unreadable()
    held.hold(NEWS, 7, ERROR, 0.0)

    assert {NEWS} == held.settle(positions)
    assert set() == held.partitions


def test_one_that_is_somebody_elses_is_forgotten() -> None:
    held = Unreadable()
    held.hold(NEWS, 7, ERROR, 0.0)

    assert set() == held.settle({})
    assert set() == held.partitions


def test_the_log_names_the_place_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    Unreadable().hold(NEWS, 7, ERROR, 0.0)

    (record,) = caplog.records
    assert "ERROR" == record.levelname
    for said in ("news/2", "offset 7", "CorruptRecordError", "replica", "kafka-delete-records"):
        assert said in record.getMessage()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ERROR, True),
        (kafka_errors.UnsupportedCodecError("zstd"), True),
        (zlib.error("incorrect header check"), True),
        (kafka_errors.GroupAuthorizationFailedError(), False),
        (kafka_errors.KafkaTimeoutError(), False),
    ],
)
def test_what_a_broker_refuses_is_no_damage(error: Exception, expected: bool) -> None:
    assert expected is is_unreadable(error)
