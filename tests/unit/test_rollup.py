"""The sums of a batch: integers, by key and bucket, whatever the order."""

from __future__ import annotations

import pytest
from harness.samples import MONDAY, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.aggregate import rollup
from monitor.aggregate.rollup import Place, bucket_start
from monitor.events import SCORE_SCALE, TOPICS, Kind, Mention, Scored, Sums, heard_of


def deltas(batch: list[Scored]) -> dict[Place, Sums]:
    """The sums where every document is a voice."""
    return rollup.deltas((heard_of(s), True) for s in batch)


@pytest.mark.parametrize(
    ("expected", "event_time"),
    [(MONDAY, MONDAY), (MONDAY, MONDAY + 299.999), (MONDAY + 300, MONDAY + 300), (-300, -0.5)],
)
def test_a_bucket_begins_at_a_multiple_of_five_minutes(expected: int, event_time: float) -> None:
    assert expected == bucket_start(event_time)


def test_a_document_counts_for_the_stream_its_kind_and_its_topic() -> None:
    found = deltas([scored(topic=5, kind=Kind.COMMENT)])
    assert {"all", "kind:comment", f"topic:{TOPICS[5]}"} == {key for key, _ in found}
    assert {MONDAY} == {start for _, start in found}


def test_sentiments_are_counted_and_scores_summed_as_integers() -> None:
    batch = [
        scored(1, sentiment=(0.8, 0.15, 0.05)),
        scored(2, sentiment=(0.1, 0.8, 0.1)),
        scored(3, sentiment=(0.0, 0.25, 0.75)),
    ]
    expected = Sums(3, 1, 1, round((-0.75 + 0.0 + 0.75) * SCORE_SCALE), 3)
    assert expected == deltas(batch)["all", MONDAY]


def test_a_document_counts_for_whom_it_names_with_what_it_says_of_them() -> None:
    good = Mention("company:US:ABC", "Abc", "Abc", (0.1, 0.2, 0.7))
    bad = Mention("name:northgate", "Northgate", "Northgate", (0.9, 0.1, 0.0))
    found = deltas([scored(sentiment=(0.8, 0.15, 0.05))._replace(mentions=(good, bad))])
    assert Sums(1, 0, 1, 6000, 1) == found["company:US:ABC", MONDAY]
    assert Sums(1, 1, 0, -9000, 1) == found["name:northgate", MONDAY]
    assert Sums(1, 1, 0, -7500, 1) == found["all", MONDAY]


def test_a_copy_is_a_post_and_no_voice() -> None:
    heard = [heard_of(scored(1)), heard_of(scored(2)._replace(copy_of="d1"))]
    found = rollup.deltas((h, not h.copy) for h in heard)
    assert (1, 2) == (found["all", MONDAY].n, found["all", MONDAY].posts)


def test_the_same_delta_is_not_shared_between_keys() -> None:
    found = deltas([scored()])
    found["all", MONDAY].add(Sums(1))
    assert 1 == found["kind:news", MONDAY].n


batches = st.lists(
    st.builds(
        scored,
        st.integers(0, 99),
        st.floats(MONDAY, MONDAY + 2000),
        st.tuples(*[st.floats(0, 1)] * 3),
        st.integers(0, 3),
        st.sampled_from(Kind),
    ),
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(batches, st.data())
def test_any_order_and_any_split_give_the_same_sums(
    batch: list[Scored], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(batch))
    cut = data.draw(st.integers(0, len(batch)))
    added: dict[tuple[str, int], Sums] = {}
    for part in (shuffled[:cut], shuffled[cut:]):
        for place, sums in deltas(part).items():
            added.setdefault(place, Sums()).add(sums)
    assert deltas(batch) == added
