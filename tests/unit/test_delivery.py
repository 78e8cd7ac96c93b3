"""What becomes of the rows of the outbox: alerts to receivers, messages to Kafka."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from harness.alerts import NOW, receivers
from harness.alerts import an_alert as alert
from harness.delivering import Bench, ended, told

from monitor.alert.codec import alert_to_json
from monitor.alert.group import GroupTiming
from monitor.alert.lane import ThreadLane
from monitor.alert.memory import Cut, MemoryNotifier, Reply
from monitor.clock import SystemClock
from monitor.delivery import UNREADABLE, DeliveryLoop
from monitor.errors import StoreError
from monitor.relay import messages_of
from monitor.store.base import RECEIVERS, Notification, NotificationStatus
from monitor.store.memory import MemoryOutbox


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_alert_is_delivered_after_the_wait_and_its_end_after_the_interval(bench: Bench) -> None:
    bench.put(alert())
    bench.step()
    bench.step(29)
    assert bench.ops.received == []
    bench.step(1)
    bench.put(ended(alert()))
    bench.run(299, 1)
    assert told(bench.ops.received) == [("firing", [("a", "firing")])]
    bench.step(1)
    assert told(bench.ops.received)[1:] == [("resolved", [("a", "resolved")])]
    assert bench.db.outbox == {}
    assert bench.db.groups == {}
    assert bench.statuses() == [NotificationStatus.DELIVERED] * 2


def test_share_and_volume_of_a_topic_ring_once_and_two_topics_twice(bench: Bench) -> None:
    bench.put(alert("a"), alert("b", detector="volume"), alert("c", key="topic:Earnings"))
    bench.run(60)
    assert sorted(told(bench.ops.received)) == [
        ("firing", [("a", "firing"), ("b", "firing")]),
        ("firing", [("c", "firing")]),
    ]


def test_every_receiver_gets_every_alert_with_its_own_id(bench: Bench) -> None:
    other = MemoryNotifier()
    bench.notifiers["other"] = other
    bench.restarted()
    bench.put(alert())
    bench.run(60)
    assert len({n.id for n in (*bench.ops.received, *other.received)}) == 2
    assert [len(bench.ops.received), len(other.received)] == [1, 1]


def test_a_firing_group_without_news_is_repeated_after_four_hours(bench: Bench) -> None:
    bench.put(alert())
    bench.run(4 * 3600 + 60, 10)
    assert told(bench.ops.received) == [("firing", [("a", "firing")])] * 2


def test_an_alert_that_ended_before_its_firing_was_delivered_is_one_combined_message(
    bench: Bench,
) -> None:
    bench.ops.otherwise = Reply(503)
    bench.put(alert())
    bench.run(60)
    bench.put(ended(alert()))
    bench.run(600)
    bench.ops.otherwise = Reply()
    bench.run(3600, 10)
    assert told(bench.ops.received) == [("resolved", [("a", "resolved")])]
    (body,) = [json.loads(n.body) for n in bench.ops.received]
    assert {"fired_at", "resolved_at"} <= body["alerts"][0]["annotations"].keys()
    assert bench.statuses() == [NotificationStatus.SUPERSEDED, NotificationStatus.DELIVERED]
    assert bench.db.groups == {}


def test_a_final_refusal_is_a_dead_letter_and_the_next_alert_is_tried(bench: Bench) -> None:
    bench.ops.script.append(Reply(400))
    bench.put(alert("a"))
    bench.run(60)
    bench.put(alert("b"))
    bench.run(600)
    assert bench.statuses() == [NotificationStatus.DEAD, NotificationStatus.DELIVERED]
    assert ("dead", "ops") in bench.metrics.calls
    assert ("failed", "ops", False) in bench.metrics.calls


def test_after_410_a_receiver_gets_nothing_until_a_restart(bench: Bench) -> None:
    bench.ops.script.append(Reply(410))
    bench.put(alert("a", key="topic:A"), alert("b", key="topic:B"))
    bench.run(60)
    assert len(bench.ops.attempts) == 1
    assert bench.statuses() == [NotificationStatus.DEAD] * 2
    bench.restarted()
    bench.put(alert("c", key="topic:C"))
    bench.run(60)
    assert told(bench.ops.received) == [("firing", [("c", "firing")])]


def test_a_broken_receiver_holds_up_neither_the_others_nor_kafka() -> None:
    broken = MemoryNotifier(otherwise=Reply(500))
    bench = Bench(broken=broken)
    bench.put(alert())
    bench.publish("scored")
    bench.run(60)
    assert len(bench.ops.received) == 1
    assert len(broken.attempts) >= 2
    assert bench.publisher.written == [("scored", b"k", b'{"n":1}')]


def test_a_fault_in_a_notifiers_code_is_retried_like_any_other(bench: Bench) -> None:
    class Faulty(MemoryNotifier):
        def send(self, notification: Notification, now: datetime) -> None:
            if not self.attempts:
                self.attempts.append((notification, now))
                raise ZeroDivisionError
            super().send(notification, now)

    bench.notifiers["ops"] = faulty = Faulty()
    bench.restarted()
    bench.put(alert())
    bench.run(60)
    assert told(faulty.received) == [("firing", [("a", "firing")])]


def test_rows_for_kafka_are_published_in_order_and_deleted(bench: Bench) -> None:
    bench.publish("scored", b'{"key": "a", "value": {"n": 1}}\n{"key": null, "value": {"n": 2}}\n')
    bench.publish("dead-letters", b'{"key": null, "value": {"reason": "empty"}}')
    bench.publish("scored", '{"key": "利", "value": {"t": "率"}}'.encode())
    bench.step()
    assert bench.publisher.written == [
        ("scored", b"a", b'{"n":1}'),
        ("scored", None, b'{"n":2}'),
        ("scored", "利".encode(), '{"t":"率"}'.encode()),
        ("dead-letters", None, b'{"reason":"empty"}'),
    ]
    assert bench.db.outbox == {}
    assert bench.metrics.calls == [("published", "scored", 3), ("published", "dead-letters", 1)]


def test_a_failing_topic_holds_up_neither_other_topics_nor_alerts(bench: Bench) -> None:
    bench.publisher.failing = {"scored"}
    for _ in range(300):  # three pages of rows that can't be taken
        bench.publish("scored")
    bench.publish("alerts")
    bench.put(alert())
    bench.run(60, 0.25)
    assert [topic for topic, _, _ in bench.publisher.written] == ["alerts"]
    assert len(bench.ops.received) == 1
    assert len(bench.db.outbox) == 300
    assert bench.metrics.lags[-1] == 60.0
    bench.publisher.failing.clear()
    bench.run(120, 0.25)
    assert bench.db.outbox == {}
    assert len(bench.publisher.written) == 301
    assert bench.metrics.lags[-1] == 0.0


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"\xff",
        b"[]",
        b'{"key": "k"}',
        b'{"key": 1, "value": {}}',
        b'{"key": "k", "value": []}',
        b'{"key": "k", "value": {"n": NaN}}',
        b'{"key": "k", "value": {}, "more": 1}',
    ],
)
def test_a_row_that_can_not_be_read_is_kept_as_a_dead_letter_and_blocks_nothing(
    bench: Bench, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="line 1"):
        messages_of(payload)
    bench.publish("scored", payload)
    bench.put(alert())
    bench.db.append(RECEIVERS, payload, NOW)
    bench.publish("scored")
    bench.run(60)
    assert bench.publisher.written == [("scored", b"k", b'{"n":1}')]
    assert len(bench.ops.received) == 1
    letters = [n for n in bench.db.notifications.values() if n.receiver == UNREADABLE]
    assert sorted((n.group_key, n.body) for n in letters) == [
        (RECEIVERS, payload),
        ("scored", payload),
    ]
    assert {n.status for n in letters} == {NotificationStatus.DEAD}
    assert bench.metrics.calls.count(("dead", UNREADABLE)) == 2
    assert "Outbox row 1 to scored can't be read: line 1" in caplog.text


def test_each_distinct_error_is_logged_once_and_the_recovery_too(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "monitor.delivery")
    bench.ops.script.extend([Reply(503), Reply(503), Reply(500), Reply(500)])
    bench.put(alert())
    bench.run(3600, 5)
    assert [r.getMessage() for r in caplog.records] == [
        "Delivery to receiver ops fails: the receiver answered 503",
        "Delivery to receiver ops fails: the receiver answered 500",
        "Delivery to receiver ops works again",
    ]


def test_an_unconfigured_receiver_loses_its_group_and_its_notifications_are_dead(
    bench: Bench,
) -> None:
    bench.ops.otherwise = Cut()
    bench.put(alert())
    bench.run(60)
    del bench.notifiers["ops"]
    bench.notifiers["new"] = new = MemoryNotifier()
    bench.restarted()
    bench.run(600)
    assert bench.db.groups == {}
    assert bench.statuses() == [NotificationStatus.DEAD]
    assert [n.last_error for n in bench.db.notifications.values()] == [
        "no receiver ops is configured"
    ]
    assert new.attempts == []


def test_a_group_that_can_not_be_read_is_a_dead_letter_and_the_loop_goes_on(bench: Bench) -> None:
    bench.put(alert())
    bench.step()
    ((place, stored),) = bench.db.groups.items()
    bench.db.groups[place] = replace(stored, state=b"{}")
    bench.restarted()
    bench.put(alert("b", key="topic:B"))
    bench.run(60)
    assert told(bench.ops.received) == [("firing", [("b", "firing")])]
    assert [n.body for n in bench.db.notifications.values() if n.receiver == UNREADABLE] == [b"{}"]


def test_without_receivers_alerts_leave_the_outbox() -> None:
    bench = Bench()
    bench.notifiers.clear()
    bench.restarted()
    bench.put(alert())
    bench.run(60)
    assert bench.db.outbox == {}
    assert bench.db.notifications == {}


def test_the_delivered_metric_counts_from_the_making_of_the_notification(bench: Bench) -> None:
    bench.ops.script.append(Cut())
    bench.put(alert())
    bench.run(60, 5)
    assert ("delivered", "ops", 5.0) in bench.metrics.calls


class SlowNotifier:
    """Holds each send until it is released."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.released = threading.Event()

    def send(self, notification: Notification, now: datetime) -> None:
        self.started.set()
        self.released.wait(30)

    def close(self) -> None:
        self.released.set()


def _threaded(bench: Bench) -> DeliveryLoop:
    quick = GroupTiming(timedelta(0), timedelta(seconds=1), timedelta(hours=4))
    return DeliveryLoop(
        MemoryOutbox(bench.db),
        bench.publisher,
        receivers(bench.notifiers),
        quick,
        bench.metrics,
        SystemClock(),
        lane=ThreadLane,
    )


def test_a_receiver_that_hangs_holds_up_nobody_and_is_settled_on_the_way_out() -> None:
    slow = SlowNotifier()
    bench = Bench(slow=slow)
    delivered = threading.Event()

    class Telling(MemoryNotifier):
        def send(self, notification: Notification, now: datetime) -> None:
            super().send(notification, now)
            if notification.group_key == "topic:B":
                delivered.set()

    bench.notifiers["ops"] = Telling()
    bench.put(alert("a", key="topic:A"))
    stop = threading.Event()
    thread = threading.Thread(target=_threaded(bench).run, args=(stop,))
    thread.start()
    assert slow.started.wait(10)
    bench.db.append(RECEIVERS, alert_to_json(alert("b", key="topic:B")), NOW)
    assert delivered.wait(10)
    stop.set()
    slow.released.set()
    thread.join(10)
    assert not thread.is_alive()
    done = {
        (n.receiver, n.group_key)
        for n in bench.db.notifications.values()
        if n.status is NotificationStatus.DELIVERED
    }
    assert {("ops", "topic:A"), ("slow", "topic:A")} <= done


def test_a_send_that_never_ends_does_not_keep_the_loop_and_stays_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.delivery.GRACE", 0.05)
    slow = SlowNotifier()
    bench = Bench()
    bench.notifiers = {"slow": slow}
    bench.put(alert())
    stop = threading.Event()
    thread = threading.Thread(target=_threaded(bench).run, args=(stop,))
    thread.start()
    assert slow.started.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert bench.statuses() == [NotificationStatus.PENDING]
    slow.released.set()


def test_a_failed_save_is_repeated_and_neither_the_sending_nor_the_publishing(bench: Bench) -> None:
    lost = StoreError("the connection was lost")
    bench.publish("scored")
    bench.db.fail("save", lost)  # the deletion of the published row
    bench.step()
    bench.put(alert())
    bench.step(1)
    bench.db.fail("save", None, lost, lost)  # the notification is frozen; then its settlement
    bench.run(60)
    assert len(bench.publisher.written) == 1
    assert len(bench.ops.attempts) == 1
    assert bench.statuses() == [NotificationStatus.DELIVERED]
    assert bench.db.outbox == {}
