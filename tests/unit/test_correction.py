"""The share behind the verdicts of a model that errs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from monitor.detect.correction import UNCORRECTED, Correction, Corrections, rate_bounds

CONFUSION = [[80, 15, 5], [10, 180, 10], [6, 14, 180]]
"""Rows are true: of 100 negative texts 80 are found; of 400 others 16 are taken for it."""


def correction() -> Correction:
    found = Correction.of(CONFUSION)
    assert found is not None
    return found


def test_a_share_is_read_through_the_errors() -> None:
    of = correction()
    assert (0.8, 0.04, 100, 400) == (of.sensitivity, of.fallout, of.negatives, of.others)
    assert 0.5 == pytest.approx(of.share(0.5 * 0.8 + 0.5 * 0.04))
    assert (0.0, 1.0) == (of.share(0.01), of.share(0.95))


def test_scores_tell_what_a_confusion_matrix_tells() -> None:
    found = Correction.of_rates(precision=80 / 96, recall=0.8, negatives=100, texts=500)
    assert found is not None
    assert 0.04 == pytest.approx(found.fallout)


@pytest.mark.parametrize("voices", [3, 10, 41, 5000])
def test_the_bounds_of_a_rate_are_those_of_a_poisson_count(voices: int) -> None:
    exact = chi2.ppf(0.05, 2 * voices) / 2, chi2.ppf(0.95, 2 * voices + 2) / 2
    low, high = rate_bounds(voices, voices / 2.0)  # heard in two hours
    assert (exact[0] / 2, exact[1] / 2) == pytest.approx((low, high), rel=0.06)


def test_of_no_voices_there_is_no_rate() -> None:
    assert (0.0, 0.0) == rate_bounds(0, 0.0) == rate_bounds(3, 0.0)


@pytest.mark.parametrize(
    "confusion",
    [[[0, 0, 0], [1, 5, 0], [0, 0, 3]], [[3, 1, 1]], [[1, 9, 0], [5, 5, 0], [0, 0, 0]]],
    ids=["nothing negative", "nothing else", "no better than chance"],
)
def test_a_matrix_that_says_nothing_corrects_nothing(confusion: list[list[int]]) -> None:
    assert Correction.of(confusion) is None


def test_the_interval_has_the_errors_of_the_sample_and_of_the_matrix() -> None:
    exact, measured = UNCORRECTED.estimate(30, 100), correction().estimate(30, 100)
    assert exact.low < 0.3 < exact.high
    assert exact.high - exact.low < measured.high - measured.low
    assert 1e-3 > UNCORRECTED.estimate(300_000, 1_000_000).high - 0.3
    assert 0.02 < correction().estimate(300_000, 1_000_000).high - measured.value


def test_nine_in_ten_true_shares_lie_within() -> None:
    """The matrix itself is drawn anew each time, as it was in the test that measured it."""
    rng = np.random.default_rng(4)
    true, sensitivity, fallout, inside = 0.35, 0.8, 0.06, 0
    for _ in range(2_000):
        hits, false = rng.binomial(150, sensitivity), rng.binomial(900, fallout)
        of = Correction.of([[hits, 150 - hits], [false, 900 - false]])
        assert of is not None
        judged = rng.binomial(60, true * sensitivity + (1 - true) * fallout)
        estimate = of.estimate(int(judged), 60)
        inside += estimate.low <= true <= estimate.high
    assert 0.88 < inside / 2_000 < 0.95


def test_texts_and_what_they_name_are_judged_by_different_heads() -> None:
    texts, targets = correction(), Correction(0.7, 0.1, 50, 50)
    of = Corrections()
    of.note("m1", texts, targets)
    of.note("m2", texts, None)
    assert (texts, targets) == (of.of("topic:Macro", "m1"), of.of("company:US:A", "m1"))
    assert texts == of.of("company:US:A", "m2")
    assert UNCORRECTED == of.of("all", "unknown")
