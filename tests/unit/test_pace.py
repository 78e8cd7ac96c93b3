"""No period of the rate's length holds more messages than it allows."""

from __future__ import annotations

from datetime import datetime, timedelta

from harness.alerts import NOW
from hypothesis import given
from hypothesis import strategies as st

from monitor.alert.base import Rate
from monitor.alert.pace import Pace


def most(times: list[datetime], seconds: float) -> int:
    """The most messages in any period of this length, both ends not included together."""
    span = timedelta(seconds=seconds)
    return max(sum(1 for t in times if start <= t < start + span) for start in times)


def test_without_a_rate_everything_is_free_at_once() -> None:
    pace = Pace(())
    pace.used(NOW)
    assert pace.free_at(NOW) == NOW


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(5, 20),
)
def test_no_window_holds_more_than_the_rate(
    steps: list[tuple[float, float]], few: int, many: int
) -> None:
    rates = (Rate(few, 1.0), Rate(many, 60.0))
    pace, now = Pace(rates), NOW
    begun: list[datetime] = []
    for pause, took in steps:
        now = pace.free_at(now + timedelta(seconds=pause))
        begun.append(now)
        now += timedelta(seconds=took)
        pace.used(now)
    assert all(most(begun, rate.seconds) <= rate.messages for rate in rates)


def test_a_free_channel_is_not_held_up() -> None:
    pace = Pace((Rate(20, 60.0),))
    for _ in range(20):
        assert pace.free_at(NOW) == NOW
        pace.used(NOW)
    assert pace.free_at(NOW) == NOW + timedelta(seconds=60)
