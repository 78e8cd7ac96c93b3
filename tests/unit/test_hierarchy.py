"""Who explains whom, and which of them is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from monitor.detect.base import Recent
from monitor.detect.hierarchy import arrange, context, contributed, explained, parents
from monitor.events import TOPICS
from monitor.keys import pair_key, topic_key

BANK, TOPIC, PAIR = "company:US:BNK", topic_key(TOPICS[7]), pair_key(7, "company:US:BNK")
OTHER_TOPIC = topic_key(TOPICS[14])

World = Mapping[str, tuple[int, float, float]]  # documents, observed, expected

ONE_BANK: World = {
    # Sixty of the hundred documents of its topic are about one bank, nearly all of them bad.
    "all": (400, 160, 100),
    TOPIC: (100, 70, 25),
    BANK: (60, 58, 15),
    PAIR: (60, 58, 15),
}
WHOLE_MARKET: World = {
    "all": (4000, 2400, 1000),
    TOPIC: (400, 250, 100),
    BANK: (20, 13, 5),
    OTHER_TOPIC: (600, 370, 150),
}


def recent(world: World, key: str) -> Recent:
    return Recent(*world.get(key, (0, 0.0, 0.0)))


def arranged(
    world: World, candidates: Collection[str], shown: Sequence[str] = ()
) -> Mapping[str, str]:
    return arrange(sorted(candidates), shown, lambda key: recent(world, key), share=True)


def test_a_company_s_parents_are_the_topic_that_it_is_spoken_of_most_and_the_stream() -> None:
    assert [TOPIC, "all"] == parents(BANK, lambda key: recent(ONE_BANK, key))
    assert ["all"] == parents(BANK, lambda key: recent(WHOLE_MARKET, key))
    assert [BANK, TOPIC, "all"] == parents(PAIR, lambda key: recent(ONE_BANK, key))
    assert [] == parents("all", lambda key: recent(ONE_BANK, key))


def test_a_crisis_of_one_bank_is_shown_under_its_name() -> None:
    under = arranged(ONE_BANK, [BANK, TOPIC, PAIR, "all"])
    assert {TOPIC: BANK, "all": BANK, PAIR: BANK} == under


def test_news_as_a_whole_are_shown_under_what_the_stream_is_shown_under() -> None:
    world = {**ONE_BANK, "kind:news": (300, 130, 75), "kind:comment": (100, 30, 25)}
    under = arranged(world, [BANK, "kind:news", "all"])
    assert {"all": BANK, "kind:news": BANK} == under


def test_a_fall_of_everything_is_shown_as_that() -> None:
    under = arranged(WHOLE_MARKET, [BANK, TOPIC, OTHER_TOPIC, "all"])
    assert dict.fromkeys((BANK, TOPIC, OTHER_TOPIC), "all") == under


def test_what_is_shown_already_stays_and_takes_the_others_under_it() -> None:
    assert {TOPIC: BANK, "all": BANK} == arranged(ONE_BANK, [TOPIC, "all"], shown=[BANK])
    assert {} == arranged(ONE_BANK, [BANK], shown=["all"])


def test_another_pair_of_a_company_comes_under_the_one_that_came_first() -> None:
    first, second = pair_key(9, "company:US:BNK"), pair_key(3, "company:US:BNK")
    assert {PAIR: first} == arranged(ONE_BANK, [PAIR], shown=[first, second])
    assert {PAIR: second} == arranged(ONE_BANK, [PAIR], shown=[second, first])


def test_who_explains_nobody_stands_alone() -> None:
    apart: World = {**ONE_BANK, "name:x": (40, 35, 10), "all": (9000, 2300, 2250)}
    under = arranged(apart, ["name:x", BANK])
    assert {} == under


def test_nobody_comes_under_himself() -> None:
    under = arranged(ONE_BANK, [BANK, TOPIC, PAIR, "all"])
    for key in under:
        seen = {key}
        while (key := under.get(key, "")) != "":
            assert key not in seen
            seen.add(key)


def test_the_shift_of_the_others_laid_on_a_key_is_what_they_explain() -> None:
    child, parent = Recent(100, 50.0, 25.0), Recent(10_100, 5050.0, 2525.0)
    assert 1.0 == pytest.approx(explained(child, parent, share=True), abs=0.01)
    still = Recent(10_100, 2525.0 + 25, 2525.0)
    assert 0.0 == pytest.approx(explained(child, still, share=True), abs=0.01)
    half = Recent(10_100, 0.4 * 10_000 + 50, 2525.0)
    assert 0.5 < explained(child, half, share=True) < 0.7


def test_of_volumes_the_rate_is_laid_on() -> None:
    child, parent = Recent(60, 60.0, 20.0), Recent(3060, 3060.0, 1520.0)
    assert 0.5 == pytest.approx(explained(child, parent, share=False), abs=0.02)
    assert 40 / 1540 == pytest.approx(contributed(child, parent))


def test_where_nothing_is_too_much_nothing_is_explained() -> None:
    assert 0.0 == explained(Recent(10, 1.0, 2.0), Recent(100, 90.0, 20.0), share=True)
    assert 0.0 == contributed(Recent(10, 5.0, 2.0), Recent(100, 10.0, 20.0))


def test_an_alert_s_context_goes_from_the_closest_to_the_whole() -> None:
    found = context(BANK, lambda key: recent(WHOLE_MARKET, key), share=True)
    assert ["all"] == [e.key for e in found]
    assert found[0].part > 0.8
