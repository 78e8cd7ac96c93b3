"""What the evidence of an alarm must have before anybody is paged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from harness.samples import evidence, reading

from monitor.detect.gates import Exhibit, Gates, Speaker, lacks


def exhibit(speakers: Mapping[Speaker, int]) -> Exhibit:
    return Exhibit(evidence(3), {"s": 1}, speakers)


WIRES: dict[Speaker, int] = {("a", None): 4, ("b", None): 4, ("c", None): 4}


@pytest.mark.parametrize(
    ("documents", "rate", "lacking"),
    [
        (20, 50.0, ""),
        (19, 50.0, "19 of 20 independent voices"),
        (5, 2.0, ""),
        (4, 2.0, "4 of 5 independent voices"),
    ],
)
def test_a_busy_key_must_show_more(documents: int, rate: float, lacking: str) -> None:
    asked = replace(reading(documents=documents), rate=rate)
    assert lacking == lacks(asked, exhibit(WIRES), Gates())


def test_documents_that_nobody_signed_are_authors_of_their_own() -> None:
    assert (3, 12) == (exhibit(WIRES).sources, exhibit(WIRES).authors)
    assert "" == lacks(reading(), exhibit(WIRES), Gates())


def test_one_author_in_three_forums_is_one_author() -> None:
    one = exhibit({("a", "ann"): 30, ("b", "ann"): 30, ("c", "ann"): 30})
    assert (3, 1) == (one.sources, one.authors)
    assert "1 of 3 authors" == lacks(reading(), one, Gates())


def test_one_source_is_not_enough_however_many_write_in_it() -> None:
    forum = exhibit({("a", f"author-{i}"): 1 for i in range(40)})
    assert "1 of 3 sources" == lacks(reading(), forum, Gates())


@pytest.mark.parametrize(
    ("documents", "negative", "lacking"),
    [
        (8, 3, ""),
        (8, 2, "2 of 3 negative voices"),
        (40, 9, "9 of 10 negative voices"),
        (40, 10, ""),
    ],
)
def test_much_talk_of_which_little_is_bad_pages_nobody(
    documents: int, negative: int, lacking: str
) -> None:
    asked = replace(reading(documents=documents), negative=negative)
    assert lacking == lacks(asked, exhibit(WIRES), Gates())
    assert "" == lacks(asked, exhibit(WIRES), Gates(negative=0, negative_share=0.0))
