"""An evaluation from the model to the files that a person reads."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import manifest as manifests
from models.__main__ import app
from models.dataset.corpus import joined
from models.dataset.read import read
from models.errors import ModelError
from models.evaluation.document import markdown, write
from models.evaluation.evaluate import (
    Evaluation,
    evaluate,
    examine,
    origins_of,
    report,
    sources_of,
)
from models.labels import TOPICS
from models.manifest import Manifest, Report
from models.predict import DEFAULT, Predictor

PICTURES = ("F1-per-class", "confusion-matrix", "reliability", "risk-and-coverage", "slices")


@pytest.fixture(scope="module")
def predictor(trained: tuple[Path, Manifest]) -> Predictor:
    return Predictor.load(trained[0], device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def evaluation(predictor: Predictor, topic_file: Path) -> Evaluation:
    return examine(predictor, read(topic_file, "topic"))


@pytest.fixture
def sliced(tmp_path: Path, sentiment_file: Path) -> Path:
    corpus = read(sentiment_file, "sentiment")
    path = tmp_path / "sliced.jsonl"
    rows = [
        {"text": text, "label": corpus.label(i), "register": "note" if i % 2 else "headline"}
        for i, text in enumerate(corpus.texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_full_evaluation_agrees_with_the_short_one(
    predictor: Predictor, evaluation: Evaluation, topic_file: Path
) -> None:
    assert evaluate(predictor, read(topic_file, "topic")) == evaluation.report
    assert sum(b.count for b in evaluation.reliability_after) == evaluation.report.texts
    assert evaluation.risk_coverage.risk[-1] == pytest.approx(
        1 - evaluation.report.accuracy.value, abs=1e-4
    )


def test_progress_ends_with_all_texts(predictor: Predictor, topic_file: Path) -> None:
    seen: list[tuple[int, int]] = []

    examine(predictor, read(topic_file, "topic"), budget=200, observer=lambda *n: seen.append(n))

    assert 1 < len(seen)
    assert (80, 80) == seen[-1]


def test_a_register_becomes_slices_and_a_calibration_error_of_its_own(
    predictor: Predictor, sliced: Path
) -> None:
    found = examine(predictor, read(sliced, "sentiment"))

    assert {"headline", "note"} == set(found.report.ece_by_source)
    assert {"headline", "note"} == {s.value for s in found.slices if s.trait == "register"}
    assert all({"headline", "note"} == set(a.ece_by_source) for a in found.calibrations)


def test_texts_without_a_source_count_as_one_called_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tweets.jsonl"
    rows = [("a", "positive", None), ("b", "negative", "note")]
    path.write_text(
        "".join(json.dumps({"text": t, "label": y, "register": r}) + "\n" for t, y, r in rows)
    )

    assert ("tweets", "note") == sources_of(read(path, "sentiment"))


def test_joined_texts_come_from_their_own_files(sliced: Path, sentiment_file: Path) -> None:
    first, second = read(sentiment_file, "sentiment").take([0, 1]), read(sliced, "sentiment")

    found = origins_of(joined(first, second.take([3])))

    assert ("sentiment.csv", "sentiment.csv", "sliced.jsonl") == found


def test_the_folder_holds_report_json_and_a_picture_of_each_kind(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    files = write(tmp_path / "new" / "folder", [evaluation], name="tiny", version="0" * 12)

    text = files[0].read_text()
    content = json.loads(files[1].read_text())
    assert content["reports"]["topic"] == evaluation.report.model_dump(mode="json")
    assert {f"topic-{name}.png" for name in PICTURES} == {path.name for path in files[2:]}
    for path in files[2:]:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"({path.name})" in text


def test_names_with_a_bar_do_not_break_the_tables(evaluation: Evaluation) -> None:
    text = markdown([evaluation], name="tiny", version="0" * 12, pictures={})

    row = next(line for line in text.splitlines() if line.startswith("| Fed"))
    assert r"| Fed \| Central Banks |" in row
    assert 5 == row.replace(r"\|", "").count("|") - 1


def test_a_perfect_and_a_single_text_are_reported_too() -> None:
    one = report("sentiment", np.array([[4.0, 0.0, 0.0]]), np.array([0]), 1.0)

    assert (1, 1.0, 1.0) == (one.texts, one.accuracy.value, one.coverage_at_5)
    assert {} == one.ece_by_source


def test_a_folder_that_cannot_be_made_is_a_clear_error(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ModelError, match="choose another --out"):
        write(tmp_path / "file" / "folder", [evaluation], name="tiny", version="0" * 12)


def test_manifests_of_before_load_without_the_newer_scores() -> None:
    content = manifests.read(DEFAULT).heads["topic"].best_report.model_dump(mode="json")
    newer = {"classwise_ece", "brier", "nll", "aurc", "coverage_at_5", "coverage_at_10"}

    found = Report.model_validate(
        {k: v for k, v in content.items() if k not in newer | {"ece_by_source"}}
    )

    assert set(TOPICS) == set(found.classes)
    assert all(getattr(found, name) is None for name in newer)


def test_the_command_reads_a_corpus_and_writes_both_tasks(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    row = {"text": "Gold fell", "split": "test", "sentiment": "negative", "topic": "Markets"}
    corpus.write_text(
        "".join(json.dumps(row | {"text": f"Gold fell {i}"}) + "\n" for i in range(9))
    )
    arguments = ["evaluate", "--model", str(trained[0]), "--corpus", str(corpus)]

    found = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out"), "--json"])

    assert 0 == found.exit_code, found.output
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert ["sentiment", "topic"] == list(content["reports"]) == list(content["details"])
    assert 9 == content["reports"]["topic"]["texts"]
