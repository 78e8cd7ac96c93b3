"""Near-duplicates: the join misses nothing and invents nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.dataset import near

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join), max_size=14)


def jaccard(first: str, second: str) -> float:
    a, b = set(near.ngrams(near.words(first))), set(near.ngrams(near.words(second)))
    return len(a & b) / len(a | b) if a | b else 0.0


@settings(max_examples=300, deadline=None)
@given(texts=TEXTS, threshold=st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_clusters_are_those_of_comparing_each_pair(texts: list[str], threshold: float) -> None:
    cluster = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if jaccard(texts[i], texts[j]) >= threshold:
                cluster = [cluster[j] if c == cluster[i] else c for c in cluster]

    found = near.clusters(texts, threshold).tolist()

    assert len(set(cluster)) == len(set(zip(cluster, found, strict=True))) == len(set(found))


@settings(max_examples=300, deadline=None)
@given(texts=TEXTS, others=TEXTS)
def test_a_text_has_a_partner_across_files_when_comparing_each_pair_finds_one(
    texts: list[str], others: list[str]
) -> None:
    expected = [i for i, a in enumerate(texts) if any(jaccard(a, b) >= 0.5 for b in others)]

    found = near.across(texts, others)

    assert expected == sorted(set(found.left.tolist()))
    for i, j, value in zip(found.left, found.right, found.jaccard, strict=True):
        assert value == pytest.approx(jaccard(texts[i], others[j]))


def test_pairs_name_both_rows_and_their_jaccard_index() -> None:
    texts = [
        "the mill in the north closes its gates",
        "something else entirely happened in the south",
        "The mill in the north closes its gates: https://t.co/x",
        "the mill in the north closes its doors",
    ]

    found = near.within(texts)

    pairs = zip(found.left.tolist(), found.right.tolist(), found.jaccard.round(3), strict=True)
    assert [(0, 2, 1.0), (0, 3, 0.714)] == sorted(pairs)


def test_texts_without_words_resemble_nothing() -> None:
    assert 0 == len(near.within(["", "!!", "https://t.co/a", "!!"]))
    assert 4 == len(set(near.clusters(["", "!!", "", "🚀"]).tolist()))


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    texts = [
        "央行宣布下调存款准备金率零点五个百分点",
        "央行宣布下调存款准备金率零点二个百分点",
        "股市上涨",
    ]

    assert [(0, 1)] == list(zip(*(f.tolist() for f in pairs_of(texts)), strict=True))


def pairs_of(texts: list[str]) -> tuple[near.Rows, near.Rows]:
    found = near.within(texts)
    return found.left, found.right


def test_a_text_that_occurs_often_is_tied_to_its_first_copy_only() -> None:
    assert 299 == len(near.within(["the mill closes its gates"] * 300))
