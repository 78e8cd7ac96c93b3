"""What a window is about: whom its voices name, which words are unusual, and what it may cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor.detect.about import EACH, MOST, SLICES, SUBJECTS, VOICES, Abouts
from monitor.events import TOPICS, About, Document, Kind, Mention, Origin, Scored, Subject
from monitor.store.base import Commit
from monitor.store.memory import MemoryStore

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
BANK = "company:XX:HLD"
TOPIC = f"topic:{TOPICS[3]}"


def scored(
    name: str,
    at: datetime,
    text: str,
    *,
    topic: int = 3,
    author: str | None = None,
    story: str = "",
    copy_of: str | None = None,
    named: tuple[str, ...] = (),
) -> Scored:
    document = Document(
        name, Kind.NEWS, "wire", at, "", text, None, author, "en", (), Origin("news", 0, 0), at
    )
    mentions = tuple(Mention(key, f"{key} plc", key, (0.8, 0.1, 0.1)) for key in named)
    return Scored(document, (0.8, 0.1, 0.1), topic, 0.9, "m1", at, story, copy_of, mentions)


def ordinary(number: int = 400) -> list[Scored]:
    """A week of calm, every tenth document about the bank."""
    step = timedelta(days=7) / number
    return [
        scored(
            f"n{i}",
            NOON - timedelta(hours=1, seconds=1) - step * i,
            f"Calm trading of grain number{i % 40} and copper",
            named=(BANK,) if i % 10 == 0 else (),
        )
        for i in range(number)
    ]


def crisis(number: int = 12) -> list[Scored]:
    return [
        scored(
            f"c{i}",
            NOON - timedelta(minutes=5 * (i % 11) + 1),
            f"Halden halts withdrawals and savers number{i % 40} queue",
            topic=3 if i % 4 else 5,
            named=(BANK, *(("name:regulator",) if i % 2 else ())),
        )
        for i in range(number)
    ]


def store_of(*documents: Scored) -> MemoryStore:
    store = MemoryStore()
    store.load(0)
    store.apply(Commit(documents=documents, now=NOON))
    return store


def read(store: MemoryStore, key: str, *fresh: Scored) -> About:
    return Abouts(store).read(fresh, key, NOON - timedelta(hours=1), NOON)


def test_it_says_whom_what_and_in_which_words() -> None:
    about = read(store_of(*ordinary(), *crisis()), BANK)
    assert about.voices == 12
    assert about.named == (
        Subject(BANK, f"{BANK} plc", 12),
        Subject("name:regulator", "name:regulator plc", 6),
    )
    assert about.topics == (
        Subject(TOPIC, TOPICS[3], 9),
        Subject(f"topic:{TOPICS[5]}", TOPICS[5], 3),
    )
    told = {word for term in about.terms for word in term.text.split()}
    assert {"halts", "withdrawals", "savers"} <= told
    assert not {"calm", "trading", "grain"} & told


def test_what_is_stored_and_what_is_in_hand_are_one_window_in_any_split() -> None:
    everything = crisis()
    whole = read(store_of(*ordinary(), *everything), BANK)
    for at in (0, 5, 12):
        assert read(store_of(*ordinary(), *everything[:at]), BANK, *everything[at:]) == whole


def test_copies_and_an_author_s_second_word_add_no_voice() -> None:
    copies = [
        scored(
            f"k{i}", NOON - timedelta(minutes=i + 1), "x", story="k0", copy_of="k0" if i else None
        )
        for i in range(5)
    ]
    loud = [
        scored(f"l{i}", NOON - timedelta(minutes=20 + i), f"y{i}", author="a") for i in range(6)
    ]
    unsigned = [scored(f"u{i}", NOON - timedelta(minutes=30 + i), f"z{i}") for i in range(3)]
    assert read(store_of(*copies, *loud, *unsigned), "all").voices == 1 + 1 + 3


def test_its_voices_are_those_that_are_counted() -> None:
    early, late = NOON - timedelta(minutes=100), NOON - timedelta(minutes=40)
    hourly = [scored(f"h{n}", at, f"y{n}", author="a") for n, at in enumerate((early, late))]
    elsewhere = hourly[1].document._replace(id="e", source="paper")  # the same author's second
    missed = scored("m", late, "too late for its bucket")._replace(counted=False)
    store = store_of(*hourly, hourly[1]._replace(document=elsewhere), missed)

    assert Abouts(store).read((missed,), "all", NOON - timedelta(hours=2), NOON).voices == 2


def test_a_key_with_hardly_a_past_is_held_against_the_stream() -> None:
    about = read(store_of(*ordinary(), *crisis()), "name:regulator")
    assert any("withdrawals" in term.text for term in about.terms)


def test_without_any_past_there_are_no_terms_but_subjects() -> None:
    about = read(store_of(*crisis()), BANK)
    assert about.terms == ()
    assert about.named


class Counting(MemoryStore):
    """Notes how much was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def voices(self, key: str, since: datetime, until: datetime, limit: int):  # type: ignore[no-untyped-def]
        self.asked.append(limit)
        return super().voices(key, since, until, limit)

    def sample(self, key, since, until, slices, each, look):  # type: ignore[no-untyped-def]
        assert until - since == timedelta(days=7)
        self.asked.append(slices * each)
        return super().sample(key, since, until, slices, each, look)


def test_a_window_costs_a_bounded_number_of_documents_and_a_bucket_of_windows() -> None:
    store = Counting()
    store.load(0)
    abouts = Abouts(store)
    for n in range(MOST + 5):
        abouts.read((), f"name:{n}", NOON - timedelta(hours=1), NOON)
    assert store.asked == [VOICES, SLICES * EACH, SLICES * EACH] * MOST
    later = NOON + timedelta(minutes=5)
    abouts.read((), "all", NOON, later)
    abouts.restart()
    abouts.read((), "all", NOON, later)
    assert store.asked[3 * MOST :] == [VOICES, SLICES * EACH] * 2


@pytest.mark.parametrize("key", ["all", "kind:news", TOPIC, BANK, f"pair:{TOPICS[3]}|{BANK}"])
def test_every_sort_of_key_has_words_and_at_most_five_subjects(key: str) -> None:
    many = [
        c._replace(
            mentions=(*c.mentions, *(Mention(f"name:{i}{j}", "x", "x", (1, 0, 0)) for j in "ab"))
        )
        for i, c in enumerate(crisis(40))
    ]
    about = read(store_of(*ordinary(), *many), key)
    assert about.terms
    assert len(about.named) == SUBJECTS
