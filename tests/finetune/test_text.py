"""The one normalisation of texts, and what makes two of them twins."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import MAX_CHARACTERS, normalise, twin_key


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


@given(st.text(alphabet=string.printable + "\x00\x1c\x7f\x85", max_size=60))
def test_plain_texts_take_a_short_way_to_the_same_end(text: str) -> None:
    # A character beyond ASCII sends the text the long way.
    assert normalise("é " + text) == f"é {normalise(text)}".strip()
