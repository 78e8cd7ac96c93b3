"""The results of drills, and what is cleared up behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from harness.alerts import an_alert

from monitor.events import Alert, AlertStatus, Evidence
from monitor.keys import DRILL_SCHEDULE, drill_key
from monitor.store.base import (
    RECEIVERS,
    Commit,
    DrillProgress,
    Journey,
    Notification,
    NotificationStatus,
    Outbox,
    OutboxChange,
    Outgoing,
    Store,
)
from monitor.store.drills.base import Drill, DrillOutcome, Drills

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)
NEVER = Drill("never", scheduled=True, started_at=T0, deadline_at=T0)


class Backend(Protocol):
    store: Callable[[], Store]
    outbox: Callable[[], Outbox]
    drills: Callable[[], Drills]


def a_drill(name: str = "d1", minutes: int = 0, *, scheduled: bool = False) -> Drill:
    at = T0 + timedelta(minutes=minutes)
    return Drill(name, scheduled, at, at + timedelta(minutes=2), "desk")


def progress(name: str = "d1", arrived: int = 2) -> DrillProgress:
    evidence = tuple(
        Evidence(f"{name}-{n}", T0, "DRILL", f"Title {n}", None, 0.9) for n in range(arrived)
    )
    journey = Journey(
        published_at=T0 - timedelta(days=3),
        appended_at=T0 + timedelta(seconds=1),
        ingested_at=T0 + timedelta(seconds=2),
        scored_at=T0 + timedelta(seconds=3),
    )
    return DrillProgress(name, evidence, arrived - 1, journey, "m1")


def firing(name: str = "d1") -> Alert:
    return an_alert(f"alert-{name}", drill_key(name), detector="drill")


def told(alert: Alert) -> Sequence[Outgoing]:
    return [Outgoing(RECEIVERS, f"{alert.id} {alert.status}".encode())]


def promised(backend: Backend) -> list[bytes]:
    return [row.payload for row in backend.outbox().rows(100)]


def opened(backend: Backend) -> Store:
    store = backend.store()
    store.load(0)
    return store


def test_a_drill_is_found_as_it_began(backend: Backend) -> None:
    drills = backend.drills()
    drills.begin(a_drill())
    assert a_drill() == drills.find("d1")
    assert [a_drill()] == drills.running()
    assert drills.find("d2") is None


def test_an_id_is_used_once(backend: Backend) -> None:
    backend.drills().begin(a_drill())
    with pytest.raises(ValueError, match="d1"):
        backend.drills().begin(a_drill())


def test_the_pipeline_finds_nothing_of_a_drill_before_its_first_document(backend: Backend) -> None:
    backend.drills().begin(a_drill())
    assert backend.store().drill("d1") is None
    assert backend.store().drill("unknown") is None


def test_the_progress_is_found_by_the_pipeline_and_seen_beside_what_was_announced(
    backend: Backend,
) -> None:
    backend.drills().begin(a_drill())
    opened(backend).apply(Commit(drills=[progress(arrived=1)]))
    opened(backend).apply(Commit(drills=[replace(progress(), fired_at=T0)]))
    assert replace(progress(), fired_at=T0) == backend.store().drill("d1")
    assert replace(
        a_drill(),
        arrived=2,
        negative=1,
        event_at=T0 - timedelta(days=3),
        appended_at=T0 + timedelta(seconds=1),
        ingested_at=T0 + timedelta(seconds=2),
        scored_at=T0 + timedelta(seconds=3),
        model_version="m1",
        fired_at=T0,
    ) == backend.drills().find("d1")


def test_a_drill_that_nobody_announced_runs_for_ten_minutes(backend: Backend) -> None:
    opened(backend).apply(Commit(drills=[progress()]))
    (found,) = backend.drills().running()
    assert ("d1", False, 2) == (found.id, found.scheduled, found.arrived)
    assert timedelta(minutes=10) == found.deadline_at - found.started_at


def test_the_latest_is_chosen_by_how_it_began_and_what_it_came_to(backend: Backend) -> None:
    drills = backend.drills()
    assert drills.latest() is None
    for number in range(4):
        drills.begin(a_drill(f"d{number}", number, scheduled=number < 2))
    drills.end("d0", DrillOutcome.PASSED, "", T0, told)
    drills.end("d2", DrillOutcome.PASSED, "", T0, told)

    def name(drill: Drill | None) -> str | None:
        return None if drill is None else drill.id

    assert "d3" == name(drills.latest())
    assert "d1" == name(drills.latest(scheduled=True))
    assert "d2" == name(drills.latest(outcome=DrillOutcome.PASSED))
    assert "d0" == name(drills.latest(scheduled=True, outcome=DrillOutcome.PASSED))
    assert drills.latest(outcome=DrillOutcome.MISSED) is None


def test_a_drill_that_ends_leaves_its_result_and_nothing_else(backend: Backend) -> None:
    drills = backend.drills()
    drills.begin(a_drill())
    opened(backend).apply(Commit(drills=[progress()], alerts=[firing(), an_alert("real", "all")]))

    assert drills.end("d1", DrillOutcome.PASSED, "", T0 + timedelta(minutes=1), told)

    found = drills.find("d1")
    assert found is not None
    assert (DrillOutcome.PASSED, T0 + timedelta(minutes=1), 2) == (
        found.outcome,
        found.ended_at,
        found.arrived,
    )
    assert [] == drills.running()
    assert ["real"] == [alert.id for alert in backend.store().load(0).alerts]
    assert [b"alert-d1 resolved"] == promised(backend)
    kept = backend.store().drill("d1")
    assert kept is not None
    assert ((), True) == (kept.evidence, kept.over)


def test_a_drill_that_ends_before_anything_came_is_over_for_the_pipeline(backend: Backend) -> None:
    backend.drills().begin(a_drill())
    backend.drills().end("d1", DrillOutcome.FAILED, "ingested: nothing", T0, told)
    found = backend.store().drill("d1")
    assert found is not None
    assert found.over


def test_the_first_outcome_stays(backend: Backend) -> None:
    drills = backend.drills()
    drills.begin(a_drill())
    assert drills.end("d1", DrillOutcome.FAILED, "delivered: 503", T0, told)
    assert not drills.end("d1", DrillOutcome.PASSED, "", T0, told)
    assert not drills.end("unknown", DrillOutcome.PASSED, "", T0, told)
    found = drills.find("d1")
    assert found is not None
    assert (DrillOutcome.FAILED, "delivered: 503") == (found.outcome, found.reason)


def test_an_alert_that_fires_when_its_drill_is_over_is_swept_away(backend: Backend) -> None:
    drills = backend.drills()
    for name in ("d1", "d2"):
        drills.begin(a_drill(name))
    drills.end("d1", DrillOutcome.FAILED, "late", T0, told)
    opened(backend).apply(Commit(alerts=[firing("d1"), firing("d2"), an_alert("real", "all")]))

    assert 1 == drills.sweep(T0, told)
    assert 0 == drills.sweep(T0, told)

    left = {alert.id for alert in backend.store().load(0).alerts}
    assert {"alert-d2", "real"} == left
    assert [b"alert-d1 resolved"] == promised(backend)


def test_the_alarm_of_the_schedule_outlives_sweeps_and_is_found_while_it_fires(
    backend: Backend,
) -> None:
    drills = backend.drills()
    assert drills.alarm() is None
    alarm = an_alert("alarm", DRILL_SCHEDULE, detector="drill")
    drills.put_alarm(alarm, T0, told)
    drills.sweep(T0, told)
    assert alarm == drills.alarm()
    over = replace(alarm, status=AlertStatus.RESOLVED, resolved_at=T0)
    drills.put_alarm(over, T0, told)
    assert drills.alarm() is None
    assert [b"alarm firing", b"alarm resolved"] == promised(backend)


def test_what_was_sent_of_a_drill_comes_in_its_order(backend: Backend) -> None:
    def note(number: int, key: str) -> Notification:
        at = T0 + timedelta(seconds=number)
        return Notification(f"n{number}", "desk", key, b"{}", at, at)

    taken = replace(
        note(1, drill_key("d1")), status=NotificationStatus.DELIVERED, delivered_at=T0, attempts=2
    )
    outbox = backend.outbox()
    outbox.save(OutboxChange(put_notifications=[note(3, "all"), note(2, drill_key("d1")), taken]))
    first, second = backend.drills().sent("d1")
    assert ("desk", NotificationStatus.DELIVERED, T0, 2) == (
        first.receiver,
        first.status,
        first.delivered_at,
        first.attempts,
    )
    assert T0 + timedelta(seconds=2) == second.queued_at
