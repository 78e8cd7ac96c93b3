"""The page, run without a browser on a small database written through the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import queries
from monitor.aggregate.rollup import deltas
from monitor.events import (
    TOPICS,
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Document,
    Evidence,
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
    Position,
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
    return Scored(document, (negative, neutral, positive), number % 4, 0.9, "test-model", wall)


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
    ) -> None:
        """``documents`` over the last ten hours of event time, last written that many s ago."""
        self.create()
        wall = datetime.now(UTC) - timedelta(seconds=written_ago)
        step = timedelta(hours=10) / max(documents, 1)
        batch = [scored(i, END - step * i, wall) for i in range(documents)]
        if title:
            batch[0] = scored(0, END, wall, title, url)
        buckets = [
            Bucket(key, start, s.n, s.negative, s.positive, s.score_sum)
            for (key, start), s in deltas(batch).items()
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


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "monitor.db")


@pytest.fixture
def page(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], AppTest]]:
    """Runs the whole page once and hands it over; a fault of the page fails the test."""
    monkeypatch.setenv("MONITOR_DATABASE_URL", database.url)
    monkeypatch.setattr("sys.argv", ["streamlit"])

    def run() -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        test = AppTest.from_file(str(APP), default_timeout=60)
        test.run()
        assert list(test.exception) == []
        return test

    yield run
    st.cache_resource.clear()


def html(test: AppTest) -> str:
    """Everything that the page shows as HTML but its style sheet."""
    pieces = [element.proto.body for element in test.get("html")]
    return "\n".join(piece for piece in pieces if "<style>" not in piece)


def test_a_missing_database_says_how_to_start_the_daemon(
    database: Database, page: Callable[[], AppTest]
) -> None:
    shown = html(page())

    assert "monitor run" in shown
    assert "No database yet" in shown
    assert not database.path.exists(), "reading must not create the file"


def test_the_page_goes_on_by_itself_when_the_database_appears(
    database: Database, page: Callable[[], AppTest]
) -> None:
    test = page()
    database.fill()

    test.run()

    assert "No database yet" not in html(test)
    assert "Documents are being read" in html(test) or "Live" in html(test)


def test_an_empty_database_shows_no_figure_at_all(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.create()

    test = page()

    assert "No data yet" in html(test)
    assert "Nothing has been scored yet" in html(test)
    assert list(test.metric) == []


def test_a_database_without_tables_is_a_message_and_not_a_fault(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.path.touch()

    assert "monitor migrate" in html(page())


def test_only_rejected_records_are_not_called_live(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(documents=0)

    shown = html(page())

    assert "Reading, nothing accepted" in shown
    assert "m-live" not in shown
    assert "bad date" in shown


def test_the_figures_come_from_the_stored_buckets(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    figures = {metric.label: metric.value for metric in page().metric}

    assert figures["Negative share"] == "33 %"
    assert figures["Net sentiment"] == "+0.00"
    assert figures["Rejected"] == "1"
    assert figures["Alerts firing"] == "0"


def test_a_daemon_that_stopped_writing_is_stalled_and_never_green(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(written_ago=600)

    test = page()

    assert "Stalled" in html(test)
    assert "m-live" not in html(test)
    assert "not all clear" in html(test)
    assert "0 /s" in [metric.value for metric in test.metric]


def test_a_running_daemon_is_live_and_a_replay_is_called_one(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    shown = html(page())

    assert "m-live" in shown
    assert "behind the wall clock" in shown
    assert "news[0] offset 907, bad date" in shown


def test_an_alert_shows_what_moved_its_evidence_and_its_delivery(
    database: Database, page: Callable[[], AppTest]
) -> None:
    alert = an_alert(url="https://example.org/halden")
    database.fill(alerts=[alert])
    database.deliver(alert, "duty-desk")

    shown = html(page())

    assert "18 % → 64 %" in shown
    assert "41 documents, 26 of them negative" in shown
    assert "Halden Bank halts withdrawals" in shown
    assert 'href="https://example.org/halden"' in shown
    assert 'rel="noopener noreferrer nofollow"' in shown
    assert "91 %" in shown
    assert "delivered to duty-desk at 2023-03-13 12:00:00" in shown


def test_a_malicious_title_stays_text_and_its_address_is_no_link(
    database: Database, page: Callable[[], AppTest]
) -> None:
    title = "<img src=x onerror=alert(1)> [go](javascript:alert(2)) \u202egnp.exe"
    alert = an_alert(title=title, url="javascript:alert(3)")
    database.fill(alerts=[alert], title=title, url="javascript:alert(3)")

    test = page()

    assert "<img" not in html(test)
    assert "&lt;img src=x onerror=alert(1)&gt;" in html(test)
    assert "\u202e" not in html(test)
    assert 'href="javascript' not in html(test)
    assert "javascript:alert(3)" not in test.dataframe[0].value["url"].dropna().tolist()
    assert not any("<img" in element.value for element in test.markdown)


def test_the_table_of_documents_obeys_its_filters_and_its_bound(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(documents=900)
    test = page()
    assert len(test.dataframe[0].value) == 200

    test.selectbox(key="doc_topic").set_value(TOPICS[1])
    test.selectbox(key="doc_sentiment").set_value("negative").run()

    shown = test.dataframe[0].value
    assert set(shown["topic"]) == {TOPICS[1]}
    assert set(shown["sentiment"]) == {"▼ negative"}


@pytest.mark.parametrize("window", ["6 h", "24 h", "7 d", "30 d", "All"])
def test_every_window_ends_at_the_newest_event(
    window: str, database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()
    test = page()

    test.segmented_control(key="window").set_value(window).run()

    assert list(test.exception) == []
    assert test.session_state["window"] == window
    assert {m.label: m.value for m in test.metric}["Negative share"] in ("33 %", "34 %")


def test_the_page_loads_neither_the_model_nor_the_broker(
    database: Database, tmp_path: Path
) -> None:
    database.fill()
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"test = AppTest.from_file({str(APP)!r}, default_timeout=60).run()\n"
        "assert not test.exception, test.exception\n"
        "heavy = {'torch', 'transformers', 'kafka', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy), len(test.metric))\n"
    )
    environment = os.environ | {"MONITOR_DATABASE_URL": database.url}

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )

    assert done.stdout.strip() == "[] 6", done.stderr[-2000:]
