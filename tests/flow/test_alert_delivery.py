"""From an outbox row in SQLite to a verified webhook, with every part real."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from harness.alerts import START, an_alert, receivers

from monitor.alert.codec import alert_to_json
from monitor.alert.group import GroupTiming
from monitor.alert.signing import Signer, new_secret
from monitor.alert.webhook import WebhookNotifier
from monitor.clock import SystemClock
from monitor.delivery import DeliveryLoop
from monitor.demo.receiver import Delivery, WebhookReceiver
from monitor.events import Alert, Evidence, Severity
from monitor.guard import Guard
from monitor.store.base import RECEIVERS, Commit, Outgoing
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.sql import SqlStore


class Silent:
    """A publisher and metrics that nothing asks for here."""

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        raise AssertionError(f"nothing goes to {topic}")

    def close(self) -> None:
        pass

    def published(self, topic: str, messages: int) -> None:
        pass

    def delivered(self, receiver: str, seconds: float) -> None:
        pass

    def failed(self, destination: str, retryable: bool) -> None:
        raise AssertionError(f"{destination} failed")

    def dead(self, receiver: str) -> None:
        raise AssertionError(f"{receiver} is dead")

    def lag(self, seconds: float) -> None:
        pass


def alert(name: str, now: datetime) -> Alert:
    return an_alert(
        name,
        "topic:Energy | Oil",
        severity=Severity.CRITICAL,
        summary="Energy | Oil turned negative",
        appended_at=now,
        updated_at=now,
        evidence=(Evidence("d", START, "wire", "油价 – refinery halts", None, 0.97),),
    )


def test_alerts_of_a_transaction_reach_the_receiver_signed_and_are_settled(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'monitor.db'}"
    migrate(url)
    engine = open_engine(url)
    store, outbox, clock = SqlStore(engine), SqlOutbox(engine), SystemClock()
    store.load(0)
    now = clock.now()
    made = [alert("a", now), alert("b", now)]
    rows = [Outgoing(RECEIVERS, alert_to_json(item)) for item in made]
    store.apply(Commit(alerts=made, outgoing=rows, now=now))

    signer = Signer([new_secret()])
    arrived: list[str] = []
    both = threading.Event()

    def on_alert(_delivery: Delivery, item: dict[str, Any]) -> None:
        arrived.append(item["labels"]["alert_id"])
        if len(arrived) == 2:
            both.set()

    stop = threading.Event()
    with WebhookReceiver(signer, on_alert=on_alert) as receiver:
        guard = Guard(inside=["127.0.0.0/8"], plain_http=["127.0.0.0/8"])
        notifier = WebhookNotifier(receiver.url, signer, guard)
        quick = GroupTiming(timedelta(0), timedelta(seconds=5), timedelta(hours=4))
        silent = Silent()
        loop = DeliveryLoop(outbox, silent, receivers({"demo": notifier}), quick, silent, clock)
        thread = threading.Thread(target=loop.run, args=(stop,))
        thread.start()
        try:
            assert both.wait(20)
        finally:
            stop.set()
            thread.join(20)
            notifier.close()
        (delivery,) = receiver.received
        assert receiver.rejected == 0
        assert len(receiver.latencies()) == 2
    assert arrived == ["a", "b"]
    assert delivery.payload["groupLabels"] == {"topic": "Energy | Oil"}
    assert outbox.rows(10) == []
    assert outbox.due(clock.now() + timedelta(days=2), 10) == []
    assert [group.receiver for group in outbox.groups()] == ["demo"]
    outbox.close()
    store.close()
    engine.dispose()
