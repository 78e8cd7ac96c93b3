"""The shipped weights: whole, small, described truthfully, and plausible on sentences of ours."""

import re

import numpy as np
import pytest

from models import manifest as manifests
from models.labels import LABELS, SENTIMENTS, TASKS, TOPICS, Task
from models.predict import DEFAULT, Predictor

CALIBRATION_ERROR = 0.03
FLOOR = {"sentiment": (0.889, 0.855), "topic": (0.90, 0.89)}
"""Accuracy and macro-F1; before the third head 0.892 and 0.859, 0.902 and 0.882."""
NAMES = {"btc.test.conll": 0.75, "wikigold.test.conll": 0.67, "wnut17.test.conll": 0.367}
CONFLICTING = "SEntFiN-v1.1.csv, conflicting"
MEGABYTE = 2**20

VERDICTS = [
    ("Record quarterly profit sends Norvik shares to an all-time high", "positive", None),
    ("Tollmar issues a profit warning and slashes its full-year forecast", "negative", None),
    ("Bellamy Stores will hold its annual meeting on 14 May", "neutral", None),
    ("Kestrel Foods upgraded to buy as margins recover", "positive", "Analyst Update"),
    ("Porvoo Shipping plunges 18% after a lender pulls its credit", "negative", "Stock Movement"),
    ("The central bank kept its policy rate unchanged", None, "Fed | Central Banks"),
    ("Crude oil slips as inventories in the storage hub grow", "negative", "Energy | Oil"),
    ("Halden Group declares quarterly dividend of $0.35 per share", "neutral", "Dividend"),
    ("Ostrava Steel names Ines Maurer chief financial officer", "neutral", "Personnel Change"),
    ("Norvik agrees to buy rival battery maker in cash", "neutral", "M&A | Investments"),
    ("Inflation cooled to 2.4 percent while unemployment edged up", None, "Macro"),
    (
        "Gold climbs above $2,000 an ounce on safe haven demand",
        "positive",
        "Gold | Metals | Materials",
    ),
    ("The dollar weakens against the yen after a warning", "negative", "Currencies"),
    ("Senate passes the budget bill after a night of votes", "neutral", "Politics"),
    ("Scooter maker prices its IPO at $17 a share", "neutral", "IPO"),
    ("Regulators sue the brokerage over hidden fees", None, "Legal | Regulation"),
    ("Two-year Treasury yield jumps to highest since 2007", None, "Treasuries | Corporate Debt"),
    ("Stock futures point to a higher open on Wall Street", "positive", "Markets"),
]


TARGETS = [
    ("Halden soars as its rival Tollmar collapses", {"Halden": "positive", "Tollmar": "negative"}),
    (
        "Kestrel Foods surges 9% while Bellamy Stores plunges on a profit warning",
        {"Kestrel Foods": "positive", "Bellamy Stores": "negative"},
    ),
    (
        "Ketteridge Broking cuts Porvoo Shipping to sell",
        {"Ketteridge Broking": "neutral", "Porvoo Shipping": "negative"},
    ),
    (
        "Norvik wins the contract that Ostrava Steel lost",
        {"Norvik": "positive", "Ostrava Steel": "negative"},
    ),
    (
        "Regulators fine Vitrum over hidden fees; Rift Bank is cleared",
        {"Vitrum": "negative", "Rift Bank": "positive"},
    ),
]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(device="cpu", dtype="float32", threads=1)


@pytest.mark.parametrize(("text", "sentiment", "topic"), VERDICTS)
def test_a_clear_sentence_is_judged_as_a_reader_would(
    predictor: Predictor, text: str, sentiment: str | None, topic: str | None
) -> None:
    found = predictor.predict(predictor.encode([text]))

    if sentiment is not None:
        assert sentiment == SENTIMENTS[found.sentiment[0].argmax()]
    if topic is not None:
        assert topic == TOPICS[found.topic[0].argmax()]


@pytest.mark.parametrize(("text", "expected"), TARGETS)
def test_companies_are_found_and_each_is_given_its_own_sentiment(
    predictor: Predictor, text: str, expected: dict[str, str]
) -> None:
    found = predictor.predict(predictor.encode([text])).tokens
    assert found is not None

    names = {text[s.start : s.end]: s for s in found.spans(0) if s.type == "organisation"}

    assert expected.keys() <= names.keys()
    for name, sentiment in expected.items():
        shares = found.sentiment_of(0, names[name].start, names[name].end)
        assert sentiment == SENTIMENTS[int(np.argmax(shares or ()))], name


def test_a_text_scored_alone_equals_the_text_scored_in_a_batch(predictor: Predictor) -> None:
    texts = [text for text, _, _ in VERDICTS] + [" ".join(text for text, _, _ in VERDICTS) * 3]
    rows = predictor.encode(texts)
    assert max(map(len, rows)) > predictor.max_length

    together = predictor.logits(rows)

    for index, row in enumerate(rows):
        for task, alone in predictor.logits([row]).items():
            np.testing.assert_allclose(alone[0], together[task][index], atol=1e-4)
            assert alone[0].argmax() == together[task][index].argmax()


def test_bfloat16_changes_no_clear_verdict(predictor: Predictor) -> None:
    half = Predictor.load(device="cpu", dtype="bfloat16")
    rows = predictor.encode([text for text, _, _ in VERDICTS])

    exact, rounded = predictor.predict(rows), half.predict(rows)

    np.testing.assert_allclose(rounded.sentiment, exact.sentiment, atol=0.08)
    np.testing.assert_allclose(rounded.topic, exact.topic, atol=0.08)


def test_the_directory_is_small_and_its_hashes_match() -> None:
    manifest = manifests.read(DEFAULT)  # raises where a hash does not match

    assert {"MODEL_CARD.md", "NOTICE", "manifest.json", *manifest.files} == {
        path.name for path in DEFAULT.iterdir()
    }
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) <= 25 * MEGABYTE


@pytest.mark.parametrize("task", TASKS)
def test_the_scores_on_twin_free_texts_are_above_the_floor_and_calibrated(task: Task) -> None:
    report = manifests.read(DEFAULT).heads[task].validation

    assert report is not None
    accuracy, macro_f1 = FLOOR[task]
    assert report.accuracy.value >= accuracy
    assert report.macro_f1.value >= macro_f1
    assert report.ece_after <= CALIBRATION_ERROR
    matrix = np.array(report.confusion)
    assert matrix.shape == (len(LABELS[task]),) * 2
    assert np.trace(matrix) / matrix.sum() == pytest.approx(report.accuracy.value, abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_the_model_card_gives_the_scores_of_the_manifest(task: Task) -> None:
    card = (DEFAULT / "MODEL_CARD.md").read_text("utf-8")
    manifest = manifests.read(DEFAULT)
    report = manifest.heads[task].validation
    assert report is not None

    row = re.search(rf"^\| {task} \|.*$", card, re.MULTILINE)

    assert manifest.version in card
    assert row is not None
    for score in (report.accuracy, report.macro_f1, report.weighted_f1):
        assert f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" in row.group()
    assert f"{report.ece_before:.3f} | {report.ece_after:.3f} |" in row.group()


@pytest.mark.parametrize("file", NAMES)
def test_names_in_texts_of_others_are_found_as_surely_as_the_card_says(file: str) -> None:
    spans = manifests.read(DEFAULT).spans
    assert spans is not None
    card = (DEFAULT / "MODEL_CARD.md").read_text("utf-8")

    found = spans.names[file].all

    assert found.f1 >= NAMES[file]
    assert f"| {found.precision:.3f} | {found.recall:.3f} | {found.f1:.3f} |" in card


def test_opposed_companies_are_told_apart_far_better_than_by_the_sentiment_of_their_text() -> None:
    spans = manifests.read(DEFAULT).spans
    assert spans is not None
    card = (DEFAULT / "MODEL_CARD.md").read_text("utf-8")

    found = spans.targets[CONFLICTING]

    assert found.as_text is not None
    assert found.macro_f1.value >= 0.70
    assert found.macro_f1.value >= found.as_text.value + 0.08
    score = found.macro_f1
    assert f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" in card


def test_the_card_attributes_the_corpora_of_names() -> None:
    card = (DEFAULT / "MODEL_CARD.md").read_text("utf-8")
    spans = manifests.read(DEFAULT).spans
    assert spans is not None and spans.training is not None

    used = [record for record in spans.training.data if record.role == "training"]

    assert {record.file for record in used} == {
        f"{name.split('.')[0]}.train.conll" for name in NAMES
    }
    for record in used:
        assert record.licence == "CC BY 4.0"
        assert f"`{record.file}`" in card
