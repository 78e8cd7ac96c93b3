"""What stories are told by: prints, keys, the index, likeness; and what labelled pairs say."""

from __future__ import annotations

import numpy as np
import pytest
from harness.pairs import pairs, score, told
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.story.fingerprint import (
    FIGURE,
    NAME,
    SHORT,
    WIDTH,
    Words,
    packed,
    prints,
    unpacked,
)
from monitor.story.index import DEPTH, KEYS, MOST, Index, keys_of
from monitor.story.likeness import contained, copies, opposed
from monitor.story.opposites import OPPOSITES, TURNS, sides

PLAIN = 0xFFFF & ~NAME


def words(text: str) -> list[int]:
    found = prints([text])
    return [int(word) for word in found.words[0, : found.sizes[0]]]


def plain(text: str) -> list[int]:
    return [word & PLAIN for word in words(text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller’s orders", "MULLER'S ORDERS"),
        ("ｏｒｄｅｒｓ", "orders"),
        ("$640m, or 3.5%", "$ 640 M or 3.5 %"),
        ("RT @wire_1: orders fell", "orders fell"),
        ("@Wire24_7 orders fell", "orders fell"),
        ("orders@fell", "orders"),
        ("日本3社", "日本 3 社"),
        ("orders fell via @wire", "orders fell"),
        ("orders fell @wire", "orders fell"),
        ("Quayline shut its basin - Harbour Wire", "Quayline shut its basin"),
        ("Quayline shut its basin | Wire", "Quayline shut its basin"),
        ("٣ orders", "3 orders"),
    ],
)
def test_what_agencies_and_wrappers_change_changes_no_word(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order", "orders"),
        ("stressed desserts", "desserts stressed"),
        ("1.5", "15"),
        ("1,200", "1,201"),
        ("rt and via are words", "and are words"),
        ("orders - fell again", "orders"),
    ],
)
def test_what_makes_another_text_changes_the_words(one: str, other: str) -> None:
    assert plain(one) != plain(other)


def test_figures_names_short_and_turning_words_are_marked() -> None:
    of, harbour, lost, share, q, three = words("of Harbour lost. Shares Q3")
    assert SHORT == of & (FIGURE | NAME | SHORT)
    assert NAME == harbour & (FIGURE | NAME | SHORT)
    assert FIGURE | SHORT == lost & (FIGURE | NAME | SHORT)
    assert TURNS[(lost & 0x1FFF) - 1] == "lost"
    assert 0 == share & NAME  # begins a sentence
    assert SHORT == q & (FIGURE | SHORT)
    assert FIGURE == three & (FIGURE | NAME | SHORT)


def test_each_character_of_a_script_without_spaces_is_a_word() -> None:
    assert 7 == len(words("日本銀行は金利"))


def test_texts_do_not_lean_on_their_neighbours_in_a_batch() -> None:
    texts = ["@wire", "RT", "@wire: orders", "", "via", "@", "3.", "5 orders", "😀"] * 70
    together = prints(texts)
    for row, text in enumerate(texts):
        alone = prints([text])
        assert together.sizes[row] == alone.sizes[0]
        assert (together.words[row] == alone.words[0]).all()


@settings(deadline=None)
@given(st.lists(st.text(max_size=300), max_size=6))
def test_any_text_has_a_print_that_survives_storage(texts: list[str]) -> None:
    found = prints(texts)
    again = unpacked(packed(found.words, found.sizes))
    assert (found.words == again.words).all()
    assert found.sizes.tolist() == again.sizes.tolist()
    assert ((found.words > 0).sum(axis=1) == found.sizes).all()


def test_a_print_does_not_change_from_one_version_to_the_next() -> None:
    """Stored prints are compared with new ones: another hash needs a migration."""
    assert [0x3C01, 0x5531, 0x9BC1, 0xA007] == words("the Harbour 3.5 rose")


@settings(deadline=None)
@given(st.integers(3, 300), st.data())
def test_a_text_cut_short_shares_a_key(length: int, data: st.DataObject) -> None:
    text = [f"word{n * n}" for n in range(length)]  # two words each
    cut = data.draw(st.integers(3, length))
    whole, part = keys_of(prints([" ".join(text), " ".join(text[:cut])]))
    if cut >= 10 or length <= 9:
        assert (set(whole.tolist()) & set(part.tolist())) - {0}
    assert (whole > 0).sum() <= KEYS


def test_fewer_words_than_a_gram_have_no_key() -> None:
    assert not keys_of(prints(["two words", ""])).any()


def test_an_index_finds_what_was_added_until_it_is_removed() -> None:
    index = Index(100)
    texts = [" ".join(str(100 * n + i) for i in range(12)) for n in range(50)]
    keys = keys_of(prints(texts))
    rows = np.arange(50)
    index.add(keys, rows)
    asked, found, shared = index.near(keys)
    same = asked == found
    assert rows.tolist() == sorted(found[same].tolist())
    assert (shared[same] == (keys > 0).sum(axis=1)[found[same]]).all()

    index.remove(keys[:25], rows[:25])

    _, found, _ = index.near(keys)
    assert set(range(25, 50)) == set(found.tolist())


@pytest.mark.parametrize("step", [1, 7, 40])
def test_of_a_crowded_turn_of_phrase_the_newest_are_found(step: int) -> None:
    index = Index(100)
    keys = np.zeros((40, KEYS), np.uint32)
    keys[:, 0] = 12_345
    for first in range(0, 40, step):
        rows = np.arange(first, min(first + step, 40))
        index.add(keys[rows], rows)
    _, found, _ = index.near(keys[:1])
    assert list(range(40 - DEPTH, 40)) == sorted(found.tolist())


@pytest.mark.parametrize("rows", [0, MOST + 1])
def test_an_index_knows_its_bounds(rows: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        Index(rows)


def both(one: str, other: str) -> tuple[Words, Words]:
    found = prints([one, other])
    return found.words[:1], found.words[1:]


def test_figures_and_names_weigh_more_than_other_words() -> None:
    text = "the harbour of Ostwick handled 340 ships in total"
    without = {
        word: float(contained(*both(text, text.replace(word, "other")))[0])
        for word in ("340", "Ostwick", "ships", "of")
    }
    assert sorted(without, key=without.__getitem__) == ["340", "Ostwick", "ships", "of"]


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ("the court approved the sale", "the court rejected the sale", True),
        ("the court approved the sale", "the court upheld the sale", False),
        ("the mine did not reopen in May", "the mine did reopen in May", True),
        ("the mine didn't reopen in May", "the mine reopen in May", False),
        ("sales rose, then fell again", "sales fell", False),
        ("sales rose", "sales climbed", False),
        ("sales rose", "sales rose but the court rejected it", False),
    ],
)
def test_the_opposite_of_a_report_is_told(one: str, other: str, answer: bool) -> None:
    assert answer == opposed(*both(one, other))[0]
    assert answer == opposed(*both(other, one))[0]


def test_no_word_stands_on_both_sides_of_a_pair() -> None:
    assert not [pair for pair in OPPOSITES if {*pair[0].split()} & {*pair[1].split()}]
    assert len(OPPOSITES) <= 32  # bits
    assert all(len(side) == len(TURNS) for side in sides())


@settings(deadline=None)
@given(st.lists(st.text("abc 12.N", max_size=60), min_size=2, max_size=8))
def test_likeness_is_the_same_from_both_sides_and_in_any_company(texts: list[str]) -> None:
    found = prints(texts)
    n = len(texts)
    left, right = (side.ravel() for side in np.mgrid[0:n, 0:n])
    table = copies(found, left, right).reshape(n, n)
    assert (table == table.T).all()
    alone = copies(found, np.array([0]), np.array([1]))
    assert table[0, 1] == alone[0]


def test_long_texts_are_compared_by_their_beginning() -> None:
    begin = " ".join(f"word{n}" for n in range(WIDTH))
    found = prints([begin + " and so on", begin + " but otherwise"])
    assert (found.words[0] == found.words[1]).all()


def test_f1_of_labelled_pairs_is_at_least_95_in_100() -> None:
    found = pairs("test")
    assert 250 <= len(found)
    result = score([pair.same for pair in found], [told(pair) for pair in found])
    assert 0.95 <= result.f1, result
