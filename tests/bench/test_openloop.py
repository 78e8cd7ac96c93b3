"""Arrivals that do not wait for the scorer, and the percentiles of their latencies."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.bench.contestant import BenchError
from monitor.bench.openloop import arrivals, offer, percentile, run, summarise


class Time:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_arrivals_are_a_poisson_process_of_the_rate_asked_for() -> None:
    moments = arrivals(50.0, 20_000, seed=7)
    gaps = np.diff([0.0, *moments])
    assert (gaps > 0).all()
    # An exponential gap has the mean 1/rate and as much deviation.
    assert pytest.approx(0.02, rel=0.03) == gaps.mean()
    assert pytest.approx(0.02, rel=0.03) == gaps.std()
    # Counts of whole seconds vary as much as they are large.
    counts = np.bincount(np.array(moments, int))[:-1]
    assert 0.8 < counts.var() / counts.mean() < 1.25


def test_arrivals_come_from_their_seed() -> None:
    assert arrivals(5.0, 50, seed=7) == arrivals(5.0, 50, seed=7)
    assert arrivals(5.0, 50, seed=7) != arrivals(5.0, 50, seed=8)


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        arrivals(0.0, 5, seed=7)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.5, 20.0),
        (0.51, 30.0),
        (0.75, 30.0),
        (0.76, 40.0),
        (0.99, 40.0),
        (1.0, 40.0),
        (0.01, 10.0),
    ],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    share: float, expected: float
) -> None:
    assert expected == percentile([40.0, 10.0, 30.0, 20.0], share)


def test_the_99th_percentile_of_a_hundred_is_the_second_greatest() -> None:
    assert 99.0 == percentile([float(n) for n in range(1, 101)], 0.99)


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_a_percentile_needs_values_and_a_share(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile needs"):
        percentile(values, share)


def test_texts_are_handed_over_one_by_one_when_they_are_due() -> None:
    time, seen = Time(), []

    def submit(begin: int, end: int) -> bool:
        seen.append((begin, end, time.now))
        return True

    start = offer([1.0, 1.5, 4.0], submit, clock=time.clock, sleep=time.sleep)
    assert 100.0 == start
    assert [(0, 1, 101.0), (1, 2, 101.5), (2, 3, 104.0)] == seen


def test_a_scorer_that_stalls_delays_those_behind_but_not_the_moments_they_were_due() -> None:
    time, seen = Time(), []

    def submit(begin: int, end: int) -> bool:
        seen.append((begin, end, time.now))
        if begin == 0:
            time.sleep(10.0)  # it holds the caller up
        return True

    schedule = [1.0, 2.0, 3.0, 20.0]
    offer(schedule, submit, clock=time.clock, sleep=time.sleep)
    # Those of the second and third second come together, 9 and 8 seconds late.
    assert [(0, 1, 101.0), (1, 3, 111.0), (3, 4, 120.0)] == seen


def test_what_is_refused_is_offered_again_with_what_came_meanwhile() -> None:
    time, offered = Time(), []

    def submit(begin: int, end: int) -> bool:
        offered.append((begin, end))
        return len(offered) > 2

    schedule = [0.0, 0.0015, 9.0]
    offer(schedule, submit, clock=time.clock, sleep=time.sleep)
    assert [(0, 1), (0, 1), (0, 2), (2, 3)] == offered


def test_latency_counts_from_the_arrival_although_the_hand_over_was_late() -> None:
    time = Time()

    class Done:
        def result(self, _timeout: float) -> None:
            """At once."""

    def submit(_texts: list[str]) -> Done:
        time.now += 5.0  # as long as it holds the caller up
        return Done()

    first, second, third = run(submit, ["a"], [0.0, 1.0, 2.0], clock=time.clock)
    # The later two were due at 1 and 2, could be handed over at 5, and were judged at 10.
    assert first >= 5.0
    assert (9.0, 8.0) == (second, third)


class Scripted:
    """Judges at once what is submitted, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.scored: list[str] = []

    def submit(self, texts: list[str]) -> Scripted:
        self.scored.extend(texts)
        return self

    def result(self, _timeout: float) -> None:
        if self.error is not None:
            raise self.error


def test_every_arrival_gets_a_latency_of_its_own() -> None:
    scorer = Scripted()
    latencies = run(scorer.submit, ["a", "b", "c"], [0.0] * 7)
    assert 7 == len(latencies) and min(latencies) > 0
    assert list("abcabca") == scorer.scored


def test_a_scorer_that_fails_is_an_error_and_no_latency() -> None:
    with pytest.raises(BenchError, match="device lost"):
        run(Scripted(RuntimeError("device lost")).submit, ["a"], [0.0, 0.0])


def test_the_summary_has_the_percentiles() -> None:
    found = summarise("mix", 0.8, 40.0, [0.1] * 98 + [0.5, 0.9])
    assert (0.1, 0.5, 0.9, 100) == (found.p50, found.p99, found.worst, found.texts)
