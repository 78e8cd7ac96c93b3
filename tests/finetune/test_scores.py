"""Metrics against values worked out by hand or by scikit-learn, and temperature scaling."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from models.evaluation.calibrate import fit_temperature, scaled
from models.evaluation.metrics import (
    accuracy,
    bootstrap,
    calibration_error,
    class_scores,
    confusion_matrix,
    macro_f1,
    weighted_f1,
)


def test_the_confusion_matrix_has_the_truth_in_its_rows() -> None:
    truth, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])

    assert confusion_matrix(truth, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_scores_equal_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 6, 400)
    predicted = np.where(rng.random(400) < 0.7, truth, rng.integers(0, 6, 400))
    matrix = confusion_matrix(truth, predicted, 6)

    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted)

    found = class_scores(matrix)
    assert [s.precision for s in found] == pytest.approx(precision)
    assert [s.recall for s in found] == pytest.approx(recall)
    assert [s.f1 for s in found] == pytest.approx(f1)
    assert [s.support for s in found] == support.tolist()
    assert macro_f1(matrix) == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert weighted_f1(matrix) == pytest.approx(f1_score(truth, predicted, average="weighted"))
    assert accuracy(matrix) == pytest.approx(float((truth == predicted).mean()))


def test_the_bootstrap_interval_covers_the_binomial_one() -> None:
    truth = np.zeros(1000, dtype=np.int64)
    predicted = np.repeat([0, 1], [800, 200])

    found = bootstrap(truth, predicted, 2)["accuracy"]

    error = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((0.8 - error, 0.8 + error), abs=0.004)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4)

    assert calibration_error(probabilities, np.array([0, 0, 0, 0])) == pytest.approx(0.1)
    assert calibration_error(probabilities, np.array([0, 0, 1, 1])) == pytest.approx(0.4)


def test_the_temperature_that_made_the_logits_too_sure_is_found() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(20_000, 3)) * 2
    truth = np.array([rng.choice(3, p=row) for row in scaled(logits, 1.0)])

    found = fit_temperature(logits * 3, truth)

    assert found == pytest.approx(3.0, rel=0.03)
    before = calibration_error(scaled(logits * 3, 1.0), truth)
    assert calibration_error(scaled(logits * 3, found), truth) < before / 5


def test_huge_logits_do_not_overflow() -> None:
    assert scaled(np.array([[1e4, -1e4, 0.0]]), 1.0).tolist() == [[1.0, 0.0, 0.0]]
