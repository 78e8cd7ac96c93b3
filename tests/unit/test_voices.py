"""Independent voices: copies add nothing, an author speaks once an hour, in any order."""

from __future__ import annotations

import pytest
from harness.samples import MONDAY, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.aggregate.rollup import Place
from monitor.aggregate.voices import HOUR, Voices
from monitor.events import Heard, Kind, Mention, Sums, heard_of
from monitor.story.base import Flip, Told

NEGATIVE, POSITIVE = (0.8, 0.15, 0.05), (0.05, 0.15, 0.8)


def heard(
    number: int,
    at: float = MONDAY,
    author: str | None = None,
    copy: bool = False,
    names: tuple[str, ...] = (),
    sentiment: tuple[float, float, float] = NEGATIVE,
) -> Heard:
    """A document of the topic with index 5."""
    base = scored(number, at, sentiment=sentiment, kind=Kind.COMMENT)
    document = base.document._replace(author=author)
    mentions = tuple(Mention(key, key, key, sentiment) for key in names)
    copied = "first" if copy else None
    return heard_of(base._replace(document=document, mentions=mentions, copy_of=copied))


def voices() -> Voices:
    return Voices(lambda _start: False)


def total(*changes: dict[Place, Sums]) -> dict[Place, Sums]:
    """All changes together, without those that came to nothing."""
    found: dict[Place, Sums] = {}
    for change in changes:
        for place, sums in change.items():
            found.setdefault(place, Sums()).add(sums)
    return {place: sums for place, sums in found.items() if sums != Sums()}


def counts(sums: dict[Place, Sums], key: str = "all", start: int = MONDAY) -> tuple[int, int]:
    """(posts, voices)."""
    of = sums.get((key, start), Sums())
    return of.posts, of.n


def test_documents_of_nobody_are_each_a_voice_unless_they_are_copies() -> None:
    batch = [heard(1), heard(2), heard(3, copy=True)]
    assert (3, 2) == counts(voices().count(batch))


def test_an_author_speaks_once_an_hour_for_each_key() -> None:
    batch = [
        heard(1, author="ann", names=("company:US:A",)),
        heard(2, author="ann", names=("company:US:B",)),
        heard(3, author="bob", names=("company:US:B",)),
    ]
    found = voices().count(batch)
    assert (3, 2) == counts(found)
    assert (1, 1) == counts(found, "company:US:A")
    assert (2, 2) == counts(found, "company:US:B")


def test_in_the_next_hour_an_author_is_heard_again() -> None:
    found = voices().count([heard(1, author="ann"), heard(2, MONDAY + HOUR, author="ann")])
    assert (1, 1) == counts(found)
    assert (1, 1) == counts(found, start=MONDAY + HOUR)


def test_who_spoke_first_counts_and_not_who_was_read_first() -> None:
    of = voices()
    later = of.count([heard(2, MONDAY + 600, author="ann", sentiment=POSITIVE)])
    assert Sums(1, 0, 1, 7500, 1) == later["all", MONDAY + 600]
    earlier = of.count([heard(1, MONDAY, author="ann")])
    both = total(later, earlier)
    assert Sums(1, 1, 0, -7500, 1) == both["all", MONDAY]
    assert Sums(0, 0, 0, 0, 1) == both["all", MONDAY + 600]


def test_a_document_that_turns_out_to_be_a_copy_is_taken_back() -> None:
    of = voices()
    first = of.count([heard(2, MONDAY + 300, names=("name:x",))])
    second = of.count([heard(1, names=("name:x",))], [Flip("d2", Told("d1", "d1"))])
    both = total(first, second)
    assert (1, 0) == counts(both, start=MONDAY + 300)
    assert (1, 0) == counts(both, "name:x", MONDAY + 300)
    assert (1, 1) == counts(both)
    again = [Flip(identifier, Told("d1", "d1")) for identifier in ("d2", "unknown")]
    assert {} == total(of.count([], again))


def test_when_an_authors_first_word_was_a_copy_the_next_one_counts() -> None:
    of = voices()
    first = of.count([heard(1, author="ann"), heard(2, MONDAY + 300, author="ann")])
    both = total(first, of.count([], [Flip("d1", Told("d0", "d0"))]))
    assert (1, 0) == counts(both)
    assert (1, 1) == counts(both, start=MONDAY + 300)


def test_a_bucket_that_takes_no_corrections_is_left_alone() -> None:
    of = Voices(lambda start: start < MONDAY + 300)
    of.restore([heard(1, author="ann")])
    assert {} == total(of.count([], [Flip("d1", Told("d0", "d0"))]))


def test_only_what_can_still_be_corrected_is_remembered() -> None:
    of = voices()
    of.count([heard(i, MONDAY + 300 * i, author=f"a{i}") for i in range(48)])
    of.prune(MONDAY + 3 * HOUR)
    assert 12 == of.remembered
    of.prune(MONDAY + 5 * HOUR)
    assert 0 == of.remembered


documents = st.lists(
    st.builds(
        heard,
        st.integers(0, 400),
        st.integers(MONDAY, MONDAY + 2 * HOUR),
        st.sampled_from([None, "ann", "bob"]),
        st.booleans(),
        st.sampled_from([(), ("name:x",), ("name:x", "company:US:A")]),
        st.sampled_from([NEGATIVE, POSITIVE]),
    ),
    max_size=12,
    unique_by=lambda h: h.id,
)


@settings(max_examples=150, deadline=None)
@given(documents, st.data())
def test_any_order_any_split_and_a_restart_give_the_same_counts(
    batch: list[Heard], data: st.DataObject
) -> None:
    expected = total(voices().count(batch))
    shuffled = data.draw(st.permutations(batch))
    cut = data.draw(st.integers(0, len(batch)))
    flipped = data.draw(st.sets(st.sampled_from([h.id for h in batch if h.copy] or [""])))

    of = voices()
    # Some of the copies were told as their own at first.
    first = [h._replace(copy=h.copy and h.id not in flipped) for h in shuffled[:cut]]
    changes = [of.count(first)]
    restarted = voices()
    restarted.restore(first)
    flips = [Flip(h.id, Told("s", "s")) for h in first if h.id in flipped]
    changes.append(restarted.count(shuffled[cut:], flips))

    assert expected == total(*changes)


@pytest.mark.parametrize("copies", [0, 3])
def test_posts_are_counted_whoever_speaks(copies: int) -> None:
    batch = [heard(i, author="ann", copy=i < copies) for i in range(5)]
    assert (5, 1) == counts(voices().count(batch))
