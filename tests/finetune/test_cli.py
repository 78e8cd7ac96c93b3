"""The command line, run in the process."""

import json
from pathlib import Path

import pytest
from harness.weights import tokens_told, variant
from typer.testing import CliRunner

from models.__main__ import app, main
from models.manifest import Manifest
from models.spans.verdicts import KINDS

RUNNER = CliRunner()


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_each_command_shows_an_example(command: str) -> None:
    found = RUNNER.invoke(app, [command, "--help"])

    assert found.exit_code == 0
    assert f"python -m models {command}" in found.output


def test_predict_prints_a_verdict_of_each_text_as_json(trained: tuple[Path, Manifest]) -> None:
    arguments = ["predict", "Gold fell", "The IPO was priced", "--json", "--model", str(trained[0])]

    found = RUNNER.invoke(app, arguments)

    verdicts = [json.loads(line) for line in found.output.splitlines()]
    assert [v["text"] for v in verdicts] == ["Gold fell", "The IPO was priced"]
    for verdict in verdicts:
        assert sum(verdict["sentiment"].values()) == pytest.approx(1, abs=1e-3)
        assert len(verdict["topic"]) == 20


def test_predict_prints_the_names_with_the_sentiment_towards_each(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    variant(trained[0], tmp_path / "told", tokens_told())
    arguments = [
        "predict",
        "Profit falls  at \u201cHarlow\u201d Bank",
        "--model",
        str(tmp_path / "told"),
    ]

    found = RUNNER.invoke(app, [*arguments, "--json"])
    shown = RUNNER.invoke(app, arguments).output

    names = json.loads(found.output)["names"]
    assert names
    for name in names:
        assert 'Profit falls at "Harlow" Bank'[name["start"] : name["end"]] == name["name"]
        assert name["type"] in KINDS and 0 <= name["score"] <= 1
        assert sum(name["sentiment"].values()) == pytest.approx(1, abs=1e-3)
    assert all(name["type"] in shown for name in names)


def test_evaluate_reports_on_texts_without_a_twin(
    trained: tuple[Path, Manifest], topic_file: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known.csv"
    known.write_text("text,label\n" + "\n".join(topic_file.read_text().splitlines()[1:11]))

    arguments = ["evaluate", "--model", str(trained[0]), "--topic", str(topic_file)]
    found = RUNNER.invoke(app, [*arguments, "--exclude-twins-of", str(known), "--json"])

    report = json.loads(found.output)["reports"]["topic"]
    assert report["texts"] == 70
    assert 0 < report["accuracy"]["low"] <= report["accuracy"]["value"]


def test_a_report_for_a_person_names_classes_and_intervals(
    trained: tuple[Path, Manifest], sentiment_file: Path
) -> None:
    arguments = ["evaluate", "--model", str(trained[0]), "--sentiment", str(sentiment_file)]

    found = RUNNER.invoke(app, arguments)

    for part in ("24 texts", "negative", "95 % interval", "ECE before / after", trained[1].version):
        assert part in found.output


def test_a_fault_is_one_line_that_says_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["models", "predict", "x", "--model", str(tmp_path)])

    assert main() == 1

    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "python -m models train" in error
    assert len(error.splitlines()) == 1


def test_nothing_to_evaluate_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["models", "evaluate"])

    assert main() == 1
    assert "give --sentiment FILE" in capsys.readouterr().err
