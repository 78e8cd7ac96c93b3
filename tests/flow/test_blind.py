"""A source dies and comes back: it is told, and what does not depend on it goes on untouched."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import pytest
from harness.flow import START, Flow, Message, message

from monitor.aggregate.roster import STREAM
from monitor.aggregate.sources import SourceSettings
from monitor.clock import ManualClock
from monitor.events import BUCKET_SECONDS, TOPICS, Alert, AlertStatus, Severity, SourceState
from monitor.source.memory import MemoryLog
from monitor.store.base import RECEIVERS

HOUR = timedelta(hours=1)
DAYS = 86_400.0
SETTINGS = SourceSettings(minimum_history=DAYS, forget=5 * DAYS)
LONE, SHARED = 3, 5
"""Topics: of the first "lone" alone writes, of the second the others."""


def hour_of(hour: int, silent: Iterable[str] = ()) -> list[Message]:
    """What four sources say in an hour, six times each."""
    said = []
    for place, source in enumerate(("lone", "north", "south", "west")):
        topic = LONE if source == "lone" else SHARED
        for i in range(6):
            at = START + hour * HOUR + timedelta(minutes=10 * i + 2 * place, seconds=hour % 50)
            number = hour * 100 + place * 10 + i
            if source not in silent:
                said.append(message(number, at, "-0+0"[number % 4], topic, source))
    return sorted(said, key=lambda m: str(m["published_at"]))


def flow_of(sources: SourceSettings | None = SETTINGS) -> Flow:
    """Nothing said yet, and the clock where the stream begins."""
    log = MemoryLog(["news", "comments"], 1, wall=lambda: START)
    return Flow(log, clock=ManualClock(START), sources=sources)


def follow(flow: Flow, hours: Iterable[int], silent: Iterable[str] = ()) -> None:
    """Hear these hours, one after the other."""
    quiet = tuple(silent)
    for hour in hours:
        flow.put(hour_of(hour, quiet))
        for seconds in (3_538, 62):  # in the second of them the topic without records falls idle
            flow.clock.advance(seconds)
            for _ in range(3):
                flow.pipeline.step(flow.stop)


def blind_alerts(flow: Flow) -> list[Alert]:
    """In the order in which they fired."""
    found = [a for a in flow.database.alerts.values() if a.detector == "blind"]
    return sorted(found, key=lambda a: a.fired_at or a.started_at)


def topic(index: int) -> str:
    return f"topic:{TOPICS[index]}"


def level(flow: Flow, key: str) -> float:
    """Documents that the volume detector takes for usual in the newest bucket."""
    closed_until = flow.database.closed_until
    assert closed_until is not None
    newest = closed_until - BUCKET_SECONDS
    return flow.detectors[1].recent(key, newest, newest).expected


@pytest.fixture(scope="module")
def outage() -> Flow:
    """Not to be changed: see `broken_off`."""
    return broken_off()


def broken_off() -> Flow:
    """Three days, then "lone" is silent for nine hours."""
    flow = flow_of()
    follow(flow, range(72))
    follow(flow, range(72, 81), silent=["lone"])
    return flow


def test_a_dead_source_fires_one_alert_with_its_last_documents(outage: Flow) -> None:
    (alert,) = blind_alerts(outage)
    assert ("source:lone", AlertStatus.FIRING) == (alert.key, alert.status)
    assert Severity.CRITICAL is alert.severity, "a quarter of the stream"
    assert START + 71 * HOUR < alert.started_at < START + 72 * HOUR
    assert alert.fired_at is not None
    assert timedelta(hours=1) <= alert.fired_at - alert.started_at <= timedelta(hours=6)
    assert ["lone"] * 3 == [e.source for e in alert.evidence]
    assert "lone is blind: nothing since 2026-03-04 23:" in alert.summary
    assert "(25% of the stream; " in alert.summary
    told = [json.loads(r.payload) for r in outage.database.outbox.values()
            if r.destination == RECEIVERS]  # fmt: skip
    assert alert.id in {t["id"] for t in told}


def test_what_depends_on_it_keeps_its_baseline_and_no_other_key_notices(outage: Flow) -> None:
    unaware, always = flow_of(None), flow_of(None)
    follow(unaware, range(72))
    follow(unaware, range(72, 81), silent=["lone"])
    follow(always, range(81))
    usual = level(always, topic(LONE))
    assert level(unaware, topic(LONE)) < 0.96 * usual
    assert level(outage, topic(LONE)) == pytest.approx(usual, rel=0.02)
    mine, theirs = (flow.detectors[0]._table for flow in (outage, unaware))
    for field in ("documents", "negative", "pairs", "active", "lag_n"):
        one, other = mine.one(topic(SHARED)), theirs.one(topic(SHARED))
        assert one is not None and other is not None
        assert np.array_equal(one[field], other[field])
    row = outage.database.sources["lone"]
    assert {"all", "kind:news", topic(LONE)} == set(row.keys)


def test_it_is_told_in_metrics_in_the_table_and_over_http(outage: Flow) -> None:
    value = outage.metrics.registry.get_sample_value
    assert 1 == value("monitor_sources", {"state": "blind"})
    assert 3 == value("monitor_sources", {"state": "speaking"})
    assert 1 == value("monitor_source_blind_total")
    assert 1 == value("monitor_alerts_firing")
    rows = outage.database.sources
    assert {STREAM, "lone", "north", "south", "west"} == set(rows)
    assert SourceState.BLIND is rows["lone"].state
    assert rows["lone"].missing > 15
    shown = {s["source"]: s for s in outage.pipeline.sources["sources"]}
    assert "blind" == shown["lone"]["state"]
    assert json.dumps(outage.pipeline.sources)


def test_a_restart_forgets_nothing_and_the_first_word_ends_the_alert() -> None:
    outage = broken_off()
    outage.restart()
    follow(outage, range(81, 84), silent=["lone"])
    (alert,) = blind_alerts(outage)
    assert AlertStatus.FIRING is alert.status
    usual = level(outage, topic(LONE))
    follow(outage, range(84, 87))
    (alert,) = blind_alerts(outage)
    assert AlertStatus.RESOLVED is alert.status
    assert SourceState.SPEAKING is outage.database.sources["lone"].state
    assert () == outage.database.sources["lone"].keys
    assert pytest.approx(usual, rel=0.02) == level(outage, topic(LONE))


def test_a_stream_that_falls_silent_is_one_alert_and_what_it_was_is_not_unlearned() -> None:
    flow = flow_of()
    follow(flow, range(72))
    usual = [level(flow, key) for key in ("all", topic(LONE), topic(SHARED))]
    follow(flow, range(72, 90), silent=["lone", "north", "south", "west"])
    (alert,) = blind_alerts(flow)
    assert ("all", Severity.CRITICAL) == (alert.key, alert.severity)
    assert alert.summary.startswith("The whole stream is silent: nothing since 2026-03-04 23:5")
    follow(flow, range(90, 94))  # the hours of silence close now, all at once
    (alert,) = blind_alerts(flow)
    assert AlertStatus.RESOLVED is alert.status
    now = [level(flow, key) for key in ("all", topic(LONE), topic(SHARED))]
    assert np.allclose(usual, now, rtol=0.02)


def test_records_that_wait_are_not_taken_for_silence() -> None:
    flow = flow_of()
    follow(flow, range(72))
    for hour in range(72, 84):  # they are in the log, and the daemon is slow to read them
        flow.put(hour_of(hour))
    flow.poll_records = 1
    flow.restart()
    for _ in range(60):
        flow.clock.advance(600)
        flow.pipeline.step(flow.stop)
    assert [] == blind_alerts(flow)


def test_a_feed_that_fails_is_blind_and_seeing_it_answer_ends_that() -> None:
    flow = flow_of()
    follow(flow, range(3))
    for _ in range(3):
        flow.heartbeat.failed("west", flow.clock.now(), "HTTP 503")
    follow(flow, range(3, 5), silent=["west"])
    (alert,) = blind_alerts(flow)
    assert "west is blind: the last 3 attempts to reach it failed: HTTP 503" in alert.summary
    flow.heartbeat.succeeded("west", flow.clock.now())
    follow(flow, range(5, 6), silent=["west"])
    (alert,) = blind_alerts(flow)
    assert AlertStatus.RESOLVED is alert.status
