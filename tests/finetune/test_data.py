"""Reading labelled texts, twins, held-out parts."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.dataset.read import read
from models.dataset.split import deduplicate, hold_out, without_twins
from models.errors import DataError
from models.labels import SENTIMENTS, TOPICS
from models.text import MAX_CHARACTERS, normalise, twin_key


def write(folder: Path, content: str) -> Path:
    path = folder / "texts.csv"
    path.write_text(content, "utf-8")
    return path


def test_texts_that_differ_only_in_links_case_and_punctuation_are_twins() -> None:
    assert twin_key("Mill closes!  https://t.co/abc1") == twin_key("“mill” CLOSES")
    assert twin_key("Mill closes") != twin_key("Mill closed")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Profit &amp; loss", "Profit & loss"),
        ("Read https://t.co/Xy12 now www.example.org/a", "Read now"),
        ("a\u200b\x00b\t\n c", "a b c"),
        ("It’s “fine” – really…", 'It\'s "fine" - really...'),
        ("Itâ€™s up", "It's up"),
        ("cafÃ© closes", "café closes"),
        ("Âme and Ô stay", "Âme and Ô stay"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("   ", ""),
    ],
)
def test_a_text_is_normalised(raw: str, expected: str) -> None:
    assert normalise(raw) == expected


def test_an_over_long_text_is_cut_before_any_other_work() -> None:
    assert len(normalise("x" * 200_000)) == MAX_CHARACTERS


def test_of_twins_the_first_stays_and_contradictions_go(tmp_path: Path) -> None:
    found = deduplicate(
        read(
            write(
                tmp_path,
                "text,label\nOre is up,positive\nore is UP!,positive\nTin is flat,neutral\n"
                "Tin is flat.,negative\nhttps://t.co/only,neutral\n",
            ),
            "sentiment",
        )
    )

    assert found.texts == ("Ore is up",)


def test_validation_texts_with_a_twin_in_training_are_removed(tmp_path: Path) -> None:
    corpus = read(
        write(tmp_path, "text,label\nOre is up,positive\nTin is flat,neutral\n"), "sentiment"
    )

    found = without_twins(corpus, ["ORE is up https://t.co/z", "Zinc is gone"])

    assert found.texts == ("Tin is flat",)
    with pytest.raises(DataError, match="every text has a twin"):
        without_twins(corpus, corpus.texts)


def test_the_held_out_part_has_its_share_of_each_class_and_shares_no_text(topic_file: Path) -> None:
    corpus = read(topic_file, "topic")

    training, held = hold_out(corpus, 0.25, seed=4)

    assert set(held.counts.values()) == {1}
    assert set(training.counts.values()) == {3}
    assert sorted(training.texts + held.texts) == sorted(corpus.texts)
    again = hold_out(corpus, 0.25, seed=4)[1]
    assert np.array_equal(again.labels, held.labels)
    assert again.texts == held.texts


def test_a_class_with_a_single_text_cannot_be_held_out(tmp_path: Path) -> None:
    corpus = read(write(tmp_path, "text,label\nA,neutral\nB,neutral\nC,positive\n"), "sentiment")

    with pytest.raises(DataError, match="class 'negative' has 0"):
        hold_out(corpus, 0.5, seed=1)


CORPUS = Path(__file__).parents[2] / "models" / "data" / "corpus.jsonl"


def test_the_corpus_of_the_repository_is_whole() -> None:
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    keys = [twin_key(r["text"]) for r in rows]
    assert len(set(keys)) == len(rows)
    for r in rows:
        for entity in r["entities"]:
            assert r["text"][entity["start"] : entity["end"]].strip()
            assert (entity["type"] == "organisation") == ("sentiment" in entity)
    assert set(SENTIMENTS) == {r["sentiment"] for r in rows}
    assert set(TOPICS) == {r["topic"] for r in rows}
    assert 0.07 < Counter(r["split"] for r in rows)["test"] / len(rows) < 0.13
