"""Alerts as the channels show them, and every service that takes one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from harness.alerts import NOW, START, an_alert
from harness.scripted import Request as Arrived
from harness.services import (
    AlertmanagerService,
    CloudEventsService,
    DingTalkService,
    FeishuService,
    PagerDutyService,
    Service,
    SlackService,
    TeamsService,
    WeComService,
)

from monitor.alert.base import Answer, Channel, Notice
from monitor.alert.channels.alertmanager import Alertmanager
from monitor.alert.channels.cloudevents import CloudEvents
from monitor.alert.channels.dingtalk import DingTalk
from monitor.alert.channels.feishu import Feishu
from monitor.alert.channels.pagerduty import PagerDuty
from monitor.alert.channels.slack import Slack
from monitor.alert.channels.teams import Teams
from monitor.alert.channels.wecom import WeCom
from monitor.alert.signing import Signer, new_secret
from monitor.errors import DeliveryError
from monitor.events import (
    About,
    Alert,
    AlertStatus,
    Evidence,
    Setting,
    Severity,
    Subject,
    Term,
    Waterfall,
)
from monitor.store.base import Notification

KEY = "0123456789abcdef0123456789abcdef"
SIGNER = Signer([new_secret()])


HOSTILE = [
    "<!channel> <@U123|you> <https://evil.example|Harlow Bank>",
    '@all <@all> <at id=all></at> <at user_id="all">all</at> <font color="info">fine</font>',
    "[Harlow Bank](https://evil.example) ![x](https://evil.example/pixel.png)",
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'",
    "*bold* _it_ `code` ~~~ # head\r\n\r\nBcc: everybody@example.com",
    "\u202egnp.exe\u202c \u2066x\u2069 \x00\x1b[31m \ud800 end",
    "| a | b |\n|---|---|\n&lt;b&gt; &amp; {{x}} ${y} %s {0}",
]


LINKS = [
    "javascript:alert(1)",
    "https://bank.example@evil.example/",
    "https://evil.example/) [x](https://evil.example",
    "https://evil.example/><script>",
    "https://evil.example/|Harlow Bank>",
    "ftp://evil.example/",
    "https://[::1/",
    "https://пример.example/",
    "data:text/html,x",
]


def evidence(number: int, title: str, url: str | None = "https://wire.example/a") -> Evidence:
    return Evidence(f"d{number}", START, "northgate-wire", title, url, 0.97, copies=number)


def rich(**changes: Any) -> Alert:
    """An alert with everything that is shown."""
    values: dict[str, Any] = {
        "key": "topic:Energy",
        "severity": Severity.CRITICAL,
        "posts": 312,
        "stories": 9,
        "largest_story": 200,
        "evidence": tuple(evidence(n, f"Refinery {n} halts") for n in range(4)),
        "setting": Setting(corrected=(0.57, 0.42, 0.71), corrected_baseline=0.18),
        "about": About(
            40,
            (Term("halts production", 31, 5.2), Term("blast", 12, 3.1)),
            (Subject("company:XX:HRB", "Harbour Oil", 33),),
            (Subject("topic:Energy", "Energy", 38), Subject("topic:Macro", "Macro", 2)),
        ),
        "waterfall": Waterfall(
            START,
            NOW - timedelta(seconds=32),
            NOW - timedelta(seconds=31.5),
            NOW - timedelta(seconds=31),
            NOW - timedelta(seconds=30),
        ),
    }
    return an_alert(**(values | changes))


def ended(made: Alert) -> Alert:
    begun = made.fired_at or made.started_at
    end = begun + timedelta(hours=2, minutes=15)
    return replace(made, status=AlertStatus.RESOLVED, resolved_at=end, updated_at=end)


def a_notice(*alerts: Alert, test: bool = False) -> Notice:
    shown = alerts or (rich(),)
    return Notice("msg_1", "desk", shown[0].key, shown, "https://m.example.com", NOW, test)


@dataclass(frozen=True)
class Case:
    name: str
    channel: Callable[[], Channel]
    service: Callable[[Callable[[], datetime]], Service]
    path: str = "/hook"


CASES = [
    Case("slack", Slack, SlackService),
    Case("feishu", lambda: Feishu("s3cret"), lambda now: FeishuService(now, "s3cret")),
    Case(
        "dingtalk",
        lambda: DingTalk("SECx"),
        lambda now: DingTalkService(now, "SECx"),
        "/robot/send?access_token=t",
    ),
    Case("wecom", WeCom, WeComService),
    Case("teams", Teams, TeamsService),
    Case("pagerduty", lambda: PagerDuty(KEY), lambda now: PagerDutyService(now, KEY)),
    Case("alertmanager", Alertmanager, AlertmanagerService, "/am"),
    Case("cloudevents", lambda: CloudEvents(SIGNER), CloudEventsService),
]
CHATS = CASES[:5]


def frozen(channel: Channel, notice: Notice) -> Notification:
    return Notification(notice.id, "desk", notice.key, channel.render(notice), NOW, NOW)


def deliver(
    case: Case, service: Service, notice: Notice, now: datetime = NOW
) -> DeliveryError | None:
    """One attempt at a service that answers as documented."""
    channel = case.channel()
    for request in channel.requests(frozen(channel, notice), case.path, now):
        path = case.path if request.path is None else request.path
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = service(Arrived(f"POST {path} HTTP/1.1", headers, request.body))
        head, _, body = raw.partition(b"\r\n\r\n")
        after = re.search(rb"Retry-After: (\S+)", head)
        answer = Answer(int(head.split()[1]), after and after[1].decode(), body)
        if fault := channel.verdict(answer, now):
            return fault
    return None


def texts(value: object) -> list[str]:
    """Every string in a JSON value, without the names of its fields."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def shown(case: Case, *alerts: Alert) -> str:
    return "\n".join(texts(json.loads(case.channel().render(a_notice(*alerts)))))
