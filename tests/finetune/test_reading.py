"""Reading labelled texts from CSV, TSV, JSONL and Parquet; faults named by file and row."""

import json
from pathlib import Path

import pytest

from models.dataset.corpus import joined
from models.dataset.read import Columns, load, read, read_corpus, tasks_of, texts_of
from models.dataset.table import LISTED
from models.errors import DataError
from models.labels import SENTIMENTS, TOPICS


def write(folder: Path, content: str) -> Path:
    path = folder / "texts.csv"
    path.write_text(content, "utf-8")
    return path


def test_numbers_are_labels_through_the_map_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "text,label\nDown we go,0\nUp we go,1\nAs before,2\n")
    (tmp_path / "labels.json").write_text('{"0": "Bearish", "1": "Bullish", "2": "Neutral"}')

    found = read(path, "sentiment")

    assert [SENTIMENTS[label] for label in found.labels] == ["negative", "positive", "neutral"]
    assert found.counts == {"negative": 1, "neutral": 1, "positive": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nFine,neutral\n ,neutral\n", r"texts\.csv, line 3: empty text"),
        ("text,label\nFine,great\n", r"texts\.csv, line 2: label 'great' is no sentiment class"),
        ("text,label\nFine,7\n", r"line 2: label '7'.*labels\.json"),
        ("title,label\nFine,neutral\n", r"no column text"),
        ("text,label\n", r"no rows below the header"),
        ('text,label\n"open,neutral\n', r"not valid CSV"),
    ],
)
def test_a_faulty_file_is_an_error_that_names_the_row(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, content), "sentiment")


def test_a_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("text,label\ncafé,neutral\n".encode("latin-1"))

    with pytest.raises(DataError, match="not UTF-8"):
        read(path, "sentiment")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.csv", "topic")


def row(text: str, split: str = "train", sentiment: str = "negative") -> str:
    return json.dumps(
        {"text": text, "split": split, "sentiment": sentiment, "topic": "Macro", "entities": []}
    )


def test_a_corpus_gives_the_texts_of_one_split_with_the_label_of_one_task(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join([row("Mill closes"), row("Mill opens", "test", "positive")]), "utf-8")

    train, test = read_corpus(path, "topic"), read_corpus(path, "sentiment", "test")

    assert ("Mill closes",) == train.texts
    assert [TOPICS.index("Macro")] == train.labels.tolist()
    assert ("Mill opens",) == test.texts
    assert [SENTIMENTS.index("positive")] == test.labels.tolist()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "line 2: not JSON"),
        ("[1]", "line 2: not an object but a list"),
        ('{"text": "a"}', "line 2: no label"),
        (row("  "), "line 2: empty text"),
        (row("a", sentiment="sad"), "line 2: label 'sad' is no sentiment class"),
    ],
)
def test_a_faulty_row_of_a_corpus_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(f"{row('fine')}\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=complaint):
        read_corpus(path, "sentiment")


def test_joined_corpora_keep_every_text_with_its_label(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(row("Mill closes"), "utf-8")
    tweets = read(write(tmp_path, "text,label\nMill opens,positive\n"), "sentiment")

    both = joined(tweets, read_corpus(path, "sentiment"))

    assert ("Mill opens", "Mill closes") == both.texts
    assert ["positive", "negative"] == [SENTIMENTS[i] for i in both.labels]


FORMATS = ("texts.csv", "texts.tsv", "texts.jsonl", "texts.parquet")


def written(folder: Path, name: str, rows: list[dict[str, object]]) -> Path:
    """Write the same rows in the format of the suffix."""
    import pandas as pd

    path, frame = folder / name, pd.DataFrame(rows)
    match path.suffix:
        case ".parquet":
            frame.to_parquet(path, index=False)
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True, force_ascii=False)
        case suffix:
            frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_same_corpus(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path,
        name,
        [
            {"text": 'Ore, he said, is "up"', "label": 1, "source": "wire", "date": "2024-05-01"},
            {
                "text": "Tin\nis\u2028flat",
                "label": 0,
                "source": "forum",
                "date": "2024-05-02",
            },
        ],
    )
    (tmp_path / "labels.json").write_text('{"0": "neutral", "1": "Bullish"}')

    found = read(path, "sentiment")

    assert ('Ore, he said, is "up"', "Tin\nis\u2028flat") == found.texts
    assert {"negative": 0, "neutral": 1, "positive": 1} == found.counts
    assert {"source": ("wire", "forum"), "date": ("2024-05-01", "2024-05-02")} == found.attributes
    assert ("forum",) == found.take([1]).attributes["source"]


@pytest.mark.parametrize("name", FORMATS)
def test_one_file_may_hold_the_labels_of_both_tasks(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [
        {"text": "Ore is up", "sentiment": "positive", "topic": "Macro"},
        {"text": "Tin is flat", "sentiment": None, "topic": "Markets"},
    ]
    path = written(tmp_path, name, rows)

    assert ("sentiment", "topic") == tasks_of(path)
    assert ("Ore is up",) == read(path, "sentiment").texts
    assert ("Ore is up", "Tin is flat") == read(path, "topic").texts


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_column_is_named_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, [{"title": "Ore is up", "label": "positive"}])

    with pytest.raises(DataError, match=r"no column text \(there are title, label\)"):
        read(path, "sentiment")
    assert ("Ore is up",) == read(path, "sentiment", columns=Columns(text="title")).texts


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_without_text_is_named(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [
        {"text": "Ore is up", "label": "positive"},
        {"text": None, "label": "positive"},
    ]
    number = {"texts.csv": "line 3", "texts.tsv": "line 3", "texts.jsonl": "line 2"}
    where = number.get(name, "row 2")

    with pytest.raises(DataError, match=f"{name}, {where}: empty text; remove the row"):
        read(written(tmp_path, name, rows), "sentiment")


def test_all_faults_of_a_file_are_listed_in_the_order_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(
        b"\xef\xbb\xbftext,label\r\n"
        b'"two\r\nlines",neutral\r\n'
        b",neutral\r\n"
        b"a,b,neutral\r\n"
        b"caf\xe9 closes,neutral\r\n"
        b"\r\n"
        b"zero\x00byte,neutral\r\n"
        b"fine,great\r\n"
        b"fine,\r\n"
        b'"quoted" badly,neutral\r\n'
        b"fine,positive\r\n"
    )

    found = load(path, "sentiment")

    assert ("two\r\nlines", "fine") == found.corpus.texts
    assert (f"{path}, line 2", f"{path}, line 12") == found.corpus.places
    assert [
        (4, "empty text"),
        (5, "3 cells under a header of 2"),
        (6, "not UTF-8 (byte 0xE9)"),
        (8, "a NUL byte"),
        (9, "label 'great' is no sentiment class"),
        (10, "no label"),
        (11, "not valid CSV (',' expected after '\"')"),
    ] == [(fault.number, fault.message.split(";")[0]) for fault in found.faults]
    with pytest.raises(DataError) as raised:
        read(path, "sentiment")
    assert [str(fault) for fault in found.faults] == str(raised.value).splitlines()


def test_of_many_faults_the_first_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "text,label\n" + ",neutral\n" * (LISTED + 5))

    with pytest.raises(DataError) as raised:
        read(path, "sentiment")

    lines = str(raised.value).splitlines()
    assert LISTED + 1 == len(lines)
    assert "… and 5 more faults, 25 in all" == lines[-1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"PK", r"'.xlsx' is not one of \.csv, \.tsv, \.jsonl, \.ndjson, \.parquet"),
        ("a.csv", b"", "no rows"),
        ("a.jsonl", b"\n\n", "no rows"),
        ("a.csv", "text,label\nx,neutral\n".encode("utf-16"), "UTF-16, not UTF-8; convert it"),
        ("a.csv", "text,label\nx,neutral\n".encode("utf-16-le"), "line 1: a NUL byte"),
        ("a.csv", b"text,label,text\nx,neutral,y\n", "two columns of one name"),
        ("a.parquet", b"PAR1 cut short", "not a readable Parquet file"),
        ("a.jsonl", b'{"text": 7, "label": "neutral"}\n', "line 1: the text is a int"),
        ("a.jsonl", b'{"text": "x", "label": true}\n', "line 1: the label is a bool"),
        ("a.jsonl", b'{"text": "\\ud800", "label": "neutral"}\n', "half of a surrogate pair"),
        ("a.jsonl", b"[" * 100_000, "line 1: not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DataError, match=message):
        read(path, "sentiment")


def test_a_quote_that_is_never_closed_is_named_by_the_row_that_opens_it(tmp_path: Path) -> None:
    path = write(tmp_path, 'text,label\nfine,neutral\n"open,neutral\nfine,neutral\n')

    with pytest.raises(DataError, match="line 3: not valid CSV: a quote that opens in this row"):
        read(path, "sentiment")


def test_the_task_of_a_file_is_the_one_that_its_labels_fit(
    tmp_path: Path, sentiment_file: Path, topic_file: Path
) -> None:
    assert ("sentiment",) == tasks_of(sentiment_file)
    assert ("topic",) == tasks_of(topic_file)
    with pytest.raises(DataError, match="say which it holds with --task"):
        tasks_of(write(tmp_path, "text,label\nfine,7\n"))


def test_texts_are_read_whatever_their_labels(tmp_path: Path) -> None:
    assert ["fine"] == texts_of(write(tmp_path, "text,label\nfine,great\n"))


def test_joined_corpora_keep_the_place_and_the_attributes_of_each_text(tmp_path: Path) -> None:
    first = read(write(tmp_path, "text,label,source\nOre is up,positive,wire\n"), "sentiment")
    path = tmp_path / "other.jsonl"
    path.write_text(row("Mill closes"), "utf-8")

    both = joined(first, read_corpus(path, "sentiment"))

    assert (f"{first.path}, line 2", f"{path}, line 1") == both.places
    assert {"source": ("wire", ""), "split": ("", "train")} == both.attributes
