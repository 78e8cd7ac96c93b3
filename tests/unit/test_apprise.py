"""The long tail: what apprise says, and what it may not be used for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from harness.alerts import NOW, an_alert
from harness.scripted import ScriptedServer, answer

from monitor.alert.base import Notice
from monitor.alert.channels.apprise import AppriseNotifier, check, render
from monitor.errors import ConfigError, DeliveryError
from monitor.store.base import Notification

NOTICE = Notice("msg_1", "desk", "topic:Energy", (an_alert(key="topic:Energy"),), "", NOW)
NOTIFICATION = Notification("msg_1", "desk", "topic:Energy", render(NOTICE), NOW, NOW)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as running:
        yield running


@pytest.fixture
def notifier(server: ScriptedServer) -> Iterator[AppriseNotifier]:
    pytest.importorskip("apprise", reason="apprise is missing: pip install -e '.[apprise]'")
    with closing(AppriseNotifier(f"json://127.0.0.1:{server.server_address[1]}/")) as made:
        yield made


def test_a_notice_goes_out_with_title_text_and_colour(
    server: ScriptedServer, notifier: AppriseNotifier
) -> None:
    server.script.append(answer(200))
    notifier.send(NOTIFICATION, NOW)
    body = json.loads(server.requests[0].body)
    assert body["title"] == "Warning: Energy: negative share 20 % → 60 %"
    assert "40, 24 of them negative" in body["message"]
    assert body["type"] == "warning"


def test_no_is_tried_again(server: ScriptedServer, notifier: AppriseNotifier) -> None:
    server.script.append(answer(500))
    with pytest.raises(DeliveryError) as caught:
        notifier.send(NOTIFICATION, NOW)
    assert caught.value.retryable


def test_a_closed_notifier_sends_nothing(server: ScriptedServer, notifier: AppriseNotifier) -> None:
    notifier.close()
    with pytest.raises(DeliveryError):
        notifier.send(NOTIFICATION, NOW)
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("dingtalk://token", "dingtalk"),
        ("DingTalk://secret@token", "dingtalk"),
        ("feishu://token", "feishu"),
        ("lark://token", "feishu"),
        ("wecombot://key", "wecom"),
    ],
)
def test_what_it_judges_wrongly_has_a_type_of_its_own(url: str, own: str) -> None:
    with pytest.raises(ConfigError, match=f'use type = "{own}"'):
        check(url)


def test_the_same_is_found_behind_an_address() -> None:
    pytest.importorskip("apprise", reason="apprise is missing: pip install -e '.[apprise]'")
    key = "12345678-1234-1234-1234-123456789abc"
    with pytest.raises(ConfigError, match='use type = "wecom"'):
        AppriseNotifier(f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={key}")


@pytest.mark.parametrize("url", ["hello", "nobody-knows-this://x"])
def test_what_is_no_url_of_it_is_refused_without_showing_it(url: str) -> None:
    pytest.importorskip("apprise", reason="apprise is missing: pip install -e '.[apprise]'")
    with pytest.raises(ConfigError) as caught:
        AppriseNotifier(url + "s3cret")
    assert "s3cret" not in str(caught.value)


def test_without_the_library_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'monitor\[apprise\]'"):
        AppriseNotifier("json://localhost/")
