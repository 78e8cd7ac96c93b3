"""The rhythm of the week: hours shrunk to hours of the day, sums over any stretch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from harness.samples import DAY_BUCKETS, MONDAY

from monitor.detect.season import WEEK_BUCKETS, Course, Seasonality, hour_of_week

FIRST = MONDAY // 300


def learned(per_hour: Sequence[float], days: int) -> Seasonality:
    """A profile learned without decay from the same day again and again."""
    season = Seasonality.unknown(1)
    for i in range(days * DAY_BUCKETS):
        season.learn(hour_of_week(FIRST + i), [int(per_hour[i // 12 % 24])], decay=1.0)
    return season


def factor(season: Seasonality, hours: int) -> float:
    """Of the hour that begins so many hours after a Monday's midnight."""
    return float(season.factors()[0, hour_of_week(FIRST + 12 * hours)])


def test_before_half_a_day_was_seen_every_hour_is_average() -> None:
    assert [1.0] * 168 == Seasonality.unknown(1).factors()[0].tolist()
    assert 1.0 == factor(learned([5.0] * 24, days=0), 3)


def test_a_silent_stream_has_average_hours() -> None:
    assert 1.0 == factor(learned([0.0] * 24, days=3), 0)


def test_a_day_s_rhythm_is_learned() -> None:
    season = learned([0.0] * 12 + [9.0] * 12, days=4)
    assert factor(season, 2) < 0.4 < 1.5 < factor(season, 14)


def test_an_hour_is_shrunk_to_its_hour_of_day_and_that_to_the_mean() -> None:
    per_hour = [0.0] * 24
    per_hour[12] = 48.0
    season = learned(per_hour, days=2)
    mean, seen = 2.0, 12 * 48
    weight = 20 + 24 * mean
    daily = (2 * seen + weight) / (24 * mean + weight)
    this_day = (seen + 2 * weight * daily) / (12 * mean + 2 * weight)
    another = 2 * weight * daily / (2 * weight)
    assert this_day == pytest.approx(factor(season, 12))
    assert another == pytest.approx(factor(season, 12 + 72))


def test_no_hour_is_so_quiet_that_one_document_is_a_burst() -> None:
    assert 0.1 == factor(learned([0.0] * 23 + [1000.0], days=28), 1)


def test_a_steady_stream_learns_factors_of_one() -> None:
    season = learned([7.0] * 24, days=9)
    assert [pytest.approx(1.0)] * 168 == season.factors()[0].tolist()


def test_sums_over_any_stretch_are_those_of_its_buckets() -> None:
    rng = np.random.default_rng(2)
    course = Course(rng.uniform(0.1, 3, (2, 168)))
    for _ in range(30):
        group = rng.integers(0, 2, 1)
        first = rng.integers(FIRST, FIRST + 2 * WEEK_BUCKETS, 1)
        end = int(first[0] + rng.integers(0, 3 * WEEK_BUCKETS))
        walked = sum(float(course.at(group, b)[0]) for b in range(int(first[0]), end))
        assert walked == pytest.approx(float(course.between(group, first, end)[0]))


def test_every_group_has_the_rhythm_that_it_has_alone() -> None:
    rng = np.random.default_rng(4)
    state = rng.gamma(2.0, 300.0, (5, 2, 168))
    state[1, 1] = 0.5  # hardly watched
    state[2, 0] = 0.0  # silent
    alone = [Seasonality(state[i : i + 1].copy()).factors()[0].tolist() for i in range(5)]
    assert alone == Seasonality(state).factors().tolist()
    assert [1.0] * 168 == alone[1] == alone[2] != alone[0]
