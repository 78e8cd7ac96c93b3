"""Quiet hours and the hours of digests: over midnight, and in the nights that change the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alert.hours import DigestHours, QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.integers(0, 10 * 365 * 24 * 60).map(
    lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
NIGHT = QuietHours(time(22), time(7), BERLIN)


def berlin(day: int, hour: int, minute: int = 0, month: int = 5) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        (berlin(4, 21, 59), None),
        (berlin(4, 22), berlin(5, 7)),
        (berlin(5, 0), berlin(5, 7)),
        (berlin(5, 6, 59), berlin(5, 7)),
        (berlin(5, 7), None),
        (berlin(5, 12), None),
    ],
)
def test_a_night_goes_over_midnight(moment: datetime, until: datetime | None) -> None:
    assert NIGHT.until(moment) == until


def test_hours_of_one_day() -> None:
    noon = QuietHours(time(12), time(13, 30), BERLIN)
    assert noon.until(berlin(4, 12, 30)) == berlin(4, 13, 30)
    assert noon.until(berlin(4, 13, 30)) is None
    assert noon.until(berlin(4, 3)) is None


@given(MOMENTS, st.times())
def test_the_same_start_and_end_are_no_quiet_hours(moment: datetime, at: time) -> None:
    assert QuietHours(at, at, BERLIN).until(moment) is None


def test_the_night_in_which_the_clocks_go_forward_is_an_hour_shorter() -> None:
    start, end = berlin(28, 22, month=3), berlin(29, 7, month=3)
    assert end - start == timedelta(hours=8)
    assert NIGHT.until(start) == end
    assert NIGHT.until(end - timedelta(seconds=1)) == end
    assert NIGHT.until(end) is None


def test_the_night_in_which_the_clocks_go_back_is_an_hour_longer() -> None:
    start, end = berlin(24, 22, month=10), berlin(25, 7, month=10)
    assert end - start == timedelta(hours=10)
    assert NIGHT.until(start) == end
    assert NIGHT.until(end - timedelta(seconds=1)) == end
    assert NIGHT.until(end) is None


def test_an_end_that_the_clock_skips_comes_an_hour_later_on_the_wall() -> None:
    skipped = QuietHours(time(22), time(2, 30), BERLIN)  # on 29 March there is no 02:30
    assert skipped.until(berlin(28, 23, month=3)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@given(MOMENTS, st.times(), st.times())
def test_quiet_hours_end_later_than_now_and_within_a_day_and_an_hour(
    moment: datetime, start: time, end: time
) -> None:
    until = QuietHours(start, end, BERLIN).until(moment)
    if until is not None:
        assert moment < until <= moment + timedelta(hours=25)
        assert QuietHours(start, end, BERLIN).until(until) is None


def test_a_digest_comes_at_the_next_of_its_times() -> None:
    digest = DigestHours((time(17), time(8)), BERLIN)
    assert digest.after(berlin(4, 7)) == berlin(4, 8)
    assert digest.after(berlin(4, 8)) == berlin(4, 17)
    assert digest.after(berlin(4, 23)) == berlin(5, 8)
