"""When messages go out: channels with a pace, outages and the retries after them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from harness.alerts import NOW, receivers
from harness.alerts import an_alert as alert
from harness.delivering import TIMING, Bench

from monitor.alert.base import Rate
from monitor.alert.group import GroupTiming
from monitor.alert.lane import InlineLane
from monitor.alert.memory import Cut, MemoryNotifier, Reply
from monitor.delivery import POLL, DeliveryLoop
from monitor.errors import StoreError
from monitor.store.base import NotificationStatus
from monitor.store.memory import MemoryOutbox


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_retries_keep_id_and_body_and_follow_the_schedule(bench: Bench) -> None:
    bench.ops.script.extend([Reply(503), Cut(), Reply(429, "300")])
    bench.put(alert())
    bench.step()
    start = bench.clock.now() + timedelta(seconds=30)
    bench.run(1000, 1)
    assert len({(n.id, n.body) for n, _ in bench.ops.attempts}) == 1
    seconds = [(at - start).total_seconds() for _, at in bench.ops.attempts]
    assert seconds == [0, 5, 35, 335]
    assert bench.statuses() == [NotificationStatus.DELIVERED]


def test_six_hours_of_silence_end_with_everything_delivered_at_the_next_retry(bench: Bench) -> None:
    bench.ops.otherwise = Cut()
    names = [f"topic:{i}" for i in range(20)]
    bench.put(*(alert(f"a{i}", key=key) for i, key in enumerate(names)))
    bench.run(6 * 3600, 30)
    bench.ops.otherwise = Reply()
    due = [n.next_attempt_at for n in bench.db.notifications.values()]
    bench.clock.advance((max(due) - bench.clock.now()).total_seconds())
    bench.step()
    assert sorted(n.group_key for n in bench.ops.received) == sorted(names)


def test_a_notification_is_given_up_after_a_day(bench: Bench) -> None:
    bench.ops.otherwise = Reply(500)
    bench.put(alert())
    bench.run(25 * 3600, 60)
    first = min(bench.db.notifications.values(), key=lambda n: n.created_at)
    assert first.status is NotificationStatus.DEAD
    assert first.attempts == 13
    assert first.last_error == "the receiver answered 500"


def test_a_failing_topic_is_tried_less_and_less_often(bench: Bench) -> None:
    bench.publisher.failing = {"scored"}
    bench.publish("scored")
    bench.run(600, 1)
    assert 10 <= bench.metrics.calls.count(("failed", "scored", True)) <= 16


def test_a_store_that_fails_is_asked_less_and_less_often_and_said_so_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.db.fail("rows", *([StoreError("the disk is full")] * 6))
    assert [bench.step() for _ in range(7)] == [1, 2, 5, 10, 30, 30, POLL]
    assert caplog.text.count("the disk is full") == 1


def test_the_delay_says_when_the_next_step_is_worth_making(bench: Bench) -> None:
    assert bench.step() == POLL
    bench.put(alert())
    bench.step()
    assert bench.step(29.9) == pytest.approx(0.1)
    assert bench.step(0.1) == POLL
    for _ in range(150):
        bench.publish("scored")
    assert bench.step() == 0.0


def test_500_alerts_at_once_reach_a_channel_of_20_a_minute_in_20_a_minute() -> None:
    bench = Bench()
    bench.rates["ops"] = (Rate(20, 60.0),)
    bench.restarted()
    bench.ops.script.extend(Reply(503 if n % 100 == 50 else 200) for n in range(400))
    bench.put(*(alert(f"a{n}", key=f"topic:{n}") for n in range(500)))
    bench.run(35 * 60, 5)
    times = [at for _, at in bench.ops.attempts]
    worst = max(
        sum(1 for t in times if start <= t < start + timedelta(seconds=60)) for start in times
    )
    assert worst == 20
    assert {n.group_key for n in bench.ops.received} == {f"topic:{n}" for n in range(500)}
    assert (len(bench.ops.received), len(times)) == (500, 504)
    assert set(bench.statuses()) == {NotificationStatus.DELIVERED}
    assert times[-1] - times[0] <= timedelta(minutes=26)


def test_a_channel_with_a_pace_holds_up_no_other() -> None:
    slow = MemoryNotifier()
    bench = Bench(slow=slow)
    bench.rates["slow"] = (Rate(1, 60.0),)
    bench.restarted()
    bench.put(*(alert(f"a{n}", key=f"topic:{n}") for n in range(500)))
    bench.run(60, 1)
    assert len(bench.ops.received) == 500
    assert len(slow.received) == 1


def test_after_six_hours_of_outage_all_is_delivered_soon_after_the_next_retry() -> None:
    bench = Bench()
    bench.ops.otherwise = Reply(503)
    names = [f"topic:{n}" for n in range(60)]
    for name in names:  # one every four minutes: their retries are hours apart
        bench.put(alert(f"a {name}", key=name))
        bench.run(240, 10)
    bench.run(7200, 10)
    assert bench.clock.now() - NOW == timedelta(hours=6)
    assert bench.ops.received == []
    bench.ops.otherwise = Reply(200)
    back = min(n.next_attempt_at for n in bench.db.notifications.values())
    while bench.clock.now() < back:
        bench.step(10)
    bench.run(600, 10)
    assert {n.group_key for n in bench.ops.received} == set(names)
    assert set(bench.statuses()) == {NotificationStatus.DELIVERED}


def test_an_outage_that_a_restart_fell_into_ends_as_soon() -> None:
    bench = Bench()
    bench.ops.otherwise = Reply(503)
    bench.put(alert("a", key="topic:A"), alert("b", key="topic:B"))
    bench.run(7200, 10)
    bench.ops.otherwise = Reply(200)
    bench.restarted()
    back = min(n.next_attempt_at for n in bench.db.notifications.values())
    while bench.clock.now() < back:
        bench.step(10)
    bench.run(60, 10)
    assert {n.group_key for n in bench.ops.received} == {"topic:A", "topic:B"}


def test_what_one_message_meets_wakes_no_other() -> None:
    bench = Bench()
    bench.ops.script.extend([Reply(503)])
    bench.put(alert("a", key="topic:A"))
    bench.step()
    bench.step(30)
    bench.put(alert("b", key="topic:B"))
    bench.step()
    waiting = bench.ops.attempts[0][0].id
    due = bench.db.notifications[waiting].next_attempt_at
    bench.db.notifications[waiting] = replace(
        bench.db.notifications[waiting], next_attempt_at=due + timedelta(hours=1)
    )
    bench.run(60, 10)
    assert [n.group_key for n in bench.ops.received] == ["topic:B"]


def test_a_group_for_an_alertmanager_is_repeated_over_one_that_still_fails() -> None:
    bench = Bench()
    told = receivers(bench.notifiers)
    short = GroupTiming(timedelta(0), timedelta(minutes=1), timedelta(minutes=5), insist=True)
    told["ops"] = replace(told["ops"], timing=short)
    loop = DeliveryLoop(
        MemoryOutbox(bench.db),
        bench.publisher,
        told,
        TIMING,
        bench.metrics,
        bench.clock,
        lambda: 0.5,
        lane=InlineLane,
    )
    bench.ops.otherwise = Reply(503)
    bench.put(alert())
    for _ in range(200):
        bench.clock.advance(10)
        loop.step(bench.clock.now())
    gaps = [at for _, at in bench.ops.attempts]
    assert max(after - before for before, after in pairwise(gaps)) <= timedelta(minutes=5)
    made = [notification.created_at for notification, _ in bench.ops.attempts]
    assert made == sorted(made)
    assert len(set(made)) >= 5
