"""Linking: what a text names, and what it only seems to name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from harness.linking import read, tally, total
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text import normalise
from monitor.entity.gazetteer import load
from monitor.entity.link import Linker
from monitor.entity.reading import Link, Span
from monitor.entity.symbols import symbol_of

DATA = Path(__file__).parents[1] / "testdata" / "linking.jsonl"
MARCH_2023 = datetime(2023, 3, 10, tzinfo=UTC)


@cache
def linker(*, products: bool = True) -> Linker:
    return Linker(load(), products=products)


def links(
    text: str,
    spans: Sequence[Span] = (),
    tickers: Sequence[str] = (),
    at: datetime = MARCH_2023,
) -> list[Link]:
    return linker().link(text, spans, tickers, at)


def keys(text: str, **more: object) -> list[str]:
    return [link.key for link in links(text, **more)]  # type: ignore[arg-type]


def span_of(text: str, surface: str, kind: str = "organisation", score: float = 0.99) -> Span:
    start = text.index(surface)
    return Span(start, start + len(surface), kind, score)  # type: ignore[arg-type]


def test_our_own_sentences_are_linked_as_labelled() -> None:
    whole = total(tally(text, linker()) for text in read(DATA))
    assert 150 < whole.due
    assert whole.precision >= 0.97, whole.faults
    assert whole.recall >= 0.98, whole.faults


@pytest.mark.parametrize("labelled", list(read(DATA)), ids=lambda t: t.text[:40])
def test_our_own_sentences_are_normalised_texts(labelled: object) -> None:
    assert normalise(labelled.text) == labelled.text  # type: ignore[attr-defined]


def test_a_symbol_means_what_it_meant_at_that_time() -> None:
    text = "$FB and $META shares"
    assert ["company:US:META"] == keys("$FB up, stock soars", at=datetime(2014, 6, 1, tzinfo=UTC))
    assert ["company:US:META"] == keys("$META up, stock soars", at=datetime(2024, 6, 1, tzinfo=UTC))
    assert ["company:US:SICP"] == keys("$SI calls", at=datetime(2023, 3, 1, tzinfo=UTC))
    later = keys(text, at=datetime(2024, 6, 1, tzinfo=UTC))
    assert "company:US:META" == later[-1]


def test_the_name_of_a_delisted_company_goes_on_and_its_symbol_does_not() -> None:
    later = datetime(2025, 1, 1, tzinfo=UTC)
    assert ["company:US:SIVB"] == keys("Silicon Valley Bank failed in 2023.", at=later)
    meaning = symbol_of(linker().gazetteer, "SIVB", later.toordinal())
    assert meaning is None


def test_a_short_form_in_brackets_counts_for_the_name_before_it() -> None:
    text = "The Halden Marine Bank (HMB) lost deposits on Monday, and HMB staff stayed at home."
    assert ["name:halden marine bank"] * 3 == keys(text)


def test_a_text_that_gives_a_short_form_to_another_name_takes_it_from_the_company() -> None:
    text = "The Enforcement Conduct Board (ECB) wrote to the firms, and the ECB wants answers."
    assert [] == keys(text)
    assert ["name:european central bank"] == keys("The ECB wants answers from the banks.")


def test_the_model_s_organisations_have_keys_of_their_own() -> None:
    text = "Analysts at Norvane cut their view of Brightwell Foods plc after a poor quarter."
    assert [] == keys("Analysts at Norvane cut their view after a poor quarter.")
    spans = [span_of(text, "Norvane"), span_of(text, "Brightwell Foods plc")]
    assert ["name:norvane", "name:brightwell foods"] == keys(text, spans=spans)


def test_a_user_name_that_no_list_knows_is_no_company() -> None:
    text = "RT @harborwatch: Norvane is out of cash, says @NorvaneNews"
    spans = [span_of(text, name) for name in ("harborwatch", "@NorvaneNews", "Norvane")]
    assert ["name:norvane"] == keys(text, spans=spans)


def test_a_shorter_form_of_an_organisation_counts_for_the_longer_one() -> None:
    text = "Brightwell Foods plc fell, and Brightwell said why."
    last = text.rindex("Brightwell")
    spans = [span_of(text, "Brightwell Foods plc"), Span(last, last + 10, "organisation", 0.9)]
    assert ["name:brightwell foods"] * 2 == keys(text, spans=spans)


def test_an_ampersand_inside_a_name_does_not_end_it() -> None:
    text = "Depositors leave Tamber & Rhys; tamber & rhys fell."
    again = text.rindex("tamber")
    spans = [
        span_of(text, "Tamber &"),
        span_of(text, "Rhys"),
        Span(again, again + 8, "organisation", 0.9),  # the rest was not seen
    ]
    found = links(text, spans)
    assert ["Tamber & Rhys", "tamber & rhys"] == [link.surface for link in found]
    assert {"name:tamber & rhys"} == {link.key for link in found}
    apart = "Norvane & Brightwell fell."  # two, says the model
    spans = [span_of(apart, "Norvane"), span_of(apart, "Brightwell")]
    assert ["name:norvane", "name:brightwell"] == keys(apart, spans=spans)


def test_a_listed_name_in_small_letters_is_the_company_where_the_model_sees_it_too() -> None:
    text = "got my deposit out of credit suisse last week"
    assert [] == keys(text)
    assert ["company:CH:CSGN"] == keys(text, spans=[span_of(text, "credit suisse")])


def test_a_part_of_a_name_counts_for_the_name_that_the_text_has_in_full() -> None:
    text = "Rhys is shut. Tamber says no more, and Tamber & Rhys is out of cash, as is Norvane."
    spans = [span_of(text, name) for name in ("Rhys", "Tamber", "Tamber & Rhys", "Norvane")]
    assert [*["name:tamber & rhys"] * 3, "name:norvane"] == keys(text, spans=spans)
    assert ["name:rhys"] == keys(text, spans=spans[:1])


def test_a_symbol_of_no_list_is_one_company_with_and_without_its_dollar() -> None:
    text = "worked at $TAMR treasury, TAMR is broke"
    bare = Span(text.rindex("TAMR"), text.rindex("TAMR") + 4, "organisation", 0.9)
    assert ["company:US:TAMR"] * 2 == keys(text, spans=[span_of(text, "$TAMR"), bare])
    assert ["company:US:TAMR"] * 2 == keys(text, spans=[bare], tickers=["TAMR"])
    assert [] == keys(text)
    alone = "TAMR is broke"
    assert ["company:US:TAMR"] == keys(alone, spans=[span_of(alone, "TAMR")], tickers=["TAMR"])
    assert ["name:tamr"] == keys(alone, spans=[span_of(alone, "TAMR")])
    fund = "SPY is down"
    assert ["name:spy"] == keys(fund, spans=[span_of(fund, "SPY")], tickers=["SPY"])


def test_the_model_decides_about_an_everyday_word() -> None:
    text = "Block Adds Features"
    assert [] == keys(text)
    assert ["company:US:XYZ"] == keys(text, spans=[span_of(text, "Block")])
    person = "Mr. Ellwood and Tyson agreed on the price of the company."
    assert [] == keys(person, spans=[span_of(person, "Tyson", "person")])


def test_a_longer_span_of_the_model_makes_another_organisation() -> None:
    text = "The Visa Workers Alliance met the company in Leeds."
    spans = [span_of(text, "Visa Workers Alliance")]
    assert ["name:visa workers alliance"] == keys(text, spans=spans)


def test_a_span_that_the_model_doubts_says_nothing() -> None:
    text = "Analysts at Norvane cut their view after a poor quarter."
    assert [] == keys(text, spans=[span_of(text, "Norvane", score=0.3)])
    assert [] == keys(text, spans=[span_of(text, "Norvane", score=0.9)])


def test_a_doubtful_span_counts_for_a_name_that_the_text_has_elsewhere() -> None:
    text = "Norvane fell. Analysts left Norvane alone."
    last = text.rindex("Norvane")
    spans = [span_of(text, "Norvane"), Span(last, last + 7, "organisation", 0.7)]
    assert ["name:norvane"] * 2 == keys(text, spans=spans)


@pytest.mark.parametrize(
    ("ticker", "key"),
    [
        ("aapl", "company:US:AAPL"),
        ("$BRK-B", "company:US:BRK.A"),
        ("600519", "company:CN:600519"),
        ("600519.SH", "company:CN:600519"),
        ("NYSE:JPM", "company:US:JPM"),
        ("700.HK", "company:HK:0700"),
        ("CSGN.S", "company:CH:CSGN"),
    ],
)
def test_symbols_that_come_with_the_message_count(ticker: str, key: str) -> None:
    (link,) = links("Nothing is named here.", tickers=[ticker, ticker])
    assert (key, 0, 0, ticker) == (link.key, link.start, link.end, link.surface)


def test_the_message_s_symbol_decides_about_an_everyday_word() -> None:
    assert [] == keys("Gap in numbers")
    assert ["company:US:GAP"] * 2 == keys("Gap in numbers", tickers=["GAP"])


def test_a_cashtag_of_no_list_has_a_key_among_others_and_a_fund_has_none() -> None:
    assert ["company:US:WXYQ", "company:US:AAPL"] == keys("buying $WXYQ and $AAPL")
    assert ["company:US:AAPL"] == keys("buying $SPY, $QQQ and $AAPL")
    assert [] == keys("we want $MONEY tonight")


def test_what_is_linked_has_a_name_that_a_person_would_say() -> None:
    text = "$GOOG and $WXYQ rose while depositors of Halden Marine Bank and of the Fed waited."
    names = ["Alphabet", "WXYQ", "halden marine bank", "Federal Reserve"]
    assert names == [link.name for link in links(text)]


def test_a_cashtag_that_was_cut_off_is_no_symbol() -> None:
    assert ["company:US:AAPL"] == keys("Stocks to watch today $AAPL $C...")


def test_what_a_company_sells_can_be_left_out() -> None:
    text = "The iPhone sold well."
    assert ["company:US:AAPL"] == keys(text)
    assert [] == linker(products=False).link(text, (), (), MARCH_2023)


def test_a_product_says_less_than_a_name() -> None:
    product, name = links("Instagram belongs to Meta Platforms.")
    assert product.confidence < name.confidence


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "$",
                "T",
                "$T",
                "Apple",
                "apple",
                "Bank",
                "(SVB)",
                "İ",
                "é",
                "银行",
                "茅台",
                "😀",
                "&",
                "Inc.",
                "NYSE:JPM",
                "600519",
                "İstanbul",
                "Group",
                "of",
                "GOOGL",
                "'s",
                ".",
                "ﬁ",
            ]
        )
    ).map(" ".join)
    | st.text(max_size=200)
)
def test_links_lie_in_the_text_and_do_not_overlap(text: str) -> None:
    found = links(text)
    for link in found:
        assert text[link.start : link.end] == link.surface
        assert 0 < link.confidence <= 1
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert found == links(text)
