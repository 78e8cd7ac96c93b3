"""The written corpus of the repository, and its figures."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.__main__ import app
from models.dataset.agreement import cohen_kappa, compare
from models.dataset.read import texts_of
from models.dataset.statistics import Statistics, describe, standardised_ratio
from models.dataset.table import read_table
from models.errors import DataError
from models.labels import SENTIMENTS, TOPICS
from models.text import twin_key

RUNNER = CliRunner()

CORPUS = Path(__file__).parents[2] / "models" / "data" / "corpus.jsonl"


def test_the_corpus_of_the_repository_is_whole() -> None:
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    keys = [twin_key(r["text"]) for r in rows]
    assert len(set(keys)) == len(rows)
    for r in rows:
        for entity in r["entities"]:
            assert r["text"][entity["start"] : entity["end"]].strip()
            judged = {"organisation": (True,), "other": (True, False)}.get(entity["type"], (False,))
            assert ("sentiment" in entity) in judged
    assert set(SENTIMENTS) == {r["sentiment"] for r in rows}
    assert set(TOPICS) == {r["topic"] for r in rows}
    assert 0.07 < Counter(r["split"] for r in rows)["test"] / len(rows) < 0.13


def test_the_corpus_of_the_repository_has_no_near_duplicates_and_no_faulty_entity() -> None:
    found = describe(read_table(CORPUS), texts_of(CORPUS))

    assert () == found.nearest
    assert () == found.faults


def written(folder: Path, rows: list[dict[str, object]], name: str = "corpus.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def statistics(folder: Path, rows: list[dict[str, object]]) -> Statistics:
    path = written(folder, rows)
    return describe(read_table(path), texts_of(path))


def test_variety_is_counted_over_all_words(tmp_path: Path) -> None:
    found = statistics(
        tmp_path,
        [
            {"text": "The mill isn't closing, it said 1,250.5 times", "register": "headline"},
            {"text": "The mill isn't closing, it said today", "register": "comment"},
            {"text": "Orders rose", "register": "comment"},
        ],
    )

    assert (3, 17, 11) == (found.texts, found.words, found.types)
    assert 11 / 17 == found.type_token_ratio
    assert 6 / 9 == found.distinct_4grams
    assert None is found.standardised_ratio
    assert {"register": {"comment": 2, "headline": 1}} == found.counts
    assert [(1, 2, 0.5)] == [(int(a[-1]), int(b[-1]), value) for a, b, value in found.nearest]


def test_the_standardised_ratio_does_not_fall_with_the_size_of_the_corpus() -> None:
    words = [str(i % 50) for i in range(100)]

    assert 0.5 == standardised_ratio(words, 100) == standardised_ratio(words * 9, 100)
    assert None is standardised_ratio(words[:99], 100)


def test_entities_are_counted_by_type_and_sentiment_and_impossible_ones_named(
    tmp_path: Path,
) -> None:
    text = "Tollmar sues Kestrel in Ghent"
    good = [
        {"start": 0, "end": 7, "type": "organisation", "sentiment": "positive"},
        {"start": 13, "end": 20, "type": "organisation", "sentiment": "negative"},
        {"start": 24, "end": 29, "type": "location"},
    ]
    bad = [
        {"start": 0, "end": 30, "type": "location"},
        {"start": 0, "end": 8, "type": "location"},
        {"start": 0, "end": 7},
        {"start": 0, "end": 7, "type": "organisation", "sentiment": "glad"},
        "Tollmar",
    ]
    rows: list[dict[str, object]] = [{"text": text, "entities": good}]
    rows += [{"text": text, "entities": [entity]} for entity in bad]
    rows.append({"text": text, "entities": [good[0], good[0]]})

    found = statistics(tmp_path, rows)

    assert {
        "location": {"none": 1},
        "organisation": {"positive": 3, "negative": 1},
    } == found.entities
    assert [2, 3, 4, 5, 6, 7] == [fault.number for fault in found.faults]
    for fault, reason in zip(
        found.faults,
        ("start and end", "space", "no type", "sentiment must", "no object", "overlaps"),
        strict=True,
    ):
        assert reason in fault.message


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    labels = ["negative"] * 25 + ["positive"] * 25
    return written(tmp_path, [{"text": f"text {i}", "sentiment": x} for i, x in enumerate(labels)])


def second(folder: Path, labels: list[str]) -> Path:
    rows: list[dict[str, object]] = []
    for i, label in enumerate(labels):
        digest = hashlib.sha256(f"text {i}".encode()).hexdigest()
        named: dict[str, object] = {"row": i + 1} if i % 2 else {"text_sha256": digest}
        rows.append({**named, "sentiment": label})
    return written(folder, rows, "second.jsonl")


def test_two_labellings_are_compared_by_kappa_and_class(tmp_path: Path, labelled: Path) -> None:
    labels = ["negative"] * 20 + ["positive"] * 5 + ["negative"] * 10 + ["positive"] * 15

    (found,) = compare(labelled, second(tmp_path, labels))

    # The textbook case: 35 of 50 agree where chance gives one half.
    assert (50, 0.7) == (found.texts, found.share)
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(0.4)
    assert 0.1 < found.kappa.low < 0.2
    assert 0.6 < found.kappa.high < 0.7
    assert ((20, 0, 5), (0, 0, 0), (10, 0, 15)) == found.confusion
    negative = found.classes["negative"]
    assert (25, 30, 20) == (negative.first, negative.second, negative.both)
    assert negative.agreement == pytest.approx(40 / 55)
    assert 15 == len(found.disagreements)
    assert (f"{labelled}, line 21", "negative", "positive", "text 20") == found.disagreements[0]


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    first, other = zip(*pairs, strict=True)
    matrix = np.zeros((3, 3), np.int64)
    np.add.at(matrix, (list(first), list(other)), 1)
    value = float(cohen_kappa(matrix))

    if len(set(first) | set(other)) == 1:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(cohen_kappa_score(first, other))


def test_kappa_of_one_class_only_is_undefined(tmp_path: Path) -> None:
    path = written(tmp_path, [{"text": f"text {i}", "sentiment": "neutral"} for i in range(3)])
    (found,) = compare(path, second(tmp_path, ["neutral"] * 3))

    assert (1.0, None) == (found.share, found.kappa)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"row": 99, "sentiment": "neutral"}, "line 1: no text of .* has row 99"),
        ({"text_sha256": "ab", "sentiment": "neutral"}, "line 1: no text of .* has text_sha256 ab"),
        ({"sentiment": "neutral"}, "line 1: no text of"),
        ({"row": 1, "sentiment": "sad"}, "line 1: 'sad' is no class of sentiment"),
        ({"row": 1, "mood": "sad"}, "no column sentiment or topic"),
    ],
)
def test_a_second_label_that_fits_no_text_is_named(
    tmp_path: Path, labelled: Path, row: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        compare(labelled, written(tmp_path, [row], "second.jsonl"))


def test_a_text_is_labelled_once_by_the_second_labeller(tmp_path: Path, labelled: Path) -> None:
    rows: list[dict[str, object]] = [{"row": 1, "sentiment": "neutral"}] * 2

    with pytest.raises(DataError, match=r"line 2: labels .*line 1 a second time"):
        compare(labelled, written(tmp_path, rows, "second.jsonl"))


def test_the_command_prints_figures_and_agreement(tmp_path: Path, labelled: Path) -> None:
    labels = ["negative"] * 30 + ["positive"] * 20
    other = str(second(tmp_path, labels))

    shown = RUNNER.invoke(app, ["data", "corpus", str(labelled), "--agreement", other])
    machine = RUNNER.invoke(app, ["data", "corpus", str(labelled), "--agreement", other, "--json"])

    for part in ("distinct word 4-grams", "same label: 90.0%", "Cohen's kappa: 0.800", "line 26"):
        assert part in shown.output
    found = json.loads(machine.output)
    assert 50 == found["statistics"]["texts"]
    assert found["agreement"][0]["kappa"]["value"] == pytest.approx(0.8)
