from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from monitor.alert.retry import (
    DELAYS,
    LIFETIME,
    after_attempt,
    judge,
    next_delay,
)
from monitor.dial import parse_retry_after
from monitor.errors import DeliveryError
from monitor.store.base import Notification, NotificationStatus

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HALF = 0.5  # the middle of the jitter


def test_the_delays_grow_to_four_hours_and_end_within_a_day() -> None:
    age = timedelta(0)
    delays: list[float] = []
    while (delay := next_delay(len(delays) + 1, age, None, lambda: HALF)) is not None:
        delays.append(delay)
        age += timedelta(seconds=delay)
    assert delays == [5, 30, 120, 600, 1800, 3600, 7200, 14400, 14400, 14400, 14400, 14400]
    assert age <= LIFETIME < age + timedelta(seconds=14400)


@pytest.mark.parametrize(("random", "factor"), [(0.0, 0.8), (0.25, 0.9), (0.999999999, 1.2)])
def test_the_jitter_is_a_fifth_on_either_side(random: float, factor: float) -> None:
    for failures, delay in enumerate(DELAYS, start=1):
        got = next_delay(failures, timedelta(0), None, lambda: random)
        assert got == pytest.approx(factor * delay)


def test_retry_after_lengthens_a_delay_and_never_shortens_it() -> None:
    assert next_delay(1, timedelta(0), 60.0, lambda: HALF) == 60.0
    assert next_delay(2, timedelta(0), 1.0, lambda: HALF) == 30.0


def test_a_retry_after_of_years_is_cut_to_the_longest_step() -> None:
    assert next_delay(1, timedelta(0), math.inf, lambda: HALF) == DELAYS[-1]


def test_an_attempt_that_would_come_after_a_day_is_not_made() -> None:
    assert next_delay(1, LIFETIME - timedelta(seconds=5), None, lambda: HALF) == 5.0
    assert next_delay(1, LIFETIME - timedelta(seconds=4), None, lambda: HALF) is None


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(status: int) -> None:
    assert judge(status, None, NOW) is None


@pytest.mark.parametrize(
    ("status", "retryable", "gone"),
    [
        (301, False, False),
        (307, False, False),
        (400, False, False),
        (401, False, False),
        (404, False, False),
        (408, True, False),
        (410, False, True),
        (422, False, False),
        (425, True, False),
        (429, True, False),
        (500, True, False),
        (503, True, False),
        (599, True, False),
        (600, False, False),
        (199, False, False),
    ],
)
def test_every_other_status_says_whether_a_retry_can_help(
    status: int, retryable: bool, gone: bool
) -> None:
    error = judge(status, None, NOW)
    assert error is not None
    assert (error.retryable, error.gone) == (retryable, gone)
    assert str(status) in str(error)


def test_what_the_receiver_says_fits_one_line_of_a_log() -> None:
    error = judge(400, None, NOW, "bad\n\x1b[31mthing\r\n" + "x" * 5000)
    assert str(error).startswith("the receiver refused with 400: bad ?[31mthing xxx")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 5000, math.inf),
        ("Tue, 10 Mar 2026 12:00:30 GMT", 30.0),
        ("Tue, 10 Mar 2026 13:00:30 +0100", 30.0),
        ("Tue, 10 Mar 2026 12:00:30 -0000", 30.0),
        ("Tue, 10 Mar 2026 11:00:00 GMT", 0.0),
        ("Tue, 99 Mar 2026 11:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(header, NOW) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_the_error_carries_retry_after(status: int) -> None:
    error = judge(status, "7", NOW)
    assert error is not None
    assert error.retry_after == 7.0


def _notification() -> Notification:
    return Notification("m", "ops", "all", b"{}", NOW, NOW)


def test_a_delivered_notification_is_done() -> None:
    after = after_attempt(_notification(), None, NOW, lambda: HALF)
    assert (after.status, after.attempts) == (NotificationStatus.DELIVERED, 1)
    assert (after.delivered_at, after.last_error) == (NOW, None)


def test_a_failed_notification_keeps_id_and_body_and_waits() -> None:
    fault = DeliveryError("down", retryable=True)
    after = after_attempt(_notification(), fault, NOW, lambda: HALF)
    assert (after.id, after.body) == ("m", b"{}")
    assert (after.status, after.attempts) == (NotificationStatus.PENDING, 1)
    assert (after.next_attempt_at, after.last_error) == (NOW + timedelta(seconds=5), "down")


def test_a_final_refusal_or_a_day_of_failures_is_a_dead_letter() -> None:
    refused = after_attempt(
        _notification(), DeliveryError("no", retryable=False), NOW, lambda: HALF
    )
    late = after_attempt(
        _notification(), DeliveryError("down", retryable=True), NOW + LIFETIME, lambda: HALF
    )
    assert [refused.status, late.status] == [NotificationStatus.DEAD] * 2
