"""What every ``Store`` finds again of the documents that it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from harness.commits import ABC, DAY, NORTHGATE, T0, Backend, full, naming, scored

from monitor.events import Evidence, Kind, Mention, Scored
from monitor.store.base import Commit, Journey, Named


def test_known_tells_stored_ids_from_new_ones(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(n) for n in range(0, 1200, 2)]))

    asked = [f"d{n}" for n in range(1300)]

    assert {f"d{n}" for n in range(0, 1200, 2)} == store.known(asked)
    assert set() == store.known([])


def test_reading_needs_no_lease(backend: Backend) -> None:
    writer, reader = backend.store(), backend.store()
    writer.load(DAY)
    assert set() == reader.known(["d1"])
    assert [] == reader.evidence("all", T0, T0 + timedelta(days=1), 5)

    writer.apply(full())

    assert {"d1"} == reader.known(["d1", "d9"])


def test_evidence_is_the_most_negative_of_its_time_and_key(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(
        Commit(
            documents=[
                scored(0, 0.95),
                scored(1, 0.30),
                scored(2, 0.80, kind=Kind.COMMENT),
                scored(3, 0.70, topic="Fed | Central Banks"),
                scored(4, 0.70),
                scored(5, 0.99),
            ]
        )
    )
    since, until = T0 + timedelta(minutes=1), T0 + timedelta(minutes=5)

    def ids(key: str, limit: int = 9) -> list[str]:
        return [e.document_id for e in store.evidence(key, since, until, limit)]

    assert ["d2", "d3", "d4", "d1"] == ids("all")
    assert ["d2", "d3"] == ids("all", 2)
    assert [] == ids("all", 0)
    assert ["d2"] == ids("kind:comment")
    assert ["d3", "d4", "d1"] == ids("kind:news")
    assert ["d3"] == ids("topic:Fed | Central Banks")
    assert [] == ids("topic:Currencies")


def test_evidence_carries_what_a_person_wants_to_see(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    document = scored(1, 0.75).document._replace(
        url="https://example.org/1", text="One\n  two. " * 99
    )
    store.apply(Commit(documents=[scored(1, 0.75)._replace(document=document)]))

    (found,) = store.evidence("all", T0, T0 + timedelta(days=1), 5)

    assert found.excerpt.startswith("One two. One two.")
    assert found.excerpt.endswith("…")
    assert len(found.excerpt) <= 280
    assert (
        Evidence(
            document_id="d1",
            published_at=T0 + timedelta(minutes=1),
            source="wire",
            title="Title 1",
            url="https://example.org/1",
            negative=0.75,
            topic="Macro",
            excerpt=found.excerpt,
            story="d1",
        )
        == found
    )


def test_copies_of_one_title_are_one_piece_of_evidence(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(
        Commit(
            documents=[
                scored(1, 0.9, title="Lender's shares halted – again"),
                scored(2, 0.8, title="LENDER’S SHARES HALTED - AGAIN "),
                scored(3, 0.7, title="Something else"),
            ]
        )
    )

    found = store.evidence("all", T0, T0 + timedelta(days=1), 5)

    assert ["d1", "d3"] == [e.document_id for e in found]


def test_comments_without_a_title_are_told_apart_by_their_text(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(
        Commit(
            documents=[
                scored(1, 0.9, title="", text="I sold everything."),
                scored(2, 0.8, title="", text="I sold everything!"),
                scored(3, 0.7, title="", text="Holding on."),
            ]
        )
    )

    found = store.evidence("all", T0, T0 + timedelta(days=1), 5)

    assert ["d1", "d3"] == [e.document_id for e in found]


@pytest.mark.parametrize("key", ["", "topic:", "kind:rumour", "entity:ABC"])
def test_an_unknown_key_is_refused(backend: Backend, key: str) -> None:
    with pytest.raises(ValueError, match="unknown key"):
        backend.store().evidence(key, T0, T0, 1)


def test_evidence_of_a_company_is_what_names_it_with_what_it_says_of_it(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(
        Commit(
            documents=[
                naming(1, 0.1, ABC, NORTHGATE),
                naming(2, 0.9, ABC._replace(sentiment=(0.5, 0.5, 0.0))),
                naming(3, 0.95),
            ]
        )
    )

    def found(key: str) -> list[tuple[str, float]]:
        pieces = store.evidence(key, T0, T0 + timedelta(days=1), 5)
        return [(e.document_id, e.negative) for e in pieces]

    assert [("d1", 0.75), ("d2", 0.5)] == found("company:US:ABC")
    assert [("d1", 0.125)] == found("name:northgate")
    assert [] == found("watch:anything")


def test_documents_are_counted_by_the_story_that_they_tell(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    copies = [naming(n, 0.5, ABC)._replace(story="d1", copy_of="d1") for n in (2, 3)]
    store.apply(Commit(documents=[naming(1, 0.5), *copies, scored(4)]))

    def told(key: str, minutes: int = 60) -> Mapping[str, int]:
        return store.stories(key, T0, T0 + timedelta(minutes=minutes))

    assert {"d1": 3, "d4": 1} == told("all")
    assert {"d1": 2} == told("company:US:ABC")
    assert {"d1": 2} == told("all", 3)
    assert {} == told("name:northgate")


def test_evidence_of_a_company_on_a_topic_is_what_names_it_there(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    elsewhere = scored(2, 0.9, topic="Energy | Oil")._replace(mentions=(ABC,))
    store.apply(Commit(documents=[naming(1, 0.1, ABC), elsewhere, naming(3, 0.9, NORTHGATE)]))
    until = T0 + timedelta(hours=1)

    for key, ids in (
        ("pair:Macro|company:US:ABC", ["d1"]),
        ("pair:Energy | Oil|company:US:ABC", ["d2"]),
        ("pair:Energy | Oil|company:US:XYZ", []),
        ("other:company", ["d1", "d2"]),
        ("other:name", ["d3"]),
    ):
        found = store.evidence(key, T0, until, 5)
        assert ids == sorted(e.document_id for e in found), key
        assert ids == sorted(store.stories(key, T0, until)), key
    assert [0.75] == [e.negative for e in store.evidence("pair:Macro|company:US:ABC", T0, until, 5)]


def test_speakers_are_those_who_repeat_nobody(backend: Backend) -> None:
    def said(number: int, source: str, author: str | None) -> Scored:
        found = naming(number, 0.5, ABC) if number < 4 else scored(number)
        return found._replace(document=found.document._replace(source=source, author=author))

    store = backend.store()
    store.load(DAY)
    documents = [said(1, "wire", None), said(2, "wire", None), said(3, "forum", "ann")]
    documents += [said(4, "forum", "bob"), said(5, "blog", None)._replace(copy_of="d1")]
    store.apply(Commit(documents=documents))

    until = T0 + timedelta(hours=1)
    named = {("wire", None): 2, ("forum", "ann"): 1}
    assert named == store.speakers("company:US:ABC", T0, until)
    assert {**named, ("forum", "bob"): 1} == store.speakers("all", T0, until)
    assert {("wire", None): 1} == store.speakers("all", T0, T0 + timedelta(minutes=2))


def test_voices_are_the_newest_that_repeat_nobody_with_whom_they_name(backend: Backend) -> None:
    abc = Mention("company:US:ABC", "Alpha Beta plc", "Alpha", (0.9, 0.05, 0.05))
    other = Mention("name:beta", "Beta", "Beta", (0.1, 0.8, 0.1))
    documents = [
        scored(1, text="x" * 1000)._replace(mentions=(abc, other)),
        scored(2)._replace(mentions=(abc,), copy_of="d1", story="d1"),
        scored(3)._replace(mentions=(abc,), story="d1"),
        scored(4),
        scored(5)._replace(counted=False),  # it came too late
    ]
    store = backend.store()
    store.load(0)
    store.apply(Commit(documents=documents))
    until = T0 + timedelta(hours=1)

    def ids(key: str, limit: int = 9) -> list[str]:
        return [v.id for v in store.voices(key, T0, until, limit)]

    assert ids("all") == ["d4", "d3", "d1"]
    assert ids("all", 2) == ["d4", "d3"]
    assert ids("company:US:ABC") == ids("other:company") == ["d3", "d1"]
    assert ids("pair:Macro|company:US:ABC") == ["d3", "d1"]
    first = store.voices("company:US:ABC", T0, T0 + timedelta(minutes=2), 9)[0]
    assert (first.author, first.topic) == (None, "Macro")
    assert first.published_at == T0 + timedelta(minutes=1)
    assert first.text.startswith("Title 1\nxxx") and 300 < len(first.text) < 1000
    assert first.named == (
        Named("company:US:ABC", "Alpha Beta plc", "Alpha"),
        Named("name:beta", "Beta", "Beta"),
    )
    assert store.voices("all", until, until + timedelta(hours=1), 9) == []


def test_a_sample_has_some_of_every_slice_of_a_time(backend: Backend) -> None:
    abc = Mention("company:US:ABC", "Alpha", "Alpha", (0.9, 0.05, 0.05))
    documents = [
        scored(
            n,
            kind=Kind.COMMENT if n % 2 else Kind.NEWS,
            topic="Earnings" if n % 3 else "Macro",
        )._replace(mentions=(abc,) if n % 5 == 0 else (), copy_of="d0" if n == 1 else None)
        for n in range(60)
    ]
    store = backend.store()
    store.load(0)
    store.apply(Commit(documents=documents))

    def sampled(key: str, slices: int = 3, each: int = 2, look: int = 20) -> list[int]:
        until = T0 + timedelta(hours=1)
        found = store.sample(key, T0, until, slices, each, look)
        assert all(text.endswith("\nA plain text.") for text in found)
        return [int(text.split("\n")[0].removeprefix("Title ")) for text in found]

    assert sampled("all") == [0, 2, 20, 21, 40, 41]
    assert sampled("all", look=1) == [0, 20, 40]
    assert sampled("kind:comment") == [3, 5, 21, 23, 41, 43]
    assert sampled("topic:Macro") == [0, 3, 21, 24, 42, 45]
    assert sampled("company:US:ABC", slices=2, each=3) == [0, 5, 10, 30, 35, 40]
    assert sampled("pair:Macro|company:US:ABC", slices=1, each=9) == [0, 15, 30, 45]
    assert sampled("other:company", slices=1, each=3) == [0, 5, 10]
    assert sampled("source:nobody") == []


def test_a_document_keeps_the_times_of_its_stops(backend: Backend) -> None:
    store = backend.store()
    store.load(0)
    polled = T0 + timedelta(minutes=1, seconds=1, milliseconds=500)
    store.apply(Commit(documents=[scored(1)], now=polled))
    assert store.journey("d2") is None
    assert store.journey("d1") == Journey(
        published_at=T0 + timedelta(minutes=1),
        appended_at=T0 + timedelta(minutes=1, seconds=1),
        ingested_at=polled,
        scored_at=T0 + timedelta(minutes=1, seconds=2),
    )


def test_the_first_ingestion_of_a_document_counts(backend: Backend) -> None:
    store = backend.store()
    store.load(0)
    for minutes in (2, 9):
        store.apply(Commit(documents=[scored(1)], now=T0 + timedelta(minutes=minutes)))
    found = store.journey("d1")
    assert found is not None
    assert found.ingested_at == T0 + timedelta(minutes=2)


def test_the_newest_documents_of_a_source_come_first(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    documents = [scored(n, 0.1 * n) for n in range(6)]
    other = documents[5]._replace(document=documents[5].document._replace(source="forum"))
    store.apply(Commit(documents=[*documents[:5], other]))
    since, until = T0 + timedelta(minutes=1), T0 + timedelta(minutes=5)
    assert ["d4", "d3"] == [e.document_id for e in store.latest("wire", since, until, 2)]
    assert ["d5", "d4"] == [e.document_id for e in store.latest(None, since, until, 2)]
    assert [] == store.latest("nobody", since, until, 2)
    (first,) = store.latest("wire", since, since, 9)
    assert ("d1", "wire", "Title 1") == (first.document_id, first.source, first.title)


def test_the_documents_of_a_source_are_evidence_of_its_key(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(1, 0.9), scored(2, 0.1)]))
    span = T0, T0 + timedelta(hours=1)
    assert ["d1", "d2"] == [e.document_id for e in store.evidence("source:wire", *span, 5)]
    assert [] == store.evidence("source:forum", *span, 5)
