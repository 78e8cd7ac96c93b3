"""Copies and stories over a sliding window: whatever the order, the batches and the restarts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text import normalise
from monitor.events import Document, Kind, Origin
from monitor.story.base import Told, ToldRow
from monitor.story.fingerprint import prints
from monitor.story.index import enough, keys_of
from monitor.story.likeness import LEAST, copies
from monitor.story.stories import Stories, StoriesSettings

T0 = datetime(2026, 3, 2, tzinfo=UTC)
SETTINGS = StoriesSettings(window=timedelta(hours=72), lateness=timedelta(hours=24), capacity=4_096)
PORT = (
    "The harbour of Ostwick will close its northern basin for nine weeks from 4 May, the operator "
    "Quayline said, after divers found cracks in two of its lock gates."
)
MILL = (
    "Paper maker Halden & Co has asked creditors for more time, blaming pulp prices that have "
    "doubled since autumn and a strike at its largest mill in Varberg."
)


def document(identifier: str, text: str, hours: float = 0, title: str = "") -> Document:
    at = T0 + timedelta(hours=hours)
    origin = Origin("news", 0, 0)
    return Document(
        identifier, Kind.NEWS, "wire", at, title, text, None, None, "en", (), origin, at
    )


def tell(stories: Stories, *documents: Document) -> list[Told]:
    return stories.tell(documents)


@pytest.mark.parametrize(
    "copy",
    [
        PORT,
        PORT.upper(),
        "RT @harbourwatch: " + PORT,
        PORT + " via @harbourwatch",
        PORT[:110] + "…",
        PORT + " Shares of Quayline were unchanged. (Reporting by A. Nother)",
        "OSTWICK, March 2 (Wire) - " + PORT,
        PORT + " https://example.org/a?b=c",
        "Lock gates cracked at Ostwick " + PORT,
        PORT.replace("nine", "9").replace("after divers found", "as divers had found"),
    ],
)
def test_a_copy_is_found_however_it_is_wrapped_cut_or_edited(copy: str) -> None:
    stories = Stories(SETTINGS)
    first, second = tell(stories, document("a", PORT), document("b", copy, hours=1))
    assert Told("a", None) == first
    assert Told("a", "a") == second


@pytest.mark.parametrize(
    "other",
    [
        MILL,
        PORT.replace("nine weeks from 4 May", "six weeks from 11 August").replace("two", "three"),
        PORT.replace("Ostwick", "Lymere").replace("Quayline", "Portalis").replace("4 May", "9 May"),
    ],
)
def test_another_event_in_the_same_words_is_no_copy(other: str) -> None:
    stories = Stories(SETTINGS)
    told = tell(stories, document("a", PORT), document("b", other, hours=1))
    assert [Told("a", None), Told("b", None)] == told


def test_a_phrase_that_a_longer_text_has_in_passing_is_no_copy_of_it() -> None:
    stories = Stories(SETTINGS)
    told = tell(
        stories,
        document("a", PORT),
        document("b", "cracks in two lock gates", hours=1),
        document("c", "Quayline said in Ostwick: cracks in gates close the harbour", hours=2),
    )
    assert [None, None, None] == [one.copy_of for one in told]


def test_a_round_up_does_not_tie_the_events_that_it_names() -> None:
    stories = Stories(SETTINGS)
    first, second = "Halden seeks time from creditors", "Ostwick harbour closes a basin"
    told = tell(
        stories,
        document("a", f"{PORT[:70]}. Rates are steady. {first}. {second}. And the weather"),
        document("b", first, hours=1),
        document("c", second, hours=2),
    )
    assert ["a", "b", "c"] == [one.story for one in told]


@pytest.mark.parametrize("text", ["", "$ABC", "Same here!", "🚀🚀🚀"])
def test_whoever_says_two_words_says_them_for_himself(text: str) -> None:
    stories = Stories(SETTINGS)
    told = tell(stories, document("a", text), document("b", text))
    assert [Told("a", None), Told("b", None)] == told
    assert 0 == len(stories)


def test_the_title_is_part_of_what_is_compared() -> None:
    stories = Stories(SETTINGS)
    told = tell(
        stories,
        document("a", "", title="Quayline closes northern basin at Ostwick harbour"),
        document("b", PORT, title="Quayline closes northern basin at Ostwick harbour", hours=1),
    )
    assert Told("a", "a") == told[1]


def test_copies_of_one_moment_are_ordered_by_their_ids() -> None:
    stories = Stories(SETTINGS)
    assert [Told("a", "a"), Told("a", None)] == tell(
        stories, document("b", PORT), document("a", PORT)
    )


def test_a_copy_that_came_before_its_original_is_flipped() -> None:
    stories = Stories(SETTINGS)
    assert [Told("late", None)] == tell(stories, document("late", PORT, hours=2))
    assert [Told("early", None)] == tell(stories, document("early", PORT[:120], hours=1))

    changes = stories.changes()

    assert [("late", Told("early", "early"))] == changes.flipped
    assert [("late", "early")] == changes.renamed
    assert ([], []) == stories.changes()


def test_a_document_between_two_stories_makes_them_one() -> None:
    short, long = PORT[:100], PORT + " " + MILL
    tail = MILL[:100]
    stories = Stories(SETTINGS)
    told = tell(stories, document("a", short), document("b", tail, hours=1))
    assert [Told("a", None), Told("b", None)] == told

    assert [Told("a", "a")] == tell(stories, document("c", long, hours=2))

    assert [("b", "a")] == stories.changes().renamed


def test_the_same_words_after_the_window_are_told_anew() -> None:
    stories = Stories(SETTINGS)
    tell(stories, document("a", PORT))
    assert [Told("a", "a")] == tell(stories, document("b", PORT, hours=72))
    assert [Told("a", "a")] == tell(stories, document("c", PORT, hours=144))
    assert [Told("d", None)] == tell(stories, document("d", PORT, hours=217))


def test_what_the_window_has_left_behind_takes_no_room() -> None:
    stories = Stories(SETTINGS)
    for day in range(40):
        found = [f"{PORT} {word} {day}" for word in ("Monday", "Tuesday", "Wednesday")]
        tell(stories, *(document(f"{day}-{i}", t, hours=24 * day) for i, t in enumerate(found)))
    assert len(stories) <= 3 * 6
    rows, before = stories.drain()
    assert before is not None
    assert all(row.last_ms >= before.timestamp() * 1_000 for row in rows)


def test_the_state_does_not_grow_with_what_has_been_told() -> None:
    stories, ledger = Stories(SETTINGS), Ledger()
    for day in range(30):
        texts = [" ".join(f"{day}x{n}y{k}" for k in range(8)) for n in range(20)]
        texts += [text[:50] for text in texts]
        ledger.take(
            stories, [document(f"{day}-{n}", t, 24 * day + n / 4) for n, t in enumerate(texts)]
        )
        held = (stories._rows, stories._origins, stories._stories, ledger.rows)
        most = 40 * 6  # of five days, and of the one in hand
        assert all(len(one) <= most for one in held)
        assert sum(map(bool, stories._ids)) == len(stories) == len(ledger.rows)
        assert stories._used <= most
        assert not stories._changed


def test_a_full_table_forgets_the_oldest_first() -> None:
    stories = Stories(StoriesSettings(capacity=64))
    texts = [
        f"Order {n} of {n * n} crates was shipped to harbour {n * 7} today" for n in range(200)
    ]
    for n, text in enumerate(texts):
        tell(stories, document(f"d{n}", text, hours=n / 100))
    assert len(stories) <= 64
    newest, oldest = tell(
        stories, document("x", texts[199], hours=2), document("y", texts[0], hours=2)
    )
    assert ("d199", None) == (newest.copy_of, oldest.copy_of)


def test_nothing_is_drained_twice() -> None:
    stories = Stories(SETTINGS)
    tell(stories, document("a", PORT), document("b", MILL))
    rows, _ = stories.drain()
    assert ["a", "b"] == [row.first_id for row in rows]
    assert [] == stories.drain()[0]


@pytest.mark.parametrize(
    "wrong", [{"window": timedelta(0)}, {"lateness": timedelta(-1)}, {"capacity": 0}]
)
def test_settings_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"window|capacity"):
        StoriesSettings(**wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- whatever the order

VARIANTS = [
    PORT,
    PORT[:100],
    PORT[60:] + " " + MILL[:60],
    MILL,
    MILL[:90],
    "RT @wire: " + MILL,
    PORT + " " + MILL,
    "Quayline said so",
    "Go on",
]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Document], list[int]]:
    """Documents in an order of arrival that no lateness exceeds, and where batches end."""
    n = draw(st.integers(1, 8))  # no more than a bucket of the index holds
    hours = draw(st.lists(st.integers(0, 260), min_size=n, max_size=n))
    texts = draw(st.lists(st.sampled_from(VARIANTS), min_size=n, max_size=n))
    late = draw(st.lists(st.integers(0, 24), min_size=n, max_size=n))
    order = sorted(range(n), key=lambda i: (hours[i] + late[i], i))
    documents = [document(f"d{i}", texts[i], hours[i]) for i in order]
    ends = sorted(draw(st.sets(st.integers(1, n), max_size=4)) | {n})
    return documents, ends


def expected(documents: Sequence[Document]) -> dict[str, tuple[str, bool]]:
    """Story and whether it is a copy, of each document, from all pairs."""
    ordered = sorted(documents, key=lambda d: (d.published_at, d.id))
    found = prints([normalise(d.content) for d in ordered])
    forms, keys = found.forms(), keys_of(found)
    story = {d.id: d.id for d in ordered}
    copied = {d.id: False for d in ordered}
    for j, later in enumerate(ordered):
        for i, earlier in enumerate(ordered[:j]):
            if later.published_at - earlier.published_at > SETTINGS.window:
                continue
            if min(found.sizes[i], found.sizes[j]) < LEAST:
                continue
            shared = len((set(keys[i].tolist()) & set(keys[j].tolist())) - {0})
            one, other = np.array([i]), np.array([j])
            alike = (
                shared
                and enough(np.array([shared]), found.sizes[one], found.sizes[other])[0]
                and copies(found, one, other)[0]
            )
            if forms[i] == forms[j] or alike:
                copied[later.id] = True
                old, new = story[later.id], story[earlier.id]
                story = {k: new if v == old else v for k, v in story.items()}
    first: dict[str, str] = {}
    for d in ordered:
        first.setdefault(story[d.id], d.id)
    return {d.id: (first[story[d.id]], copied[d.id]) for d in documents}


class Ledger:
    """What a caller keeps of what it was told."""

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}
        self.rows: dict[int, ToldRow] = {}

    def take(self, stories: Stories, batch: Sequence[Document]) -> None:
        self.told.update(zip((d.id for d in batch), stories.tell(batch), strict=True))
        changes = stories.changes()
        for flip in changes.flipped:
            assert self.told[flip.document].copy_of is None
            self.told[flip.document] = flip.told
        renamed = dict(changes.renamed)
        for identifier, told in self.told.items():
            self.told[identifier] = told._replace(story=renamed.get(told.story, told.story))
        rows, before = stories.drain()
        if before is not None:
            least = before.timestamp() * 1_000
            self.rows = {n: row for n, row in self.rows.items() if row.last_ms >= least}
        self.rows.update((row.number, row) for row in rows)

    def outcome(self) -> dict[str, tuple[str, bool]]:
        return {d: (told.story, told.copy_of is not None) for d, told in self.told.items()}


def batches(documents: Sequence[Document], ends: Iterable[int]) -> Iterable[Sequence[Document]]:
    begin = 0
    for end in ends:
        yield documents[begin:end]
        begin = end


@settings(max_examples=300, deadline=None)
@given(streams())
def test_stories_do_not_depend_on_the_order_of_arrival(
    stream: tuple[list[Document], list[int]],
) -> None:
    documents, ends = stream
    stories, ledger = Stories(SETTINGS), Ledger()
    for batch in batches(documents, ends):
        ledger.take(stories, batch)
    assert expected(documents) == ledger.outcome()


@settings(max_examples=200, deadline=None)
@given(streams())
def test_a_restart_forgets_nothing(stream: tuple[list[Document], list[int]]) -> None:
    documents, ends = stream
    ledger, unbroken = Ledger(), Ledger()
    stories = Stories(SETTINGS)
    for batch in batches(documents, ends):
        restarted = Stories(SETTINGS)
        restarted.restore(ledger.rows.values())
        ledger.take(restarted, batch)
        unbroken.take(stories, batch)
        assert unbroken.told == ledger.told
        assert unbroken.rows == ledger.rows


@settings(max_examples=200, deadline=None)
@given(streams())
def test_a_copy_repeats_an_earlier_document_of_its_story(
    stream: tuple[list[Document], list[int]],
) -> None:
    documents, ends = stream
    stories, ledger = Stories(SETTINGS), Ledger()
    place = {d.id: (d.published_at, d.id) for d in documents}
    for batch in batches(documents, ends):
        ledger.take(stories, batch)
    for identifier, told in ledger.told.items():
        if told.copy_of is not None:
            assert place[told.copy_of] < place[identifier]
            assert ledger.told[told.copy_of].story == told.story
