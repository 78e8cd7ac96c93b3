"""Explanations on the page: what is drawn of a file, and what is said of one that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from harness.page import Database, html
from streamlit.testing.v1 import AppTest

from dashboards.explanations import MOST, UnreadableError, card, read
from dashboards.palette import DARK, LIGHT, Palette
from models.explanation.record import Explanation, Word


def explanation(*words: tuple[str, float], class_: str = "negative", gap: int = 1) -> Explanation:
    placed, start = [], 0
    for text, score in words:
        placed.append(Word(start=start, end=start + len(text), text=text, score=score))
        start += len(text) + gap
    return Explanation(
        model="0123456789ab",
        task="sentiment" if class_ in ("negative", "positive") else "topic",
        words=tuple(placed),
        probability=0.91,
        difference=1.5,
        completeness_error=0.012,
        steps=16,
        baseline="pad",
        **{"class": class_},
    )


def grounds(shown: str) -> dict[str, tuple[str, int]]:
    """Return colour and opacity (0 to 255) of each word's ground."""
    pattern = r'<span style="background:(#\w{6})(\w\w)"[^>]*><bdi>([^<]*)</bdi>'
    return {word: (colour, int(depth, 16)) for colour, depth, word in re.findall(pattern, shown)}


SOURCE = explanation(("Porvoo", 0.0), ("plunges", 2.0), ("yet", -0.5), ("gains", -2.0))


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_a_word_is_coloured_by_what_it_says_and_as_deep_as_it_says_it(palette: Palette) -> None:
    found = grounds(card(SOURCE, palette))

    assert palette.negative == found["plunges"][0]
    assert palette.positive == found["yet"][0] == found["gains"][0]
    assert 0 == found["Porvoo"][1] < found["yet"][1] < found["gains"][1] == found["plunges"][1]
    assert found["gains"][1] < 255 * 0.7, "the letters on it must stay readable"


def test_warm_is_what_speaks_for_negative_and_against_all_else() -> None:
    rise = explanation(("soars", 1.0), ("falls", -1.0), class_="positive")

    found = grounds(card(rise, LIGHT))

    assert (LIGHT.positive, LIGHT.negative) == (found["soars"][0], found["falls"][0])


def test_the_figures_behind_the_colours_stand_beside_them() -> None:
    shown = card(SOURCE, LIGHT)

    for part in ("probability 91 %", "completeness error 1.2 %", "+1.50", "0123456789ab"):
        assert part in shown
    strongest = shown[shown.index("strongest:") :]
    assert strongest.index("plunges") < strongest.index("yet") < strongest.index("Porvoo")
    assert 'title="\N{MINUS SIGN}2.00"' in shown


@pytest.mark.parametrize(("gap", "between"), [(0, ""), (1, " "), (24, " … ")])
def test_what_was_not_read_between_two_words_is_an_ellipsis(gap: int, between: str) -> None:
    found = explanation(("up", 1.0), ("3%", 0.5), gap=gap)

    words = re.sub(r"<[^>]*>", "", card(found, LIGHT).split('class="m-words">')[1].split("</p>")[0])

    assert f"up{between}3%" == words


def test_an_explanation_without_words_or_scores_is_drawn_too() -> None:
    assert "No word of it was read." in card(explanation(), LIGHT)
    assert 0 == grounds(card(explanation(("flat", 0.0)), LIGHT))["flat"][1]


def test_words_are_text_whatever_they_hold() -> None:
    shown = card(explanation(("<img", 1.0), ("src=x\u202e>", -1.0)), LIGHT)

    assert "<img" not in shown
    assert "&lt;img" in shown
    assert "\u202e" not in shown


def test_a_file_of_several_lines_gives_its_explanations_in_order() -> None:
    rise = explanation(("soars", 1.0), class_="positive")

    found = read(f"\ufeff{SOURCE.as_json()}\n\n{rise.as_json()}\n".encode())

    assert (SOURCE, rise) == found


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"text,label\n", "Line 1: Invalid JSON"),
        ((SOURCE.as_json() + '\n{"version": 1}').encode(), "Line 2, model: Field required"),
        (SOURCE.as_json().replace('"version":1', '"version":2').encode(), "Line 1, version"),
        (SOURCE.as_json().replace('"negative"', '"Macro"').encode(), "is none of sentiment"),
    ],
)
def test_a_file_that_holds_no_explanations_is_said_to_be_so(content: bytes, complaint: str) -> None:
    with pytest.raises(UnreadableError, match=complaint):
        read(content)


def uploaded(page: Callable[[], AppTest], content: bytes) -> AppTest:
    test = page()
    test.file_uploader(key="explanation_file").set_value(
        ("why.jsonl", content, "application/json")
    ).run()
    assert list(test.exception) == []
    return test


def test_a_file_that_is_given_to_the_page_is_drawn_there(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    shown = html(uploaded(page, (SOURCE.as_json() + "\n").encode()))

    assert grounds(card(SOURCE, LIGHT)).items() <= grounds(shown).items()


def test_a_file_that_cannot_be_drawn_is_a_message_and_the_page_goes_on(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    test = uploaded(page, json.dumps({"version": 9}).encode())

    assert "This file can&#x27;t be drawn." in html(test)
    assert 6 == len(test.metric)


def test_of_a_long_file_the_first_are_drawn_and_the_rest_counted(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    test = uploaded(page, ((SOURCE.as_json() + "\n") * (MOST + 3)).encode())

    assert MOST == html(test).count("completeness error")
    assert f"The first {MOST} of {MOST + 3}." in [caption.value for caption in test.caption]
