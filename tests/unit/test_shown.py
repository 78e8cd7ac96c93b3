"""When two documents tell the same story, and how one is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import Evidence
from monitor.story.shown import EXCERPT, excerpt, most_negative, stories, story


@given(st.text(max_size=2_000))
def test_an_excerpt_is_short_on_one_line_and_its_own_excerpt(text: str) -> None:
    shown = excerpt(text)
    assert len(shown) <= EXCERPT
    assert len(shown.splitlines()) <= 1
    assert shown == excerpt(shown)


def test_a_cut_falls_between_two_words() -> None:
    assert excerpt("harbour " * 99).endswith("harbour…")


@pytest.mark.parametrize(
    "copy",
    ["ORDERS FELL – AGAIN", "“Orders” fell: again!", "  orders\tfell again", "Ｏrders fell again"],
)
def test_agencies_that_differ_in_quotes_dashes_spaces_and_case_tell_one_story(copy: str) -> None:
    assert story("Orders fell again", "one text") == story(copy, "another")


def test_without_a_title_the_beginning_of_the_text_tells() -> None:
    assert story("", "Orders fell again. And more") == story(" ", "orders fell again; and more")
    assert story("", "Orders fell") != story("", "Orders rose")


def test_stories_are_the_first_of_each() -> None:
    told = [("a", "Orders fell", ""), ("b", "orders fell!", ""), ("c", "Rates rose", "")]
    assert ["a", "c"] == stories(told, 5)
    assert ["a"] == stories(told, 1)
    assert [] == stories(told, 0)


def piece(identifier: str, title: str, negative: float) -> Evidence:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return Evidence(identifier, at, "wire", title, None, negative)


def test_the_most_negative_of_each_story_comes_first_and_no_story_twice() -> None:
    found = most_negative(
        [
            piece("a", "Orders fell", 0.7),
            piece("b", "“Orders” fell", 0.9),
            piece("c", "Rates rose", 0.8),
            piece("d", "Rain", 0.1),
        ],
        2,
    )
    assert ["b", "c"] == [e.document_id for e in found]
