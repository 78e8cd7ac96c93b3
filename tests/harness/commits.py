"""Rows and transactions for the tests of the stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from harness.alerts import an_alert

from monitor.events import (
    TOPICS,
    About,
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Document,
    Evidence,
    Gap,
    Kind,
    Mention,
    Origin,
    Partition,
    Reason,
    Scored,
    SourceState,
    Subject,
    Term,
    Waterfall,
)
from monitor.store.base import (
    RECEIVERS,
    Commit,
    KeyState,
    Move,
    Outbox,
    Outgoing,
    Position,
    RhythmRow,
    SourceRow,
    Store,
)
from monitor.story.base import ToldRow

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
    return an_alert(
        identifier,
        "topic:Macro",
        status=status,
        started_at=T0 + timedelta(minutes=minutes),
        fired_at=None if status is AlertStatus.PENDING else T0 + timedelta(minutes=minutes + 5),
        resolved_at=T0 + timedelta(hours=3) if status is AlertStatus.RESOLVED else None,
        evalue=1234.5,
        documents=20,
        negative=12,
        window_start=T0,
        window_end=T0 + timedelta(minutes=30),
        summary="Macro: 60 % negative, expected 20 %",
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


def naming(number: int, negative: float, *mentions: Mention) -> Scored:
    return scored(number, negative)._replace(mentions=mentions)


ABC = Mention("company:US:ABC", "Abc Corp.", "Abc", (0.75, 0.125, 0.125))
NORTHGATE = Mention("name:northgate", "Northgate", "Northgate", (0.125, 0.25, 0.625))
