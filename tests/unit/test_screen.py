"""The demo's terminal screen and where its figures come from."""

from __future__ import annotations

import io
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest
from harness.samples import MONDAY, dead_letter, moment, scored
from prometheus_client import CollectorRegistry
from rich.console import Console

from monitor.clock import ManualClock
from monitor.demo.screen import SHOWN_ALERTS, AlertLine, Gauges, Screen, read_gauges
from monitor.events import Kind
from monitor.http import HttpServer, application
from monitor.metrics import Metrics

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def drawn(screen: Screen, gauges: Gauges | None, published: int = 0) -> str:
    """What a person would see."""
    stream = io.StringIO()
    console = Console(file=stream, width=110)
    console.print(screen.render(gauges, published, NOW))
    return stream.getvalue()


def test_the_gauges_are_read_from_the_daemons_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    metrics = Metrics(CollectorRegistry())
    metrics.batch(
        records=4,
        scored=[scored(1), scored(2, kind=Kind.COMMENT)],
        dead_letters=[dead_letter(), dead_letter()],
        alerts=[],
        gaps=[],
        done=moment(MONDAY),
    )
    metrics.event_lag.set(12.5)
    metrics.watermark.set(MONDAY)
    metrics.offset_lag.set(9)
    metrics.firing.set(1)
    server = HttpServer(application(metrics.registry, dict, dict), "127.0.0.1", 0)
    with closing(server):
        server.start()
        found = read_gauges(f"http://127.0.0.1:{server.port}/metrics")
    assert Gauges(2, {"not_utf8": 2}, 12.5, MONDAY, 9, 1) == found


def test_a_daemon_that_does_not_answer_has_no_gauges() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert read_gauges(f"http://127.0.0.1:{port}/metrics") is None


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nmonitor_")

        thread = threading.Thread(target=answer)
        thread.start()
        found = read_gauges(f"http://127.0.0.1:{server.getsockname()[1]}/metrics")
        thread.join()
    assert found is None


def test_until_the_daemon_answers_the_screen_says_that_it_starts() -> None:
    assert "starting: loading the model" in drawn(Screen({}, 720), None)


def test_the_screen_shows_flow_faults_lag_and_addresses() -> None:
    screen = Screen({"dashboard": "http://127.0.0.1:8501"}, 720)
    gauges = Gauges(1200, {"bad_date": 3, "duplicate": 4}, 5400, MONDAY, 15, 2)
    text = drawn(screen, gauges, published=1222)
    for expected in (
        "Mon 02 Mar 09:30 UTC, 720 times as fast",
        "1,222 published, 1,200 scored, 7 rejected, 15 waiting",
        "1.5 h of simulated time",
        "3 bad_date, 4 duplicate",
        "http://127.0.0.1:8501",
        "none yet",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("expected", "lag"), [("– of", None), ("0 s", -4.0), ("89 s", 89.0), ("2 min", 120.0)]
)
def test_a_lag_is_told_in_the_unit_that_fits(expected: str, lag: float | None) -> None:
    assert expected in drawn(Screen({}, 1), Gauges(1, {}, lag))


def test_the_rate_is_documents_over_the_seconds_between_two_looks() -> None:
    clock = ManualClock(NOW)
    screen = Screen({}, 1, clock.monotonic)
    assert 0 == screen.rate()
    for scored_so_far in (100, 130, 160):
        drawn(screen, Gauges(scored_so_far))
        clock.advance(0.5)
    assert 60.0 == pytest.approx(screen.rate())


def test_the_rate_looks_at_the_last_draws_only() -> None:
    clock = ManualClock(NOW)
    screen = Screen({}, 1, clock.monotonic)
    for i in range(100):
        screen.render(Gauges(min(i, 50) * 10), 0, NOW)
        clock.advance(0.5)
    assert 0 == screen.rate()


def test_the_latest_alerts_are_shown_first() -> None:
    screen = Screen({}, 1)
    for i in range(SHOWN_ALERTS + 1):
        status = "resolved" if i % 2 else "firing"
        screen.alerts.append(AlertLine(NOW, status, "critical", f"alert number {i}"))
    text = drawn(screen, None)
    assert "alert number 0" not in text
    assert text.index("alert number 8") < text.index("alert number 1")
    assert "resolved" in text and "none yet" not in text
