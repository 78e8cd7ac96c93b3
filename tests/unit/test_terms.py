"""Which words set some texts apart from others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.story.terms import CERTAIN, PRIOR, TERMS, distinctive

USUAL = [
    f"Halden Bank {verb} {quarter} results\nThe lender said lending income {moved} and fees {moved}"
    for verb in ("posts", "reports", "beats", "misses")
    for quarter in ("spring", "summer", "autumn", "winter")
    for moved in ("rose", "fell", "stood still", "grew")
]
RUN = [
    f"Halden Bank halts withdrawals {where}\nDepositors queue as {who} ask for money; {more}."
    for where in ("at noon", "everywhere", "in the north")
    for who in ("pensioners", "shops")
    for more in ("regulator steps in", "lending income fell")
]


def words(texts: list[str], usual: list[str], *own: str) -> list[str]:
    return [term.text for term in distinctive(texts, usual, own)]


def test_what_a_run_is_about_is_told_in_pairs_where_words_go_together() -> None:
    found = words(RUN, USUAL, "Halden Bank")
    assert {"halts withdrawals", "depositors queue", "regulator steps"} <= set(found)
    assert not {"halts", "withdrawals", "depositors", "queue"} & set(found)
    assert not any("lending" in term or "income" in term for term in found), "that is usual"


def test_the_keys_own_name_and_words_without_meaning_are_left_out() -> None:
    usual = ["The market was calm and nobody said much about anything"] * 60
    found = words(RUN, usual, "Halden Bank")
    assert found
    assert not {"halden", "bank", "the", "as", "in", "at"} & {w for t in found for w in t.split()}
    assert any("halden" in term for term in words(RUN, usual))


def test_the_score_is_that_of_the_paper() -> None:
    """By hand: a word in all of 6 texts of two words here, in 3 of 600 there."""
    here = ["storm. calm"] * 6
    there = ["storm. calm"] * 3 + ["quiet. calm"] * 597
    prior = PRIOR * (6 + 3) / (12 + 1200)
    a, b = 6 + prior, 3 + prior
    delta = math.log(a / (12 + PRIOR - a)) - math.log(b / (1200 + PRIOR - b))
    (term,) = distinctive(here, there)
    assert term == ("storm", 6, round(delta / math.sqrt(1 / a + 1 / b), 2))


def test_nothing_is_told_of_texts_like_all_others_or_without_a_past() -> None:
    assert words(USUAL[::3], USUAL) == []
    assert words(RUN, []) == []
    assert words([], USUAL) == []


def test_a_text_counts_a_word_once_and_one_text_is_not_enough() -> None:
    loud = ["avalanche " * 80]
    assert words([*USUAL, *loud], USUAL * 4) == []
    assert words([*USUAL, *loud * 9], USUAL * 9) == ["avalanche"]


def test_links_names_of_accounts_and_figures_are_no_terms() -> None:
    texts = [f"@trader99 see https://halts.example/withdrawals 640 2026 3q {'x' * 41}"] * 10
    assert words(texts, USUAL) == []


def test_a_possessive_is_the_word_and_a_pair_ends_where_the_sentence_does() -> None:
    found = words(["The regulator's order. Panic! Regulator’s order"] * 9, USUAL)
    assert found == ["regulator order", "panic"]


def test_scripts_without_spaces_are_told_in_twos() -> None:
    usual = [f"银行业绩稳定增长利润上升{c}" for c in "春夏秋冬东南西北红黄蓝绿"] * 4
    found = words([f"银行出现挤兑{c}储户排队" for c in "甲乙丙丁戊己"], usual)
    assert {"挤兑", "储户", "排队"} <= set(found)
    assert all(len(term) == 2 for term in found)


FEW = st.lists(st.sampled_from(["storm", "storm calm", "calm", "挤兑", ""]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(max_size=80), max_size=12) | FEW,
    st.lists(st.text(max_size=80), max_size=12) | FEW,
    st.lists(st.text(max_size=20), max_size=3),
)
def test_any_text_is_taken_and_the_answer_does_not_depend_on_the_order(
    texts: list[str], usual: list[str], own: list[str]
) -> None:
    found = distinctive(texts, usual, own)
    assert found == distinctive(texts[::-1], usual[::-1], own[::-1])
    assert len(found) <= TERMS
    assert all(term.score >= round(CERTAIN, 2) for term in found)


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_are_told_than_asked_for_and_the_strongest_first(limit: int) -> None:
    every, few = distinctive(RUN, USUAL), distinctive(RUN, USUAL, limit=limit)
    assert few == every[:limit]
    assert [t.score for t in every] == sorted((t.score for t in every), reverse=True)
