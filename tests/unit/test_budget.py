"""The budget: never more is granted than there is, and nobody is drowned."""

from __future__ import annotations

import numpy as np
import pytest
from harness.samples import DAY_BUCKETS
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect.budget import census, classes, grants

keys = st.lists(st.tuples(st.booleans(), st.floats(0, 288), st.booleans()), min_size=1, max_size=60)


def granted(*who: tuple[bool, float, bool], daily: float = 1.0) -> list[float]:
    """What (named, updates a day, counted) get in one bucket, in days' worth of it."""
    named, activity, counted = (np.array(column) for column in zip(*who, strict=True))
    group = classes(named, activity.astype(float))
    found = grants(daily, group, counted, census(group, counted)) * DAY_BUCKETS
    return [float(g) for g in found]


@given(keys, st.floats(0.01, 100))
def test_in_no_bucket_more_is_granted_than_its_part_of_the_day(
    who: list[tuple[bool, float, bool]], daily: float
) -> None:
    found = granted(*who, daily=daily)
    there = any(counted for _, _, counted in who)
    assert sum(found) == pytest.approx(daily if there else 0.0)
    assert all((g > 0) == counted for g, (_, _, counted) in zip(found, who, strict=True))


def test_half_is_for_the_keys_that_everything_counts_for() -> None:
    found = granted((False, 288, True), (False, 288, True), *[(True, 2.0, True)] * 10)
    assert [0.25, 0.25] == found[:2]
    assert [0.05] * 10 == pytest.approx(found[2:])


def test_a_thousand_names_that_hardly_speak_do_not_drown_a_busy_one() -> None:
    found = granted((False, 288, True), (True, 200.0, True), *[(True, 0.5, True)] * 1000)
    assert 0.25 == pytest.approx(found[1])
    assert 0.25 / 1000 == pytest.approx(found[2])


def test_where_nobody_is_named_the_others_have_all_of_it() -> None:
    assert [0.5, 0.5] == granted((False, 288, True), (False, 12, True))
    assert [1.0, 0.0] == granted((True, 288, True), (False, 12, False))
