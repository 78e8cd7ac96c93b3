"""What every ``Store`` promises, whichever database is behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from monitor.errors import FencedError, LeaseError, StoreError
from monitor.events import (
    TOPICS,
    About,
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Document,
    Evidence,
    Explained,
    Gap,
    Kind,
    Mention,
    Origin,
    Partition,
    Reason,
    Scored,
    Setting,
    Severity,
    SourceState,
    Subject,
    Term,
    Waterfall,
    heard_of,
)
from monitor.store.base import (
    RECEIVERS,
    Commit,
    Journey,
    KeyState,
    Move,
    Named,
    Outbox,
    Outgoing,
    Position,
    RhythmRow,
    Snapshot,
    SourceRow,
    Store,
)
from monitor.story.base import Changes, Flip, Rename, Told, ToldRow

T0 = datetime(2023, 3, 9, 12, 0, tzinfo=UTC)
NEWS_0 = Partition("news", 0)
NEWS_1 = Partition("news", 1)
DAY = 86_400


class Backend(Protocol):
    store: Callable[[], Store]
    outbox: Callable[[], Outbox]


def scored(
    number: int,
    negative: float = 0.5,
    *,
    kind: Kind = Kind.NEWS,
    topic: str = "Macro",
    title: str | None = None,
    text: str = "A plain text.",
) -> Scored:
    """Document ``number``, published that many minutes after T0."""
    document = Document(
        id=f"d{number}",
        kind=kind,
        source="wire",
        published_at=T0 + timedelta(minutes=number),
        title=f"Title {number}" if title is None else title,
        text=text,
        url=None,
        author=None,
        lang="en",
        tickers=("ABC", "XYZ"),
        origin=Origin("news", 0, number),
        appended_at=T0 + timedelta(minutes=number, seconds=1),
    )
    return Scored(
        document=document,
        sentiment=(negative, (1 - negative) / 2, (1 - negative) / 2),
        topic=TOPICS.index(topic),
        topic_confidence=0.9,
        model_version="m1",
        scored_at=T0 + timedelta(minutes=number, seconds=2),
    )


def alert(identifier: str, status: AlertStatus, minutes: int = 0) -> Alert:
    return Alert(
        id=identifier,
        key="topic:Macro",
        detector="share",
        detector_version="share-1",
        status=status,
        severity=Severity.WARNING,
        started_at=T0 + timedelta(minutes=minutes),
        fired_at=None if status is AlertStatus.PENDING else T0 + timedelta(minutes=minutes + 5),
        resolved_at=T0 + timedelta(hours=3) if status is AlertStatus.RESOLVED else None,
        value=0.6,
        baseline=0.2,
        evalue=1234.5,
        threshold=1000.0,
        documents=20,
        negative=12,
        window_start=T0,
        window_end=T0 + timedelta(minutes=30),
        summary="Macro: 60 % negative, expected 20 %",
        model_version="m1",
        appended_at=T0 + timedelta(minutes=31),
        updated_at=T0 + timedelta(minutes=32),
        evidence=(
            Evidence("d1", T0, "wire", "Title 1", "https://example.org/1", 0.9, "Macro", "A text."),
            Evidence("d2", T0, "forum", "", None, 0.8),
        ),
        waterfall=Waterfall(
            published_at=T0,
            appended_at=T0 + timedelta(seconds=1),
            ingested_at=None,
            scored_at=T0 + timedelta(seconds=2),
            fired_at=T0 + timedelta(minutes=32),
        ),
        about=About(
            12,
            (Term("rate rise", 9, 3.25),),
            (Subject("company:US:ABC", "Alpha plc", 7),),
            (Subject("topic:Macro", "Macro", 12),),
        ),
    )


def move(partition: Partition, expected: int | None, to: int, minutes: int = 0) -> Move:
    return Move(partition, expected, Position(to, T0 + timedelta(minutes=minutes)))


def wording(number: int, last_ms: int) -> ToldRow:
    return ToldRow(
        number=number,
        words=b"\x00\xff\x80",
        first_id=f"d{number}",
        first_ms=last_ms - 60_000,
        last_ms=last_ms,
        origin_id=None,
        origin_ms=None,
        story=number,
        story_id=f"d{number}",
        story_ms=last_ms - 60_000,
    )


def source(
    name: str,
    state: SourceState = SourceState.NEW,
    kind: Kind | None = None,
    keys: tuple[str, ...] = (),
) -> SourceRow:
    """What is known of a source."""
    return SourceRow(
        name=name,
        kind=kind,
        state=state,
        since=T0,
        last=T0 - timedelta(hours=3) if name else None,
        expected=41.5,
        seen=40,
        missing=12.25,
        reason="HTTP 503" if keys else "",
        recent=(0, 3, 4),
        keys=keys,
        memory=b"\x00\xff memory",
    )


def full(expected: int | None = None, to: int = 3) -> Commit:
    """A commit with something of everything."""
    return Commit(
        moves=[move(NEWS_0, expected, to), move(NEWS_1, expected, to, minutes=1)],
        closed_until=10 * DAY,
        documents=[scored(1), scored(2)],
        dead_letters=[DeadLetter(Origin("news", 0, 2), Reason.NOT_JSON, "line 1", b"{\xff", T0)],
        buckets=[Bucket("all", 10 * DAY, 2, 1, 0, -42, 0)],
        key_states=[KeyState("share", "all", "share-1", b"\x00state")],
        alerts=[alert("a1", AlertStatus.FIRING)],
        outgoing=[Outgoing(RECEIVERS, b"{}"), Outgoing("scored", b"{}\n{}\n")],
        gaps=[Gap(NEWS_1, 5, 9)],
        told=[wording(3, 1_000), wording(4, 2_000)._replace(story=3, origin_id="d0", origin_ms=1)],
        sources=[source(""), source("wire", SourceState.BLIND, Kind.NEWS, ("all", "topic:Macro"))],
        rhythms=[RhythmRow("wire", b"\x00\xff rhythm")],
        now=T0,
    )


def test_a_new_database_is_empty(backend: Backend) -> None:
    empty = Snapshot(
        buckets=[], recent=[], key_states=[], alerts=[], told=[], sources=[], rhythms=[]
    )
    assert empty == backend.store().load(DAY)


def test_what_was_applied_is_found_by_the_next_daemon(backend: Backend) -> None:
    first = backend.store()
    first.load(DAY)
    first.apply(full())

    found = backend.store().load(DAY)

    expected = full()
    assert {m.partition: m.position for m in expected.moves} == found.positions
    assert expected.closed_until == found.closed_until
    assert expected.buckets == found.buckets
    assert expected.key_states == found.key_states
    assert expected.alerts == found.alerts
    assert expected.told == found.told
    sent = [(row.destination, row.payload, row.created_at) for row in backend.outbox().rows(10)]
    assert [(o.destination, o.payload, T0) for o in expected.outgoing] == sent


def test_only_buckets_within_the_lookback_are_loaded(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    buckets = [Bucket("all", start, 1, 0, 0, 0) for start in (8 * DAY, 9 * DAY, 10 * DAY)]
    store.apply(Commit(closed_until=10 * DAY, buckets=buckets))

    assert buckets[1:] == store.load(DAY).buckets
    assert buckets == store.load(2 * DAY).buckets


def test_a_resolved_alert_is_not_loaded(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    pending, firing = alert("a1", AlertStatus.PENDING), alert("a2", AlertStatus.FIRING, 1)
    store.apply(Commit(alerts=[firing, alert("a3", AlertStatus.FIRING), pending]))
    store.apply(Commit(alerts=[alert("a3", AlertStatus.RESOLVED)]))

    assert [pending, firing] == store.load(DAY).alerts


def test_later_values_replace_buckets_key_states_alerts_and_the_closed_time(
    backend: Backend,
) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    bucket = Bucket("all", 10 * DAY, 5, 3, 1, -99, 1)
    state = KeyState("share", "all", "share-2", b"new")
    changed = replace(alert("a1", AlertStatus.FIRING), negative=15, evidence=())
    store.apply(
        Commit(closed_until=10 * DAY + 300, buckets=[bucket], key_states=[state], alerts=[changed])
    )

    found = store.load(DAY)

    assert (10 * DAY + 300, [bucket], [state], [changed]) == (
        found.closed_until,
        found.buckets,
        found.key_states,
        found.alerts,
    )


def test_a_wording_is_replaced_by_its_number(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    later = wording(4, 5_000)._replace(words=b"")
    store.apply(Commit(told=[later, wording(2, 3_000)]))

    assert [wording(2, 3_000), wording(3, 1_000), later] == store.load(DAY).told


def test_wordings_older_than_what_is_to_be_forgotten_are_gone_but_for_those_just_told(
    backend: Backend,
) -> None:
    store = backend.store()
    store.load(DAY)
    at = int(T0.timestamp()) * 1_000
    store.apply(Commit(told=[wording(1, at - 1), wording(2, at), wording(3, at + 1)]))
    late = wording(4, at - 5)
    store.apply(Commit(told=[late], forget_stories_before=T0))

    assert [wording(2, at), wording(3, at + 1), late] == store.load(DAY).told


def test_an_empty_commit_changes_nothing(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    before = store.load(DAY)
    store.apply(Commit())

    assert before == store.load(DAY)


def test_a_known_document_is_left_as_it_is(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(1, 0.9)]))
    store.apply(Commit(documents=[scored(1, 0.1), scored(2, 0.2)]))

    found = store.evidence("all", T0, T0 + timedelta(days=1), 10)

    assert [("d1", 0.9), ("d2", 0.2)] == [(e.document_id, e.negative) for e in found]


def test_a_rejected_record_and_a_gap_may_come_twice(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    again = Commit(dead_letters=full().dead_letters, gaps=full().gaps, now=T0)
    store.apply(again)
    store.apply(again)


def test_any_detail_of_a_dead_letter_can_be_written(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    detail = "lone \ud800 and NUL \x00 in the title"
    store.apply(
        Commit(
            dead_letters=[DeadLetter(Origin("news", 0, 1), Reason.LONE_SURROGATE, detail, b"", T0)]
        )
    )


def test_known_tells_stored_ids_from_new_ones(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(n) for n in range(0, 1200, 2)]))

    asked = [f"d{n}" for n in range(1300)]

    assert {f"d{n}" for n in range(0, 1200, 2)} == store.known(asked)
    assert set() == store.known([])


def test_an_unexpected_offset_is_fenced_and_nothing_of_the_batch_is_written(
    backend: Backend,
) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(moves=[move(NEWS_0, None, 3), move(NEWS_1, None, 7)]))
    before = store.load(DAY)

    stale = replace(full(), moves=[move(NEWS_0, 3, 6), move(NEWS_1, 6, 9)])
    with pytest.raises(FencedError) as raised:
        store.apply(stale)

    assert raised.value.retryable
    assert not isinstance(raised.value, LeaseError)
    assert before == store.load(DAY)
    assert set() == store.known(["d1", "d2"])
    assert [] == list(backend.outbox().rows(10))


def test_a_partition_believed_new_but_stored_is_fenced(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(moves=[move(NEWS_0, None, 3)]))

    with pytest.raises(FencedError):
        store.apply(Commit(moves=[move(NEWS_0, None, 5), move(NEWS_1, None, 5)]))

    assert {NEWS_0: Position(3, T0)} == store.load(DAY).positions


def test_a_partition_believed_stored_but_unknown_is_fenced(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)

    with pytest.raises(FencedError):
        store.apply(Commit(moves=[move(NEWS_0, 3, 5)]))

    assert {} == store.load(DAY).positions


def test_after_a_fence_the_worker_goes_on_from_the_stored_offsets(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full(None, 3))
    with pytest.raises(FencedError):
        store.apply(full(2, 4))
    at = store.load(DAY).positions[NEWS_0].next_offset

    store.apply(full(at, 4))

    assert 4 == store.load(DAY).positions[NEWS_0].next_offset


def test_a_second_daemon_fences_the_first_for_good(backend: Backend) -> None:
    first, second = backend.store(), backend.store()
    first.load(DAY)
    first.apply(full(None, 3))
    second.load(DAY)

    for attempt in (lambda: first.apply(full(3, 4)), lambda: first.load(DAY)):
        with pytest.raises(LeaseError) as raised:
            attempt()
        assert not raised.value.retryable

    second.apply(full(3, 5))
    assert 5 == second.load(DAY).positions[NEWS_0].next_offset


def test_the_lease_comes_before_the_first_apply(backend: Backend) -> None:
    with pytest.raises(RuntimeError, match=r"load\(\)"):
        backend.store().apply(full())


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


def test_close_may_be_called_twice(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.close()
    store.close()


def test_a_failed_apply_can_be_repeated(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full(None, 3))
    refused = replace(full(3, 4), moves=[move(NEWS_0, 2, 4)])
    with pytest.raises(StoreError):
        store.apply(refused)

    store.apply(full(3, 4))

    assert 4 == store.load(DAY).positions[NEWS_1].next_offset


def naming(number: int, negative: float, *mentions: Mention) -> Scored:
    return scored(number, negative)._replace(mentions=mentions)


ABC = Mention("company:US:ABC", "Abc Corp.", "Abc", (0.75, 0.125, 0.125))
NORTHGATE = Mention("name:northgate", "Northgate", "Northgate", (0.125, 0.25, 0.625))


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
    assert (first.story, first.source, first.author, first.topic) == ("d1", "wire", None, "Macro")
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


def test_an_empty_state_deletes_the_one_that_was_there(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    kept = KeyState("volume", "name:x", "v", b"1")
    store.apply(Commit(key_states=[KeyState("share", "name:x", "v", b"1"), kept]))
    store.apply(Commit(key_states=[KeyState("share", "name:x", "v", b"")]))
    assert [kept] == store.load(DAY).key_states


def test_an_alert_keeps_what_surrounds_it(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    setting = Setting(
        expected="results",
        under="all",
        explained=(Explained("topic:Macro", 0.5), Explained("all", 0.25)),
        corrected=(0.5, 0.375, 0.625),
        corrected_baseline=0.125,
    )
    surrounded = replace(alert("a1", AlertStatus.FIRING), setting=setting)
    store.apply(Commit(alerts=[surrounded]))
    assert [surrounded] == store.load(DAY).alerts


def test_a_stored_document_may_turn_out_to_be_a_copy(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(2), scored(3)]))
    flips = [Flip("d2", Told("d1", "d1")), Flip("no", Told("x", "x"))]
    store.apply(Commit(documents=[scored(1)], changes=Changes(flips, [])))

    assert {"d1": 2, "d3": 1} == store.stories("all", T0, T0 + timedelta(hours=1))
    assert [False, True, False] == [h.copy for h in store.load(DAY).recent]


def test_a_story_may_get_another_first_document(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    copy = scored(3)._replace(story="d2", copy_of="d2")
    store.apply(Commit(documents=[scored(2), copy, scored(4)]))
    store.apply(Commit(documents=[scored(1)], changes=Changes([], [Rename("d2", "d1")])))

    assert {"d1": 3, "d4": 1} == store.stories("all", T0, T0 + timedelta(hours=1))


def test_the_next_daemon_knows_what_was_counted_of_late(backend: Backend) -> None:
    first = backend.store()
    first.load(DAY)
    start = int(T0.timestamp())
    batch = [
        naming(1, 0.9, NORTHGATE, ABC),
        scored(2)._replace(counted=False),
        scored(3, kind=Kind.COMMENT),
        scored(90),
    ]
    first.apply(Commit(documents=batch))
    assert ["d1", "d3", "d90"] == [h.id for h in backend.store().load(0).recent]

    second = backend.store()
    second.load(DAY)
    second.apply(Commit(closed_until=start + 3600))
    found = backend.store().load(3600 - 60).recent

    assert [heard_of(s)._replace(views=()) for s in (batch[0], batch[2], batch[3])] == [
        h._replace(views=()) for h in found
    ]
    assert sorted(heard_of(batch[0]).views) == list(found[0].views)
    assert ["d90"] == [h.id for h in backend.store().load(0).recent]


def test_history_is_added_to_the_buckets_that_are_there(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(buckets=[Bucket("all", 600, 5, 3, 1, -99, 1, posts=7)]))
    more = [Bucket("all", 600, 2, 1, 0, -1, posts=3), Bucket("name:x", 0, 1, 0, 1, 5, posts=1)]
    store.apply(Commit(history=more))

    added = Bucket("all", 600, 7, 4, 1, -100, 2, posts=10)
    assert [more[1], added] == store.load(DAY).buckets


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


def test_sources_replace_their_rows_and_are_deleted_with_their_rhythms(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    found = backend.store().load(DAY)
    assert list(full().sources) == list(found.sources)
    assert list(full().rhythms) == list(found.rhythms)
    changed = source("wire", SourceState.SPEAKING, Kind.COMMENT)
    again = backend.store()
    again.load(DAY)
    again.apply(Commit(sources=[changed, source("forum")], gone=[""]))
    assert ["forum", "wire"] == [row.name for row in backend.store().load(DAY).sources]
    last = backend.store()
    assert changed == last.load(DAY).sources[1]
    last.apply(Commit(gone=["wire", "never there"]))
    after = backend.store().load(DAY)
    assert (["forum"], []) == ([row.name for row in after.sources], list(after.rhythms))


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
