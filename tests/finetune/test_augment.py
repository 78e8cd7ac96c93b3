"""Augmentation keeps labels by construction: what it may change, and what not."""

import re

import numpy as np
import pytest

from models.training.augment import KINDS, augmented, numbers

TEXTS = (
    "Tesla and Toyota cut prices in Germany, but not in France",
    "$AAPL target raised to $45.50 from $34 at Brimwell",
    "Operating profit fell to EUR 9.2 mn from EUR 1.1 bn, a margin of 4 %",
    "Orders rose 12% in 2019 and 12% in 2020, says the 3-month report of 5 May",
    "PMI rises to 50.2 in May",
    "short one",
)


def many(kind: str, text: str, times: int = 50) -> set[str]:
    rng = np.random.default_rng(0)
    return {KINDS[kind](text, rng) for _ in range(times)}


def test_the_same_seed_gives_the_same_changes() -> None:
    first = [augmented(text, np.random.default_rng(7)) for text in TEXTS]
    second = [augmented(text, np.random.default_rng(7)) for text in TEXTS]

    assert first == second
    assert len(set(first) - set(TEXTS)) >= 5


def test_typos_spare_short_words_numbers_and_names() -> None:
    text = "Profit did not rise, up was $AAPL only 12.5 for traders"

    found = many("typos", text)

    assert len(found) > 5
    kept = ("did", "not", "rise", "up", "was", "$AAPL", "only", "12.5", "for", "Profit")
    assert all(set(re.findall(r"[\w$.]+", one)).issuperset(kept) for one in found)


def test_numbers_keep_every_direction_across_units() -> None:
    found = many("numbers", TEXTS[2])

    assert len(found) > 5
    for one in found:
        low, high, margin = re.findall(r"\d+\.?\d*", one)
        assert re.sub(r"\d+\.?\d*", "#", TEXTS[2]) == re.sub(r"\d+\.?\d*", "#", one)
        assert float(low) < float(high) * 1000
        assert float(low) > float(high)
        assert float(margin) > float(high)


def test_equal_numbers_stay_equal_and_years_stay_years() -> None:
    found = many("numbers", TEXTS[3])

    assert len(found) > 3
    for one in found:
        first, second = re.findall(r"(\d+)%", one)
        assert first == second
        assert ("2019", "2020", "3-month", "5 May") == tuple(
            part for part in ("2019", "2020", "3-month", "5 May") if part in one
        )


@pytest.mark.parametrize(
    "text",
    [
        "PMI rises to 50.2 in May",
        "Sales doubled to $4 million from $2 million",
        "Apple opened 12 stores on 24/7 hours",
        "Growth of 0%",
    ],
)
def test_numbers_that_are_judged_against_something_else_stay(text: str) -> None:
    rng = np.random.default_rng(0)

    assert {text} == {numbers(text, rng) for _ in range(20)}


def test_a_cashtag_loses_its_sign_and_amounts_keep_theirs() -> None:
    assert {"AAPL target raised to $45.50 from $34 at Brimwell"} == many("cashtags", TEXTS[1])


def test_companies_of_one_trade_are_exchanged_one_for_one() -> None:
    found = many("companies", "Tesla beats Toyota, and Tesla knows it; $TSLA up")

    assert len(found) > 5
    for one in found:
        first, second, third, symbol = re.fullmatch(  # type: ignore[union-attr]
            r"(.+) beats (.+), and (.+) knows it; \$(\w+) up", one
        ).groups()
        assert first == third != second
        assert {"Tesla", "Toyota", "TSLA"} & {first, second, symbol} == set()


def test_countries_are_exchanged_one_for_one() -> None:
    found = many("countries", "France sells to Germany; France gains")

    assert len(found) > 5
    for one in found:
        first, second, third = re.fullmatch(  # type: ignore[union-attr]
            r"(.+) sells to (.+); (.+) gains", one
        ).groups()
        assert first == third != second
        assert {"France", "Germany"} & {first, second} == set()


def test_a_text_with_nothing_to_change_stays() -> None:
    assert "12345" == augmented("12345", np.random.default_rng(0))
