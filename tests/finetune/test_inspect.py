"""Checks before training: repeated texts, conflicting labels, classes, lengths, `models data`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.__main__ import app, main
from models.dataset import near
from models.dataset.inspect import Inspection, by_split, inspect
from models.dataset.read import read, texts_of
from models.dataset.table import read_table

RUNNER = CliRunner()
TRAIN = """text,label
The mill in the north closes its gates,negative
The mill in the north closes its gates,negative
THE MILL in the north closes its gates! https://t.co/x,neutral
The mill in the north closes its doors,positive
$HRLW gains as orders rise,positive
Itâ€™s quiet on the exchange,neutral
https://t.co/only,neutral
"""
VALID = """text,label
the mill in the north closes its gates,negative
Now the mill in the north closes its gates,negative
Nothing like it was read before,positive
"""


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


@pytest.fixture
def found(tmp_path: Path) -> Inspection:
    files = write(tmp_path, "train.csv", TRAIN), write(tmp_path, "valid.csv", VALID)
    return inspect(
        {path.name: read(path, "sentiment") for path in files},
        lengths=lambda texts: [len(text.split()) for text in texts],
    )


def test_repeated_texts_are_counted_by_how_alike_they_are(found: Inspection) -> None:
    train, valid = found.parts

    assert (7, 1, 2, 1, 1) == (
        train.texts,
        train.duplicates,
        train.twins,
        train.near_duplicates,
        train.wordless,
    )
    assert (3, 0, 0, 1, 0) == (
        valid.texts,
        valid.duplicates,
        valid.twins,
        valid.near_duplicates,
        valid.wordless,
    )
    assert {"link": 2 / 7, "cashtag": 1 / 7, "other script": 0, "mojibake": 1 / 7} == train.shares
    assert (8, 9, 0) == (train.tokens["50%"], train.tokens["longest"], train.tokens["over 128"])


def test_repeated_texts_are_named_by_their_rows(found: Inspection, tmp_path: Path) -> None:
    assert tuple(f"{tmp_path / 'train.csv'}, line {n}" for n in (3, 4)) == found.parts[0].repeats
    assert any(
        "2 text(s) of train.csv that repeat another one (line 3, line 4);" in finding.message
        for finding in found.findings
    )


def test_conflicting_labels_are_listed_with_their_rows(found: Inspection, tmp_path: Path) -> None:
    (twins,) = found.conflicting_twins
    (pair,) = found.conflicting_near[:1]

    lines = [f"{tmp_path / 'train.csv'}, line {n}" for n in (2, 3, 4)]
    assert (*lines, f"{tmp_path / 'valid.csv'}, line 2") == twins.places
    assert ("negative", "negative", "neutral", "negative") == twins.labels
    assert ("negative", "positive") == pair.labels
    assert 0.714 == pair.jaccard


def test_texts_of_one_part_that_are_in_another_are_faults(found: Inspection) -> None:
    (across,) = found.across

    assert (1, 1) == (across.twins, across.near_duplicates)
    assert ["train.csv, line 2", "valid.csv, line 3"] == [
        Path(place).name for place in across.examples[1].places
    ]
    assert found.faulty
    faults = [finding.message for finding in found.findings if finding.level == "fault"]
    assert [
        "1 group(s) of twins with conflicting labels",
        "1 text(s) of valid.csv with a twin in train.csv",
        "1 text(s) of valid.csv with a near-duplicate in train.csv",
        "valid.csv: no text of neutral",
    ] == [message.split(";")[0] for message in faults]


def test_small_classes_are_warned_of(found: Inspection) -> None:
    warnings = [finding.message for finding in found.findings if finding.level == "warning"]

    expected = "train.csv: fewer than 20 texts of negative (2), neutral (3), positive (2)"
    assert expected in warnings


def test_clean_texts_have_no_finding_but_small_classes(sentiment_file: Path) -> None:
    found = inspect({"a": read(sentiment_file, "sentiment")})

    assert not found.faulty
    assert ["a: fewer than 20 texts of negative (8), neutral (8), positive (8)"] == [
        finding.message for finding in found.findings
    ]


def test_the_splits_of_one_file_are_parts_of_their_own(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "sentiment": "neutral", "split": s} for i, s in enumerate("aba")]
    path = write(tmp_path, "c.jsonl", "\n".join(map(json.dumps, rows)))

    parts = by_split("c", read(path, "sentiment"))

    assert {"c [a]": 2, "c [b]": 1} == {name: len(part) for name, part in parts.items()}


def test_the_command_prints_findings_and_fails_only_when_strict(
    tmp_path: Path, tiny_encoder: Path
) -> None:
    path = write(tmp_path, "train.csv", TRAIN + ",neutral\n")
    arguments = ["data", str(path), "--backbone", str(tiny_encoder)]

    lenient, strict = RUNNER.invoke(app, arguments), RUNNER.invoke(app, [*arguments, "--strict"])

    assert (0, 1) == (lenient.exit_code, strict.exit_code)
    for part in ("7 texts", "twins with conflicting labels", "line 9: empty text", "entropy"):
        assert part in lenient.output


def test_the_command_gives_everything_as_json(tmp_path: Path, tiny_encoder: Path) -> None:
    path = write(tmp_path, "train.csv", TRAIN + ",neutral\n")

    found = RUNNER.invoke(app, ["data", "--json", str(path), "--backbone", str(tiny_encoder)])

    (inspection,) = json.loads(found.output)
    assert "sentiment" == inspection["task"]
    assert 7 == inspection["parts"][0]["texts"]
    assert [9] == [fault["number"] for fault in inspection["faults"]]
    assert 3 == len(inspection["conflicting_twins"][0]["places"])
    assert inspection["parts"][0]["tokens"]["longest"] > 5


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_file_is_split_into_parts_of_its_own_format_and_columns(
    tmp_path: Path, sentiment_file: Path, suffix: str
) -> None:
    import pandas as pd

    frame = pd.read_csv(sentiment_file).assign(id=range(24), note='say "so", he\ndid')
    path = tmp_path / f"texts{suffix}"
    match suffix:
        case ".parquet":
            frame.to_parquet(path, index=False)
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case _:
            frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    out = tmp_path / "parts"
    arguments = ["data", "split", str(path), "--parts", "train=0.75,test=0.25", "--out", str(out)]

    done = RUNNER.invoke(app, arguments)

    assert 0 == done.exit_code, done.output
    train, test = (read_table(out / f"{name}{suffix}") for name in ("train", "test"))
    assert ("text", "label", "id", "note") == train.columns == test.columns
    assert {'say "so", he\ndid'} == {row.cells["note"] for row in train.rows}
    assert sorted(texts_of(path)) == sorted(texts_of(train.path) + texts_of(test.path))
    assert {"negative": 2, "neutral": 2, "positive": 2} == read(test.path, "sentiment").counts
    assert 0 == len(near.across(texts_of(train.path), texts_of(test.path)))
    assert "exists already" in str(RUNNER.invoke(app, arguments).exception)
    assert 2 == len(list(out.iterdir()))


def test_numbers_keep_their_meaning_in_the_parts(tmp_path: Path) -> None:
    rows = "".join(f"word{i} of its own,{i % 3}\n" for i in range(12))
    path = write(tmp_path, "texts.csv", f"text,label\n{rows}")
    write(tmp_path, "labels.json", '{"0": "neutral", "1": "positive", "2": "negative"}')
    out = tmp_path / "parts"

    RUNNER.invoke(app, ["data", "split", str(path), "--parts", "a=0.5,b=0.5", "--out", str(out)])

    assert {"negative": 2, "neutral": 2, "positive": 2} == read(out / "a.csv", "sentiment").counts


@pytest.mark.parametrize("parts", ["train", "a=0.5,a=0.5", "../x=1", "a=half", "a=0.5,b=0.6"])
def test_parts_that_cannot_be_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sentiment_file: Path,
    tmp_path: Path,
    parts: str,
) -> None:
    arguments = ["data", "split", str(sentiment_file), "--parts", parts, "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["models", *arguments])

    assert main() == 1

    error = capsys.readouterr().err
    assert "error:" in error
    assert parts.split(",")[0].split("=")[0] in error
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [[], ["check"], ["split"]])
def test_each_command_shows_an_example(command: list[str]) -> None:
    found = RUNNER.invoke(app, ["data", *command, "--help"])

    assert found.exit_code == 0
    assert "python -m models data" in found.output
