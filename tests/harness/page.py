"""The page on a small database that is written through the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streamlit.testing.v1 import AppTest

from dashboards import queries
from monitor.aggregate.voices import Voices
from monitor.events import (
    TOPICS,
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Document,
    Evidence,
    Kind,
    Mention,
    Origin,
    Partition,
    Reason,
    Scored,
    Severity,
    heard_of,
)
from monitor.store.base import (
    Commit,
    Move,
    Notification,
    NotificationStatus,
    OutboxChange,
    Position,
    SourceRow,
)
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.sql import SqlStore

APP = Path(queries.__file__).parent / "app.py"
END = datetime(2023, 3, 13, 12, 0, tzinfo=UTC)
ALERT = "6f0c1c1e-0000-5000-8000-000000000001"


def scored(number: int, at: datetime, wall: datetime, title: str = "", url: str = "") -> Scored:
    """The ``number``-th document: its topic and sentiment follow from the number."""
    order = number % 3
    probabilities = [0.1, 0.1, 0.1]
    probabilities[order] = 0.8
    document = Document(
        id=f"document-{number}",
        kind=Kind.NEWS,
        source="The Counting House",
        published_at=at,
        title=title or f"Quarterly note number {number}",
        text="The board met and said little.",
        url=url or f"https://example.org/{number}",
        author=None,
        lang="en",
        tickers=(),
        origin=Origin("news", 0, number),
        appended_at=wall - timedelta(seconds=2),
    )
    negative, neutral, positive = probabilities
    found = Scored(document, (negative, neutral, positive), number % 4, 0.9, "test-model", wall)
    # Every third names a bank, every seventh repeats the very first.
    bank = Mention("company:XX:HLD", "Halden Bank", "Halden", (negative, neutral, positive))
    return found._replace(
        story="document-0" if number % 7 == 0 else document.id,
        copy_of="document-0" if number and number % 7 == 0 else None,
        mentions=(bank,) if number % 3 == 0 else (),
    )


def an_alert(title: str = "Halden Bank halts withdrawals", url: str | None = None) -> Alert:
    """A critical alert on the first topic, with one piece of evidence."""
    evidence = Evidence("document-0", END, "Harbour Wire", title, url, 0.91, TOPICS[0], "")
    return Alert(
        id=ALERT,
        key=f"topic:{TOPICS[0]}",
        detector="share",
        detector_version="1",
        status=AlertStatus.FIRING,
        severity=Severity.CRITICAL,
        started_at=END - timedelta(hours=2),
        fired_at=END - timedelta(hours=1),
        resolved_at=None,
        value=0.64,
        baseline=0.18,
        evalue=5_000.0,
        threshold=4_000.0,
        documents=41,
        negative=26,
        window_start=END - timedelta(hours=2),
        window_end=END - timedelta(hours=1),
        summary="",
        model_version="test-model",
        appended_at=END,
        updated_at=END,
        evidence=(evidence,),
        posts=60,
        stories=38,
        largest_story=20,
    )


class Database:
    """An SQLite file beside which the tests run the page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def create(self) -> None:
        """Make the tables, and nothing in them."""
        migrate(self.url)

    def fill(
        self,
        *,
        documents: int = 240,
        written_ago: float = 2.0,
        alerts: Sequence[Alert] = (),
        title: str = "",
        url: str = "",
        sources: Sequence[SourceRow] = (),
    ) -> None:
        """``documents`` over the last ten hours of event time, last written that many s ago."""
        self.create()
        wall = datetime.now(UTC) - timedelta(seconds=written_ago)
        step = timedelta(hours=10) / max(documents, 1)
        batch = [scored(i, END - step * i, wall) for i in range(documents)]
        if title:
            batch[0] = scored(0, END, wall, title, url)
        counted = Voices(lambda _: False).count([heard_of(s) for s in batch])
        buckets = [
            Bucket(key, start, s.n, s.negative, s.positive, s.score_sum, posts=s.posts)
            for (key, start), s in counted.items()
        ]
        letter = DeadLetter(Origin("news", 0, 907), Reason.BAD_DATE, "no zone", b"{}", wall)
        store = SqlStore(open_engine(self.url))
        store.load(0)
        store.apply(
            Commit(
                moves=[Move(Partition("news", 0), None, Position(908, END if documents else None))],
                closed_until=int(END.timestamp()) + 300,
                documents=batch,
                dead_letters=[letter],
                buckets=buckets,
                alerts=alerts,
                sources=sources,
                now=wall,
            )
        )
        store.close()

    def deliver(self, alert: Alert, receiver: str) -> None:
        """Record that a notification with this alert has reached a receiver."""
        labels = {"alert_id": alert.id}
        body = json.dumps({"alerts": [{"status": "firing", "labels": labels}]}).encode()
        note = Notification(
            id="message-1",
            receiver=receiver,
            group_key=alert.key,
            body=body,
            created_at=END,
            next_attempt_at=END,
            status=NotificationStatus.DELIVERED,
            attempts=1,
            delivered_at=END,
        )
        outbox = SqlOutbox(open_engine(self.url))
        outbox.save(OutboxChange(put_notifications=[note]))
        outbox.close()


def html(test: AppTest) -> str:
    """Everything that the page shows as HTML but its style sheet."""
    pieces = [element.proto.body for element in test.get("html")]
    return "\n".join(piece for piece in pieces if "<style>" not in piece)
