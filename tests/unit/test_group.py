from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from harness.alerts import NOW, START, an_alert

from monitor.alert import group as grouping
from monitor.alert.group import (
    Group,
    GroupTiming,
    absorb,
    due_at,
    group_from_json,
    group_labels,
    group_to_json,
    settle,
)
from monitor.events import Alert, AlertStatus, Evidence, Severity

TIMING = GroupTiming()


def alert(name: str = "a", status: AlertStatus = AlertStatus.FIRING, **changes: Any) -> Alert:
    said: dict[str, Any] = {
        "status": status,
        "summary": "Financials turned negative",
        "evidence": (Evidence("d", START, "wire", "Bank halts withdrawals", None, 0.97),),
    }
    if status is AlertStatus.PENDING:
        said["fired_at"] = None
    if status is AlertStatus.RESOLVED:
        said["resolved_at"] = START + timedelta(hours=1)
    return an_alert(name, **{**said, **changes})


def of(*alerts: Alert, at: datetime = NOW) -> Group:
    group: Group | None = None
    for item in alerts:
        group = absorb(group, "ops", item, at)
    assert group is not None
    return group


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def told(group: Group, name: str, at: datetime) -> Group:
    settled = settle(grouping.offer(group, name, at), name, at)
    assert settled is not None
    return settled


def test_the_defaults_are_those_of_alertmanager() -> None:
    assert (
        GroupTiming(timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=4))
        == GroupTiming()
    )


@pytest.mark.parametrize(("wait", "interval", "repeat"), [(-1, 5, 10), (1, 0, 10), (1, 5, 4)])
def test_a_timing_that_makes_no_sense_is_refused(wait: int, interval: int, repeat: int) -> None:
    with pytest.raises(ValueError, match="grouping needs"):
        GroupTiming(*(timedelta(seconds=s) for s in (wait, interval, repeat)))


@pytest.mark.parametrize(
    ("key", "labels"),
    [
        ("topic:Energy | Oil", {"topic": "Energy | Oil"}),
        ("kind:news", {"kind": "news"}),
        ("all", {"scope": "all"}),
        ("topic:", {"scope": "topic:"}),
        (":x", {"scope": ":x"}),
        ("entity:A:B", {"entity": "A:B"}),
    ],
)
def test_a_group_has_the_label_of_its_key(key: str, labels: dict[str, str]) -> None:
    assert labels == group_labels(key)


def test_the_first_notification_waits_for_company() -> None:
    first, second = alert("a"), alert("b", detector="volume")
    group = absorb(of(first), "ops", second, after(20))
    assert group is not None
    assert due_at(group, TIMING) == after(30)
    assert [m.alert for m in group.members] == [first, second]


def test_of_the_alerts_that_page_nobody_a_group_keeps_the_last() -> None:
    quiet = [alert(f"q{n}", AlertStatus.PENDING) for n in range(3)]
    group = of(quiet[0], alert("a"), *quiet[1:])
    assert grouping.bounded(group, 3) is group
    assert ["a", "q1", "q2"] == [m.alert.id for m in grouping.bounded(group, 2).members]


def test_a_dropped_alert_is_gone_whoever_heard_of_it() -> None:
    group = grouping.offer(of(alert("a"), alert("b")), "n1", after(30))
    left = grouping.drop(group, "a")
    assert left is not None and ["b"] == [m.alert.id for m in left.members]
    assert grouping.drop(left, "b") is None


def test_while_a_notification_is_under_way_nothing_more_is_due() -> None:
    group = grouping.offer(of(alert()), "n1", after(30))
    assert due_at(group, TIMING) is None


def test_an_unchanged_group_that_fires_is_repeated_after_four_hours() -> None:
    group = told(of(alert()), "n1", after(30))
    assert due_at(group, TIMING) == after(30) + timedelta(hours=4)


def test_a_new_alert_and_an_end_wait_for_the_interval() -> None:
    group = told(of(alert("a")), "n1", after(30))
    for change in (alert("b"), alert("a", AlertStatus.RESOLVED)):
        changed = absorb(group, "ops", change, after(60))
        assert changed is not None
        assert due_at(changed, TIMING) == after(30) + timedelta(minutes=5)


def test_a_worse_severity_is_news_and_a_new_figure_is_not() -> None:
    group = told(of(alert()), "n1", after(30))
    worse = absorb(group, "ops", alert(severity=Severity.CRITICAL, updated_at=after(60)), after(60))
    same = absorb(group, "ops", alert(value=0.7, updated_at=after(60)), after(60))
    assert worse is not None
    assert same is not None
    assert due_at(worse, TIMING) == after(330)
    assert due_at(same, TIMING) == after(30) + timedelta(hours=4)
    assert same.members[0].alert.value == 0.7


def test_a_group_is_forgotten_once_its_end_was_told() -> None:
    group = told(of(alert()), "n1", after(30))
    ended = absorb(group, "ops", alert(status=AlertStatus.RESOLVED), after(60))
    assert ended is not None
    offered = grouping.offer(ended, "n2", after(330))
    assert settle(offered, "n2", after(331)) is None


def test_only_the_ended_members_of_a_group_are_forgotten() -> None:
    group = of(alert("a", AlertStatus.RESOLVED), alert("b"))
    assert [m.alert.id for m in told(group, "n1", after(30)).members] == ["b"]


def test_an_alert_that_ends_within_the_wait_is_told_once() -> None:
    group = of(alert(), alert(status=AlertStatus.RESOLVED))
    assert [m.alert.status for m in group.members] == [AlertStatus.RESOLVED]
    assert due_at(group, TIMING) == after(30)
    assert settle(grouping.offer(group, "n1", after(30)), "n1", after(31)) is None


def test_an_alert_that_ends_before_its_firing_was_delivered_is_offered_again_at_the_interval() -> (
    None
):
    group = grouping.offer(of(alert()), "n1", after(30))
    ended = absorb(group, "ops", alert(status=AlertStatus.RESOLVED), after(60))
    assert ended is not None
    assert due_at(ended, TIMING) == after(330)
    combined = grouping.offer(ended, "n2", after(330))
    assert settle(combined, "n1", after(340)) is combined  # the old one no longer counts
    assert settle(combined, "n2", after(340)) is None


def test_an_end_that_comes_while_the_firing_is_under_way_is_told_later() -> None:
    group = grouping.offer(of(alert()), "n1", after(30))
    ended = absorb(group, "ops", alert(status=AlertStatus.RESOLVED), after(31))
    assert ended is not None
    delivered = settle(ended, "n1", after(32))
    assert delivered is not None
    assert due_at(delivered, TIMING) == after(332)


def test_a_state_that_comes_late_does_not_undo_a_newer_one() -> None:
    ended = of(alert(), alert(status=AlertStatus.RESOLVED))
    assert absorb(ended, "ops", alert(updated_at=after(99)), NOW) is ended
    newer = of(alert(updated_at=after(60)))
    assert absorb(newer, "ops", alert(severity=Severity.CRITICAL), NOW) is newer


def test_a_group_survives_its_json() -> None:
    fresh = of(alert("a"), alert("b", evalue=float("inf")))
    on_its_way = grouping.offer(fresh, "n1", after(30))
    for group in (fresh, on_its_way, told(fresh, "n1", after(31))):
        assert group_from_json(group_to_json(group)) == group


@pytest.mark.parametrize("state", [b"", b"[]", b"{}", b'{"receiver":"ops","offer":3}', b"null"])
def test_what_is_not_a_group_is_a_value_error(state: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own message or ours
        group_from_json(state)
