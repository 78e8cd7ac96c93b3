"""Which names are followed, when there are more of them than there is room."""

from __future__ import annotations

import numpy as np
from harness.samples import DAY_BUCKETS, MONDAY
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detect.roster import Roster
from monitor.events import Bucket, Sums


def company(number: int) -> str:
    return f"company:US:{number}"


def bucket(**voices: int) -> dict[str, Sums]:
    return {f"company:US:{name}": Sums(n) for name, n in voices.items()}


def test_while_there_is_room_everybody_is_followed() -> None:
    roster = Roster(capacity=3)
    spoken, gone = roster.admit(MONDAY, {**bucket(a=1, b=2), "name:x": Sums(1), "all": Sums(4)})
    assert ["all", "company:US:a", "company:US:b", "name:x"] == spoken.keys
    assert (3, []) == (roster.followed, gone)


def seen(roster: Roster, start: int, **voices: int) -> dict[str, int]:
    spoken, _ = roster.admit(start, bucket(**voices))
    return dict(zip(spoken.keys, spoken.n.tolist(), strict=True))


def test_who_outweighs_the_weakest_is_followed_at_once() -> None:
    roster = Roster(capacity=2)
    roster.admit(MONDAY, bucket(big=50, small=2))
    assert {"company:US:new": 3} == seen(roster, MONDAY + 300, new=3)
    assert 2 == roster.followed


def test_who_does_not_is_counted_with_the_others_until_it_speaks_again() -> None:
    roster = Roster(capacity=2)
    roster.admit(MONDAY, bucket(big=50, small=2))
    assert {"other:company": 1} == seen(roster, MONDAY + 300, new=1)
    assert {"company:US:new": 1} == seen(roster, MONDAY + 600, new=1)


def test_for_whom_there_is_no_place_at_all_is_counted_with_the_others() -> None:
    roster = Roster(capacity=1)
    assert {"company:US:a": 3, "other:company": 3} == seen(roster, MONDAY, a=3, b=2, c=1)


def test_a_counter_fades_so_that_yesterday_s_name_makes_room() -> None:
    roster = Roster(capacity=1, half_life=1.0)
    roster.admit(MONDAY, bucket(old=4))
    assert {"other:company": 3} == seen(roster, MONDAY + 300, new=3)
    late = Roster(capacity=1, half_life=1.0)
    late.admit(MONDAY, bucket(old=4))
    assert {"company:US:new": 3} == seen(late, MONDAY + 300 * DAY_BUCKETS, new=3)


def test_who_is_in_alarm_keeps_the_place() -> None:
    roster = Roster(capacity=1)
    roster.admit(MONDAY, bucket(old=1))
    spoken, gone = roster.admit(MONDAY + 300, bucket(new=9), keep=["company:US:old"])
    assert ([], ["other:company"]) == (gone, spoken.keys)


def test_topics_and_watched_items_need_no_place() -> None:
    roster = Roster(capacity=1)
    sums = {"all": Sums(5), "topic:Macro": Sums(2), "watch:w": Sums(1), **bucket(a=1)}
    assert sorted(sums) == roster.admit(MONDAY, sums)[0].keys


def test_known_history_takes_free_places_only() -> None:
    roster = Roster(capacity=1)
    past = [Bucket(company(i), MONDAY, 5, 1, 0, 0) for i in range(2)]
    past.append(Bucket("all", MONDAY, 10, 2, 0, 0))
    assert {"all", company(0)} == {b.key for b in roster.count(past)}


def test_frequent_names_are_followed_among_very_many_rare_ones() -> None:
    """200 places for 20,000 names whose frequency falls with their rank."""
    rng = np.random.default_rng(5)
    weights = 1 / np.arange(1, 20_001)
    roster = Roster(capacity=200)
    for i in range(400):
        drawn = rng.choice(20_000, size=300, p=weights / weights.sum())
        names, counts = np.unique(drawn, return_counts=True)
        roster.admit(
            MONDAY + 300 * i,
            {company(int(k)): Sums(int(c)) for k, c in zip(names, counts, strict=True)},
        )
    followed = {key for key, _ in roster.drain()}
    # 300 voices a bucket: the guarantee is for those with more than 1.5, the first 19.
    assert all(company(i) in roster._table.index for i in range(19))
    assert 200 == roster.followed
    assert followed >= set(roster._table.index)


days = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5), max_size=6),
    min_size=1,
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(days, st.data())
def test_order_and_restarts_change_nothing(
    stream: list[dict[str, int]], data: st.DataObject
) -> None:
    whole, broken = Roster(capacity=4), Roster(capacity=4)
    stored: dict[str, bytes] = {}
    for i, voices in enumerate(stream):
        shuffled = dict(data.draw(st.permutations(sorted(voices.items()))))
        one = whole.admit(MONDAY + 300 * i, bucket(**voices))
        other = broken.admit(MONDAY + 300 * i, bucket(**shuffled))
        assert one[0].keys == other[0].keys
        assert one[0].n.tolist() == other[0].n.tolist()
        assert one[1] == other[1]
        if data.draw(st.booleans()):
            for key, state in broken.drain():
                stored.pop(key, None)
                if state:
                    stored[key] = state
            broken = Roster(capacity=4)
            broken.restore(stored.items())
