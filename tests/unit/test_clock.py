"""Clocks: the machine's, a faster one for replays, and one that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor.clock import Clock, ManualClock, ScaledClock, SystemClock

ORIGIN = datetime(2025, 1, 1, tzinfo=UTC)
WALL = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def test_a_scaled_clock_runs_so_many_times_as_fast() -> None:
    wall = WALL
    clock = ScaledClock(ORIGIN, WALL, 720.0, wall=lambda: wall)
    assert ORIGIN == clock.now()
    wall += timedelta(minutes=2)
    assert ORIGIN + timedelta(days=1) == clock.now()


def test_a_scaled_clock_stands_before_its_origin_while_the_start_is_ahead() -> None:
    clock = ScaledClock(ORIGIN, WALL + timedelta(seconds=10), 60.0, wall=lambda: WALL)
    assert ORIGIN - timedelta(minutes=10) == clock.now()


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_time_does_not_stand_still_or_run_back(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be positive"):
        ScaledClock(ORIGIN, WALL, speed)


def test_a_manual_clock_moves_both_axes_and_only_when_told() -> None:
    clock = ManualClock(ORIGIN)
    assert (ORIGIN, 0.0) == (clock.now(), clock.monotonic())
    clock.advance(1.5)
    assert (ORIGIN + timedelta(seconds=1.5), 1.5) == (clock.now(), clock.monotonic())


@pytest.mark.parametrize("clock", [SystemClock(), ScaledClock(ORIGIN, WALL, 2.0)])
def test_clocks_tell_utc_and_never_go_back(clock: Clock) -> None:
    assert timedelta(0) == clock.now().utcoffset()
    assert clock.now() <= clock.now()
    assert clock.monotonic() <= clock.monotonic()
