"""How often a rule is right, and the threshold that is suggested for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from monitor.store.verdicts.base import Fired, Judgement
from monitor.verdict.precision import ENOUGH, Rule, in_words, rules, wilson

T0 = datetime(2026, 5, 4, tzinfo=UTC)
T, F, D, E = Judgement.TRUE, Judgement.FALSE, Judgement.DUPLICATE, Judgement.EXPECTED


def fired(
    *said: tuple[float, Judgement | None], key: str = "all", detector: str = "share"
) -> list[Fired]:
    return [
        Fired(f"a{n}", detector, key, T0 + timedelta(hours=n), evalue, 100.0, judgement)
        for n, (evalue, judgement) in enumerate(said)
    ]


def only(of: list[Fired], days: float = 10, target: float = 0.8) -> Rule:
    (rule,) = rules(of, T0 + timedelta(days=days), target)
    return rule


def test_a_rule_is_a_detector_on_a_sort_of_key() -> None:
    of = [
        *fired((1, T), key="topic:Macro"),
        *fired((1, F), key="topic:Earnings"),
        *fired((1, T), key="topic:Macro", detector="volume"),
        *fired((1, None)),
    ]
    found = rules(of, T0 + timedelta(days=2))
    assert [("share", "all"), ("share", "topic"), ("volume", "topic")] == [
        (rule.detector, rule.sort) for rule in found
    ]
    assert [None, 0.5, 1.0] == [rule.precision for rule in found]
    assert [1, 2, 1] == [rule.fired for rule in found]


def test_an_evalue_is_written_without_powers_of_ten() -> None:
    assert ["13,824", "2,304", "987", "1.05"] == [
        in_words(evalue) for evalue in (13_824.4, 2304.0, 987.4, 1.0456)
    ]


def test_duplicates_and_expected_ones_are_counted_beside_the_precision() -> None:
    rule = only(fired((1, T), (1, T), (1, F), (1, D), (1, E), (1, E), (1, None)))
    assert 2 / 3 == rule.precision
    assert {T: 2, F: 1, D: 1, E: 2} == rule.judged
    assert 0.7 == rule.per_day


def test_without_verdicts_nothing_is_claimed() -> None:
    rule = only(fired((1, None), (2, D)))
    assert rule.precision is None
    assert (0.0, 1.0) == rule.interval
    assert rule.suggestion is None
    assert [] == rules([], T0)


def test_the_suggestion_is_the_lowest_statistic_from_which_on_the_target_is_reached() -> None:
    said = [(10.0, F), (20.0, T), (30.0, F), (40.0, T), (50.0, T), (60.0, T), (70.0, T)]
    rule = only(fired(*said, (45.0, None), (5.0, None)))
    assert rule.suggestion is not None
    # From 20 on 5 of 6 are true; from 10 on only 5 of 7.
    assert (20.0, 5 / 6, 6) == (
        rule.suggestion.evalue,
        rule.suggestion.precision,
        rule.suggestion.judged,
    )
    assert 0.7 == rule.suggestion.per_day, "six judged and one that nobody judged, in ten days"
    assert wilson(5, 6) == rule.suggestion.interval


def test_alerts_with_the_same_statistic_are_never_torn_apart() -> None:
    said = [(20.0, F), (20.0, F), (20.0, T), (30.0, T), (30.0, T), (30.0, T), (30.0, T)]
    assert only(fired(*said)).suggestion is None, "7 at 20: 5 of 7 are true; above it only 4"


def test_a_handful_of_verdicts_suggests_nothing() -> None:
    assert only(fired(*[(9.0, T)] * (ENOUGH - 1))).suggestion is None
    assert only(fired(*[(9.0, T)] * ENOUGH)).suggestion is not None


def test_a_target_that_no_threshold_reaches_suggests_nothing() -> None:
    assert only(fired(*[(9.0, F), (8.0, T)] * 5)).suggestion is None


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([T, F, D, None])), min_size=1))
def test_a_suggestion_keeps_its_promise(said: list[tuple[int, Judgement | None]]) -> None:
    of = fired(*((float(evalue), judgement) for evalue, judgement in said))
    at = only(of).suggestion

    def share(evalue: float) -> tuple[int, float]:
        judged = [f.judgement is T for f in of if f.evalue >= evalue and f.judgement in (T, F)]
        return len(judged), float(np.mean(judged)) if judged else 0.0

    good = [e for e in range(1, 10) if share(e)[0] >= ENOUGH and share(e)[1] >= 0.8]
    lowest = [e for e in good if any(f.evalue == e and f.judgement in (T, F) for f in of)]
    assert (min(lowest) if lowest else None) == (at.evalue if at else None)


@pytest.mark.parametrize(("hits", "total"), [(1, 3), (5, 6), (40, 50), (7, 10)])
def test_the_interval_is_where_the_score_test_does_not_refuse(hits: int, total: int) -> None:
    def score(share: float) -> float:
        return float((hits / total - share) / np.sqrt(share * (1 - share) / total))

    low, high = wilson(hits, total)
    assert low == pytest.approx(brentq(lambda p: score(p) - 1.959964, 1e-9, hits / total), abs=1e-6)
    assert high == pytest.approx(
        brentq(lambda p: score(p) + 1.959964, hits / total, 1 - 1e-9), abs=1e-6
    )
