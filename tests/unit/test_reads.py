"""What the dashboard reads, from a database that the store has written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import event

from monitor.errors import StoreError
from monitor.events import (
    SCORE_SCALE,
    TOPICS,
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Document,
    Evidence,
    Gap,
    Kind,
    Origin,
    Partition,
    Reason,
    Scored,
    Severity,
)
from monitor.store.base import (
    Commit,
    Move,
    Notification,
    NotificationStatus,
    OutboxChange,
    Outgoing,
    Position,
)
from monitor.store.engine import open_engine, open_reader
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.reads import Counts, Lag, Reads, Receipt
from monitor.store.sql import SqlStore

T0 = datetime(2023, 3, 9, 12, 0, tzinfo=UTC)
START = int(T0.timestamp())
LATER = T0 + timedelta(days=2)


def scored(number: int, sentiment: tuple[float, float, float], **changes: object) -> Scored:
    document = Document(
        id=f"d{number}",
        kind=Kind.NEWS,
        source="wire",
        published_at=T0 + timedelta(minutes=number),
        title=f"Title {number}",
        text="A text.",
        url=None,
        author=None,
        lang="en",
        tickers=("ABC",),
        origin=Origin("news", 0, number),
        appended_at=T0 + timedelta(minutes=number),
    )
    return Scored(
        document=document._replace(**changes),  # type: ignore[arg-type]
        sentiment=sentiment,
        topic=TOPICS.index("Macro"),
        topic_confidence=0.9,
        model_version="m1",
        scored_at=T0 + timedelta(minutes=number, seconds=number),
    )


def alert(identifier: str, minutes: int, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    at = T0 + timedelta(minutes=minutes)
    return Alert(
        id=identifier,
        key="all",
        detector="share",
        detector_version="share-1",
        status=status,
        severity=Severity.CRITICAL,
        started_at=at,
        fired_at=None if status is AlertStatus.PENDING else at,
        resolved_at=None,
        value=0.5,
        baseline=0.1,
        evalue=2000.0,
        threshold=1000.0,
        documents=10,
        negative=5,
        window_start=at,
        window_end=at,
        summary="half of it is negative",
        model_version="m1",
        appended_at=at,
        updated_at=at,
        evidence=(Evidence("d1", at, "wire", "Title 1", None, 0.9),),
    )


def notification(number: int, receiver: str, *alerts: tuple[str, str]) -> Notification:
    listed = [{"status": status, "labels": {"alert_id": name}} for name, status in alerts]
    return Notification(
        id=f"n{number}",
        receiver=receiver,
        group_key="all",
        body=json.dumps({"version": "4", "alerts": listed}).encode(),
        created_at=T0 + timedelta(minutes=number),
        next_attempt_at=T0 + timedelta(minutes=number),
        status=NotificationStatus.DELIVERED,
        attempts=1,
        delivered_at=T0 + timedelta(minutes=number, seconds=30),
    )


class Database:
    """An empty migrated file, its writers and its reader."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        migrate(self.url)
        self.engine = open_engine(self.url)
        self.store = SqlStore(self.engine)
        self.store.load(0)
        self.outbox = SqlOutbox(self.engine)
        self.reader = open_reader(self.url)
        self.reads = Reads(self.reader)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "reads.db")
    yield made
    made.reads.close()
    made.engine.dispose()


def test_an_empty_database_gives_empty_answers(database: Database) -> None:
    reads = database.reads
    frames = (
        reads.mood(["all"], T0, LATER),
        reads.keys(T0, LATER),
        reads.documents("all", T0, LATER),
        reads.alert_latency(),
        reads.offsets(),
    )

    assert [0] * 5 == [len(frame) for frame in frames]
    assert "datetime64[ms, UTC]" == str(frames[0]["start"].dtype)
    assert ([], [], None) == (reads.alerts(5), reads.deliveries(5), reads.span())
    assert Counts(0, {}, {}, {}, 0, 0) == reads.counts()
    assert Lag(0, None, None, None, None) == reads.lag(T0)
    assert 0 == reads.throughput(T0)["documents"].sum()


def test_mood_sums_buckets_to_the_resolution_asked(database: Database) -> None:
    scale = SCORE_SCALE
    database.store.apply(
        Commit(
            buckets=[
                Bucket("all", START - 300, 9, 9, 0, -9 * scale),
                Bucket("all", START, 4, 3, 1, -2 * scale, posts=5),
                Bucket("all", START + 300, 6, 1, 2, scale, posts=7),
                Bucket("all", START + 3600, 2, 0, 1, scale, posts=2),
                Bucket("kind:news", START, 4, 0, 0, 0, posts=4),
                Bucket("kind:comment", START, 1, 0, 0, 0),
            ]
        )
    )

    mood = database.reads.mood(["all", "kind:news"], T0, LATER, "1h")

    hour = timedelta(hours=1)
    expected = pd.DataFrame(
        {
            "key": ["all", "all", "kind:news"],
            "start": pd.Series([T0, T0 + hour, T0]).astype("datetime64[ms, UTC]"),
            "n": [10, 2, 4],
            "negative": [4, 0, 0],
            "positive": [3, 1, 0],
            "neutral": [3, 1, 4],
            "posts": [12, 2, 4],
            "negative_share": [0.4, 0.0, 0.0],
            "mean_score": [-0.1, 0.5, 0.0],
        }
    )
    pd.testing.assert_frame_equal(expected, mood)
    fine = database.reads.mood(["all"], T0, T0 + hour, "5m")
    assert [4, 6] == fine["n"].tolist()
    day = database.reads.mood(["all"], T0 - timedelta(days=1), LATER, "1d")
    assert [(T0.replace(hour=0), 21)] == list(zip(day["start"], day["n"], strict=True))


def test_keys_come_with_totals_the_busiest_first(database: Database) -> None:
    database.store.apply(
        Commit(
            buckets=[
                Bucket("topic:Macro", START, 1, 1, 0, -SCORE_SCALE),
                Bucket("all", START, 3, 1, 1, 0),
                Bucket("all", START + 300, 5, 1, 1, 0),
                Bucket("old", START - 300, 99, 0, 0, 0),
            ]
        )
    )

    keys = database.reads.keys(T0, LATER)

    assert ["all", "topic:Macro"] == keys["key"].tolist()
    assert [8, 1] == keys["n"].tolist()
    assert [0.25, 1.0] == keys["negative_share"].tolist()
    assert [T0 + timedelta(minutes=5), T0] == keys["last"].tolist()


def test_alerts_come_with_their_evidence_the_latest_first(database: Database) -> None:
    old, new = alert("a1", 0), alert("a2", 5)
    waiting = alert("a3", 3, AlertStatus.PENDING)
    database.store.apply(Commit(alerts=[old, waiting, new]))

    assert [new, waiting, old] == database.reads.alerts(9)
    assert [new] == database.reads.alerts(1)
    assert [waiting] == database.reads.alerts(9, AlertStatus.PENDING)


def test_documents_are_chosen_by_key_time_and_sentiment(database: Database) -> None:
    database.store.apply(
        Commit(
            documents=[
                scored(0, (0.9, 0.1, 0.0)),
                scored(1, (0.6, 0.4, 0.0), kind=Kind.COMMENT),
                scored(2, (0.8, 0.1, 0.1)),
                scored(3, (0.1, 0.8, 0.1), tickers=()),
            ]
        )
    )
    since, until = T0 + timedelta(minutes=1), T0 + timedelta(minutes=4)

    def ids(key: str = "all", **how: object) -> list[str]:
        frame = database.reads.documents(key, since, until, **how)  # type: ignore[arg-type]
        return list(frame["id"])

    assert ["d3", "d2", "d1"] == ids()
    assert ["d2", "d1", "d3"] == ids(order="negative")
    assert ["d2", "d1"] == ids(sentiment="negative")
    assert ["d1"] == ids("kind:comment")
    assert ["d3", "d2"] == ids("topic:Macro", limit=2)
    assert [] == ids("topic:Currencies")
    shown = database.reads.documents("all", since, until).iloc[0]
    assert ((), T0 + timedelta(minutes=3)) == (shown["tickers"], shown["published"])


def test_the_span_is_from_the_oldest_to_the_newest_document(database: Database) -> None:
    neutral = (0.0, 1.0, 0.0)
    database.store.apply(Commit(documents=[scored(n, neutral) for n in (3, 1, 2)]))

    assert (T0 + timedelta(minutes=1), T0 + timedelta(minutes=3)) == database.reads.span()


def test_throughput_shows_a_standstill(database: Database) -> None:
    at = [0, 0, 1, 4]  # minutes after T0 at which a document was scored
    documents = [
        scored(n, (0.0, 1.0, 0.0))._replace(scored_at=T0 + timedelta(minutes=minute))
        for n, minute in enumerate(at)
    ]
    database.store.apply(Commit(documents=documents))

    found = database.reads.throughput(T0 + timedelta(minutes=5), minutes=6, slices=6)

    assert [0, 2, 1, 0, 0, 1] == found["documents"].tolist()
    assert 2 / 60 == found["per_second"][1]
    assert T0 - timedelta(minutes=1) == found["start"][0]


def test_lag_is_the_time_from_published_to_scored(database: Database) -> None:
    # Document n was scored n seconds after it was appended; 0 to 39 are older than the hour.
    database.store.apply(Commit(documents=[scored(n, (0.0, 1.0, 0.0)) for n in range(101)]))

    lag = database.reads.lag(T0 + timedelta(minutes=100, seconds=40), minutes=60)

    assert (61, 70.0, 97.0) == (lag.documents, lag.p50, lag.p95)
    assert T0 + timedelta(minutes=100) == lag.newest_published_at
    assert T0 + timedelta(minutes=100, seconds=100) == lag.newest_scored_at


def test_everything_is_counted(database: Database) -> None:
    letters = [
        DeadLetter(Origin("news", 0, n), reason, "", b"", T0)
        for n, reason in enumerate([Reason.NO_TEXT, Reason.NO_TEXT, Reason.EMPTY])
    ]
    database.store.apply(
        Commit(
            documents=[scored(1, (0.0, 1.0, 0.0))],
            dead_letters=letters,
            alerts=[alert("a1", 0), alert("a2", 1, AlertStatus.PENDING)],
            gaps=[Gap(Partition("news", 0), 10, 14), Gap(Partition("news", 1), 0, 1)],
            outgoing=[Outgoing("scored", b""), Outgoing("scored", b"")],
        )
    )
    database.outbox.save(OutboxChange(put_notifications=[notification(1, "desk")]))

    expected = Counts(
        documents=1,
        dead_letters={"empty": 1, "no_text": 2},
        alerts={"firing": 1, "pending": 1},
        notifications={"delivered": 1},
        outbox=2,
        gaps=5,
    )
    assert expected == database.reads.counts()


def test_deliveries_come_newest_first_with_their_alerts(database: Database) -> None:
    failed = replace(
        notification(2, "desk", ("a1", "firing"), ("a2", "resolved")),
        status=NotificationStatus.PENDING,
        delivered_at=None,
        attempts=3,
        last_error="503 from the receiver",
    )
    strange = replace(notification(1, "desk"), body=b"not json")
    database.outbox.save(OutboxChange(put_notifications=[strange, failed]))

    first, second = database.reads.deliveries(5)

    assert ("n2", ("a1", "a2"), 3, "503 from the receiver", None) == (
        first.id,
        first.alert_ids,
        first.attempts,
        first.last_error,
        first.delivered_at,
    )
    assert ("n1", ()) == (second.id, second.alert_ids)


def test_a_receipt_is_the_first_message_that_told_of_the_alert_and_was_taken(
    database: Database,
) -> None:
    given_up = replace(
        notification(1, "desk", ("a1", "firing")), status=NotificationStatus.DEAD, delivered_at=None
    )
    taken, repeated = (notification(n, "desk", ("a1", "firing")) for n in (2, 3))
    waiting = replace(
        notification(4, "mail", ("a1", "firing")),
        status=NotificationStatus.PENDING,
        delivered_at=None,
    )
    over = notification(5, "desk", ("a2", "resolved"))
    database.outbox.save(OutboxChange(put_notifications=[given_up, taken, repeated, waiting, over]))

    found = database.reads.receipts(10)

    assert {
        "a1": [
            Receipt("desk", taken.created_at, taken.delivered_at),
            Receipt("mail", waiting.created_at, None),
        ]
    } == found


def test_an_alert_is_found_by_its_id(database: Database) -> None:
    database.store.apply(Commit(alerts=[alert("a1", 0)]))
    assert alert("a1", 0) == database.reads.alert("a1")
    assert database.reads.alert("a2") is None


def test_the_latency_of_an_alert_ends_with_its_first_delivery(database: Database) -> None:
    database.store.apply(Commit(alerts=[alert("a1", 0), alert("a2", 1)]))
    undelivered = replace(notification(1, "mail", ("a1", "firing")), status=NotificationStatus.DEAD)
    database.outbox.save(
        OutboxChange(
            put_notifications=[
                undelivered,
                notification(2, "desk", ("a1", "firing")),
                notification(3, "desk", ("a1", "firing"), ("a2", "firing")),
                notification(4, "desk", ("a2", "resolved"), ("unknown", "firing")),
            ]
        )
    )

    found = database.reads.alert_latency()

    assert [("a1", 150.0), ("a2", 150.0)] == list(
        zip(found["alert_id"], found["seconds"], strict=True)
    )
    since = T0 + timedelta(minutes=3)
    assert [("a1", 210.0), ("a2", 150.0)] == list(
        database.reads.alert_latency(since)[["alert_id", "seconds"]].itertuples(index=False)
    )


def test_offsets_are_shown_by_partition(database: Database) -> None:
    moves = [
        Move(Partition("news", 1), None, Position(5, T0)),
        Move(Partition("comments", 0), None, Position(7, None)),
    ]
    database.store.apply(Commit(moves=moves, now=LATER))

    found = database.reads.offsets()

    assert ["comments", "news"] == found["topic"].tolist()
    assert [7, 5] == found["next_offset"].tolist()
    assert (True, T0) == (pd.isna(found["max_event"][0]), found["max_event"][1])


def test_no_read_scans_a_large_table(database: Database) -> None:
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database.reader, "before_cursor_execute")
    def _note(_c: object, _cursor: object, statement: str, values: object, *_rest: object) -> None:
        asked.append((statement, values))

    reads = database.reads
    reads.mood(["all"], T0, LATER)
    reads.keys(T0, LATER)
    reads.span()
    reads.documents("all", T0, LATER)
    reads.documents("topic:Macro", T0, LATER, order="negative")
    reads.throughput(LATER)
    reads.lag(LATER)
    SqlStore(database.reader).evidence("topic:Macro", T0, LATER, 5)
    reads.counts()
    noted = [each for each in asked if each[0].startswith("SELECT")]
    with database.engine.connect() as connection:
        plans = [
            line.detail
            for statement, values in noted
            for line in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]

    # An index alone may be scanned (counting reads the smallest one), the rows may not.
    large = re.compile(r"SCAN (documents|buckets|dead_letters)(?!.*USING COVERING INDEX)")
    assert 15 < len(plans)
    assert [] == [plan for plan in plans if large.match(plan)]


def test_the_reader_can_not_write(database: Database) -> None:
    with pytest.raises(StoreError, match="can't be written"):
        SqlStore(database.reader).load(0)


def test_the_reader_needs_no_daemon(database: Database) -> None:
    database.store.apply(Commit(documents=[scored(1, (0.0, 1.0, 0.0))]))
    database.reads.close()
    database.store.close()  # the last connection: SQLite removes its write-ahead log

    assert 1 == Reads(open_reader(database.url)).counts().documents


def test_a_missing_database_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.db: there is no database yet.*monitor run"):
        open_reader(f"sqlite:///{tmp_path / 'absent.db'}")


def test_a_database_without_tables_says_to_migrate(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    reads = Reads(open_reader(f"sqlite:///{tmp_path / 'empty.db'}"))

    with pytest.raises(StoreError, match="monitor migrate") as raised:
        reads.counts()

    assert not raised.value.retryable


def test_reading_imports_neither_the_model_nor_the_broker() -> None:
    code = (
        "import sys, monitor.store.reads, monitor.store.engine;"
        "print([m for m in ('torch', 'transformers', 'kafka', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()
