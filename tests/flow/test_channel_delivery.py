"""From a configuration and an outbox row in SQLite to services that answer as documented."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from harness.alerts import an_alert
from harness.mailserver import MailServer
from harness.scripted import Request, ScriptedServer
from harness.services import (
    AlertmanagerService,
    DingTalkService,
    FeishuService,
    PagerDutyService,
    Service,
    SlackService,
    TeamsService,
    WeComService,
)

from monitor.alert.codec import alert_to_json
from monitor.alert.group import GroupTiming
from monitor.clock import SystemClock
from monitor.config import Settings
from monitor.delivery import DeliveryLoop
from monitor.events import Evidence
from monitor.notifying import make_receivers
from monitor.store.base import RECEIVERS, Commit, NotificationStatus, Outgoing
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.outbox import SqlOutbox
from monitor.store.sql import SqlStore

KEY = "0123456789abcdef0123456789abcdef"


class Told:
    """Publisher and metrics: waits until so many receivers have been told."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.receivers: set[str] = set()
        self.faults: list[str] = []
        self.done = threading.Event()

    def publish(self, topic: str, messages: object) -> None:
        raise AssertionError(f"nothing goes to {topic}")

    def close(self) -> None:
        pass

    def published(self, topic: str, messages: int) -> None:
        pass

    def delivered(self, receiver: str, seconds: float) -> None:
        self.receivers.add(receiver)
        if len(self.receivers) == self.expected:
            self.done.set()

    def failed(self, destination: str, retryable: bool) -> None:
        self.faults.append(destination)
        self.done.set()

    def dead(self, receiver: str) -> None:
        self.faults.append(receiver)
        self.done.set()

    def lag(self, seconds: float) -> None:
        pass


@pytest.fixture
def services() -> Iterator[dict[str, tuple[Service, ScriptedServer]]]:
    clock = SystemClock()
    made: dict[str, Service] = {
        "slack": SlackService(clock.now),
        "feishu": FeishuService(clock.now, "s3cret"),
        "dingtalk": DingTalkService(clock.now, "SECs3cret"),
        "wecom": WeComService(clock.now),
        "teams": TeamsService(clock.now),
        "pagerduty": PagerDutyService(clock.now, KEY),
        "alertmanager": AlertmanagerService(clock.now),
    }
    with ExitStack() as stack:
        yield {
            name: (service, stack.enter_context(closing(ScriptedServer(service=service))))
            for name, service in made.items()
        }


def test_one_alert_reaches_every_channel(
    tmp_path: Path, services: dict[str, tuple[Service, ScriptedServer]]
) -> None:
    more: dict[str, dict[str, str]] = {
        "feishu": {"secret": "s3cret"},
        "dingtalk": {"secret": "SECs3cret"},
        "pagerduty": {"routing_key": KEY},
    }
    tables: list[dict[str, object]] = [
        {"name": name, "type": name, "url": server.url.replace("hook", "am"), **more.get(name, {})}
        for name, (_, server) in services.items()
    ]
    with closing(MailServer()) as mail, ExitStack() as stack:
        account = {"host": "127.0.0.1", "port": mail.port, "security": "none"}
        addresses = {"sender": "monitor@example.com", "recipients": ["desk@example.com"]}
        tables.append({"name": "mail", "type": "email", **account, **addresses})
        inside = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
        settings = Settings.model_validate(
            {"delivery": {"receivers": [{**table, **inside} for table in tables]}}
        )
        url = f"sqlite:///{tmp_path / 'monitor.db'}"
        migrate(url)
        engine = open_engine(url)
        stack.callback(engine.dispose)
        store, outbox, clock = SqlStore(engine), SqlOutbox(engine), SystemClock()
        store.load(0)
        evidence = Evidence("d", clock.now(), "wire", "油价 <!channel> [x](y)", None, 0.97)
        made = replace(an_alert("a", "topic:Energy | Oil"), evidence=(evidence,))
        row = Outgoing(RECEIVERS, alert_to_json(made))
        store.apply(Commit(alerts=[made], outgoing=[row], now=clock.now()))
        told = Told(len(tables))
        quick = GroupTiming(timedelta(0), timedelta(seconds=5))
        loop = DeliveryLoop(
            outbox, told, make_receivers(settings.delivery, stack), quick, told, clock
        )
        stop = threading.Event()
        thread = threading.Thread(target=loop.run, args=(stop,))
        thread.start()
        try:
            assert told.done.wait(60)
        finally:
            stop.set()
            thread.join(20)
        assert told.faults == []
        assert {name: len(service.taken) for name, (service, _) in services.items()} == (
            dict.fromkeys(services, 1)
        )
        assert "油价" in mail.mails[0].message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert services["pagerduty"][0].incidents == {"a": "triggered"}  # type: ignore[attr-defined]
        sent: list[Request] = services["dingtalk"][1].requests
        assert "sign=" in sent[0].path
        stored = outbox.due(clock.now() + timedelta(days=2), 10)
        assert [n for n in stored if n.status is NotificationStatus.PENDING] == []
        store.close()
        outbox.close()
