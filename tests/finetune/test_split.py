"""Twins removed, parts drawn by class and by cluster of near-duplicates."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dataset import near
from models.dataset.corpus import Corpus
from models.dataset.read import read
from models.dataset.split import (
    deduplicate,
    divide,
    exclude,
    hold_out_together,
    without_twins,
)
from models.errors import DataError
from models.labels import LABELS, Task


def hold_out(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, Corpus]:
    return hold_out_together({corpus.task: corpus}, share, seed)[corpus.task]


def write(folder: Path, content: str) -> Path:
    path = folder / "texts.csv"
    path.write_text(content, "utf-8")
    return path


def invented(task: Task, sizes: list[tuple[int, int]]) -> Corpus:
    """Return a corpus with a cluster of near-duplicates for each (label, size)."""
    texts: list[str] = []
    labels: list[int] = []
    for cluster, (label, size) in enumerate(sizes):
        body = " ".join(f"{task}{cluster}word{i}" for i in range(12))
        texts.extend(f"{body} again {copy}" if copy else body for copy in range(size))
        labels.extend([label] * size)
    return Corpus(task, tuple(texts), np.asarray(labels, np.int64), Path("invented.csv"), "")


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


def test_twins_in_another_script_are_told_apart_by_their_own_letters() -> None:
    texts = ("A股 上涨 了", "A股 下跌 了", "A股上涨了！")
    found = deduplicate(Corpus("sentiment", texts, np.array([2, 0, 2]), Path("zh.csv"), ""))

    assert texts[:2] == found.texts


def test_texts_that_resemble_a_held_out_text_are_excluded() -> None:
    corpus = invented("sentiment", [(0, 3), (1, 1), (2, 2)])
    like_the_first = corpus.texts[0].upper() + " https://t.co/x"

    assert corpus.texts[3:] == exclude(corpus, [like_the_first]).texts
    assert corpus.texts == exclude(corpus, []).texts
    with pytest.raises(DataError, match="every text is a twin or near-duplicate"):
        exclude(corpus, corpus.texts)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), max_size=40),
    seed=st.integers(0, 99),
)
def test_a_cluster_never_straddles_parts_and_no_text_is_lost(
    sizes: list[tuple[int, int]], seed: int
) -> None:
    corpus = invented("sentiment", [*sizes, *((label, 1) for label in (0, 1, 2) * 3)])

    parts = divide({"sentiment": corpus}, {"train": 0.7, "valid": 0.2, "test": 0.1}, seed)

    texts = {name: part["sentiment"].texts for name, part in parts.items()}
    assert sorted(corpus.texts) == sorted(text for part in texts.values() for text in part)
    for name, part in texts.items():
        others = [text for other, found in texts.items() if other != name for text in found]
        assert 0 == len(near.across(part, others))
        assert set(parts[name]["sentiment"].counts.values()) & {0} == set()


def test_each_part_has_its_share_of_each_class_beside_clusters() -> None:
    rng = random.Random(1)
    sizes = [(rng.choice((0, 0, 0, 1, 2)), rng.choice((1,) * 20 + (2, 5, 9))) for _ in range(600)]
    corpus = invented("sentiment", sizes)

    parts = divide({"sentiment": corpus}, {"train": 0.8, "valid": 0.15, "test": 0.05}, seed=2)

    for name, share in (("train", 0.8), ("valid", 0.15), ("test", 0.05)):
        counts = parts[name]["sentiment"].counts
        for label, total in corpus.counts.items():
            assert counts[label] == pytest.approx(share * total, abs=1)


def test_the_same_seed_draws_the_same_parts_and_another_seed_others() -> None:
    corpus = invented("sentiment", [(label, 1 + i % 3) for label in (0, 1, 2) for i in range(20)])

    assert hold_out(corpus, 0.2, seed=5)[1].texts == hold_out(corpus, 0.2, seed=5)[1].texts
    assert hold_out(corpus, 0.2, seed=5)[1].texts != hold_out(corpus, 0.2, seed=6)[1].texts


def test_no_text_held_out_for_one_task_is_trained_on_for_another(
    sentiment_file: Path, topic_file: Path
) -> None:
    sentiment, topic = read(sentiment_file, "sentiment"), read(topic_file, "topic")
    shared = Corpus(
        "sentiment",
        (*sentiment.texts, *(f"{text} today" for text in topic.texts)),
        np.concatenate([sentiment.labels, np.arange(len(topic)) % 3]),
        sentiment_file,
        "",
    )

    whole: dict[Task, Corpus] = {"topic": topic, "sentiment": shared}

    found = hold_out_together(whole, 0.25, seed=3)

    for task, corpus in whole.items():
        held_out = found[task][1]
        for training, _ in found.values():
            assert 0 == len(near.across(training.texts, held_out.texts))
        for label, total in corpus.counts.items():
            assert held_out.counts[label] == pytest.approx(0.25 * total, abs=1)
    assert len(LABELS["topic"]) == len(set(found["topic"][1].labels.tolist()))


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.4}, {"a": 1.5, "b": -0.5}, {}])
def test_shares_that_are_no_division_are_an_error(shares: dict[str, float]) -> None:
    with pytest.raises(DataError, match="must be positive and sum to 1"):
        divide({"sentiment": invented("sentiment", [(0, 1)])}, shares, seed=0)


def test_a_class_of_one_cluster_cannot_be_divided() -> None:
    corpus = invented("sentiment", [(0, 5), (1, 1), (1, 1), (2, 1), (2, 1)])

    with pytest.raises(DataError, match=r"class 'negative' has 1 text\(s\), twins and"):
        hold_out(corpus, 0.5, seed=0)
