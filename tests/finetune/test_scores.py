"""Metrics against values worked out by hand or by scikit-learn, and temperature scaling."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support
from sklearn.metrics import log_loss as sklearn_log_loss

from models.errors import ModelError
from models.evaluation.calibrate import (
    error_by_source,
    fit_temperature,
    source_weights,
)
from models.evaluation.metrics import (
    Counts,
    Floats,
    accuracy,
    bootstrap,
    calibration_error,
    class_scores,
    confusion_matrix,
    macro_f1,
    weighted_f1,
)
from models.evaluation.reliability import brier, classwise_error, log_loss, reliability_bins
from models.evaluation.selection import risk_coverage
from models.evaluation.slices import holm, slices
from models.evaluation.vector import compare, fit_vector
from models.softmax import scaled


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


def drawn(seed: int, texts: int, classes: int = 3) -> tuple[Floats, Counts]:
    """Return logits and truth drawn from their own probabilities: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(texts, classes)) * 2
    return logits, np.array([rng.choice(classes, p=row) for row in scaled(logits, 1.0)])


def test_proper_scores_equal_those_of_scikit_learn_or_a_sum_by_hand() -> None:
    logits, truth = drawn(1, 500)
    probabilities = scaled(logits, 1.0)

    assert sklearn_log_loss(truth, probabilities) == pytest.approx(log_loss(probabilities, truth))
    assert brier(np.array([[0.7, 0.2, 0.1]]), np.array([1])) == pytest.approx(0.49 + 0.64 + 0.01)


def test_the_bins_of_the_diagram_add_up_to_the_calibration_error() -> None:
    logits, truth = drawn(4, 700)
    probabilities = scaled(logits, 0.6)

    bins = reliability_bins(probabilities, truth)

    gap = sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / 700
    assert 700 == sum(b.count for b in bins)
    assert calibration_error(probabilities, truth) == pytest.approx(gap)
    assert all(b.low <= b.confidence <= b.high for b in bins if b.count)


def test_the_classwise_error_sees_a_class_that_is_never_the_top_one() -> None:
    probabilities = np.array([[0.6, 0.4, 0.0]] * 10)
    truth = np.array([0] * 6 + [2] * 4)

    assert calibration_error(probabilities, truth) == pytest.approx(0)
    assert classwise_error(probabilities, truth) == pytest.approx((0.0 + 0.4 + 0.4) / 3)


def test_the_risk_coverage_curve_is_that_of_a_count_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    truth = np.array([0, 1, 0, 0])

    found = risk_coverage(probabilities, truth, (0.05, 0.25, 0.4))

    risks = (0, 1 / 2, 1 / 3, 1 / 4)
    assert found.risk == pytest.approx(risks, abs=1e-5)
    assert found.aurc == pytest.approx(sum(risks) / 4)
    assert found.oracle == pytest.approx((0, 0, 0, 1 / 4))
    assert {"0.05": 0.25, "0.25": 1.0, "0.4": 1.0} == found.coverage_at


def test_the_order_within_a_tie_does_not_count() -> None:
    probabilities = np.full((4, 2), 0.5)

    curves = {risk_coverage(probabilities, np.roll([1, 0, 0, 0], k)).risk for k in range(4)}

    assert {(0.25, 0.25, 0.25, 0.25)} == curves


def test_sources_with_few_texts_count_as_much_as_those_with_many() -> None:
    weights = source_weights(["a"] * 9 + ["b"])

    assert weights[:9].sum() == pytest.approx(weights[9])
    assert weights.mean() == pytest.approx(1)
    shares = source_weights(["a"] * 9 + ["b"], {"a": 3, "b": 1, "c": 5})
    assert shares[:9].sum() == pytest.approx(3 * shares[9])


def test_a_source_without_a_share_is_named() -> None:
    with pytest.raises(ModelError, match="no share given for the source"):
        source_weights(["a", "b"], {"a": 1.0})


def test_a_weighted_temperature_lies_between_those_of_its_sources() -> None:
    first, second = drawn(7, 4_000), drawn(8, 400)
    logits = np.concatenate([first[0], second[0] * 4])  # the second source is far too sure
    truth = np.concatenate([first[1], second[1]])
    sources = ["many"] * 4_000 + ["few"] * 400

    pooled = fit_temperature(logits, truth)
    balanced = fit_temperature(logits, truth, source_weights(sources))

    assert 1 < pooled < balanced < 4
    few = [error_by_source(scaled(logits, t), truth, sources)["few"] for t in (pooled, balanced)]
    assert few[1] < few[0]


def test_vector_scaling_finds_a_bias_that_no_temperature_can() -> None:
    logits, truth = drawn(9, 6_000)
    shifted = logits + np.array([1.5, 0.0, 0.0])

    found = fit_vector(shifted, truth)

    bias = found.bias - found.bias[1]
    assert bias == pytest.approx([-1.5, 0, 0], abs=0.2)
    warm = scaled(shifted, fit_temperature(shifted, truth))
    assert log_loss(found.apply(shifted), truth) < log_loss(warm, truth) - 0.05


def test_calibrations_are_compared_on_texts_that_they_were_not_fitted_on() -> None:
    logits, truth = drawn(3, 900)
    sources = ["tweets" if i % 3 else "notes" for i in range(900)]

    found = {a.name: a for a in compare(logits * 3, truth, 1.0, sources)}

    assert found["one temperature"].ece < found["none"].ece / 2
    assert {"tweets", "notes"} == set(found["vector scaling, sources alike"].ece_by_source)
    assert found["none"].nll == pytest.approx(found["the model's own (1.00)"].nll)


def test_slices_hold_their_texts_and_a_weak_one_is_marked() -> None:
    texts = [f"$ABC fell {i}" for i in range(60)] + ["It did not rise"] * 240
    truth = np.zeros(300, dtype=np.int64)
    predicted = np.where(np.arange(300) < 30, 1, 0)  # half of the cashtags wrong, nothing else

    found = {(s.trait, s.value): s for s in slices(texts, truth, predicted, 2)}

    weak, strong = found["cashtag", "with"], found["cashtag", "without"]
    assert (60, 0.5, True) == (weak.texts, weak.accuracy.value, weak.below)
    assert (240, 1.0, False) == (strong.texts, strong.accuracy.value, strong.below)
    assert 240 == found["negation", "with"].texts
    assert ("link", "without") not in found  # all of the texts: no slice


def test_columns_become_slices_and_tiny_slices_are_left_out() -> None:
    labels = np.zeros(40, dtype=np.int64)
    register = ["news"] * 25 + ["comment"] * 12 + ["note"] * 2 + [""]

    found = slices(["Text"] * 40, labels, labels, 2, {"register": register})

    assert [("comment", 12), ("news", 25)] == [(s.value, s.texts) for s in found]


def test_the_correction_for_many_slices_is_holms() -> None:
    assert [True, False, True, False] == holm([0.01, 0.04, 0.001, 0.03])
