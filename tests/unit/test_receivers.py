"""The receivers in the configuration: a type decides the fields, and no secret is shown."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from monitor.config import Settings, load_settings
from monitor.errors import ConfigError
from monitor.notifying import make_receivers
from monitor.receivers import TYPES

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
VALID: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://hooks.example.com/hunter2", "secrets": [SECRET]},
    "cloudevents": {"url": "https://hooks.example.com/hunter2", "secrets": [SECRET]},
    "slack": {"url": "https://hooks.slack.com/services/hunter2"},
    "feishu": {"url": "https://open.feishu.cn/open-apis/bot/v2/hook/hunter2", "secret": "hunter2"},
    "dingtalk": {
        "url": "https://oapi.dingtalk.com/robot/send?access_token=hunter2",
        "secret": "SEChunter2",
    },
    "wecom": {"url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=hunter2"},
    "teams": {"url": "https://prod-01.westeurope.logic.azure.com/workflows/hunter2"},
    "pagerduty": {"routing_key": "hunter2hunter2hunter2hunter2hunt"},
    "alertmanager": {
        "url": "http://10.1.2.3:9093",
        "token": "hunter2",
        "allow_http": True,
        "allow_networks": ["10.0.0.0/8"],
    },
    "email": {
        "host": "mail.example.com",
        "username": "monitor",
        "password": "hunter2",
        "sender": "monitor@example.com",
        "recipients": ["desk@example.com"],
    },
    "apprise": {"url": "json://hunter2@hooks.example.com/"},
}


def settings_of(*tables: dict[str, Any]) -> Settings:
    return Settings.model_validate({"delivery": {"receivers": list(tables)}})


def table(kind: str, **changes: Any) -> dict[str, Any]:
    return {"name": f"a-{kind}", "type": kind, **VALID[kind], **changes}


def refused(folder: Path, *lines: str) -> str:
    path = folder / "monitor.toml"
    path.write_text("[[delivery.receivers]]\n" + "\n".join(lines), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    return str(caught.value)


def test_every_type_has_an_example_here() -> None:
    assert set(TYPES) == set(VALID)


def test_every_type_becomes_a_receiver_and_shows_no_secret() -> None:
    pytest.importorskip("apprise", reason="apprise is missing: pip install -e '.[apprise]'")
    settings = settings_of(*(table(kind) for kind in TYPES))
    assert "hunter2" not in repr(settings)
    with ExitStack() as stack:
        made = make_receivers(settings.delivery, stack)
        assert set(made) == {f"a-{kind}" for kind in TYPES}
        for receiver in made.values():
            assert "hunter2" not in repr(receiver.notifier)
    stateful = {name for name, receiver in made.items() if receiver.stateful}
    assert stateful == {"a-pagerduty", "a-alertmanager"}


def test_a_receiver_without_a_type_is_a_webhook() -> None:
    made = settings_of({"name": "desk", **VALID["webhook"]}).delivery.receivers[0]
    assert made.type == "webhook"


def test_the_documented_limits_come_with_the_type() -> None:
    settings = settings_of(table("dingtalk"), table("wecom"), table("feishu"))
    with ExitStack() as stack:
        made = make_receivers(settings.delivery, stack)
        rates = {n: {(r.messages, r.seconds) for r in to.rates} for n, to in made.items()}
    assert rates["a-dingtalk"] == rates["a-wecom"] == {(20, 60.0)}
    assert rates["a-feishu"] == {(5, 1.0), (100, 60.0)}


def test_an_unknown_type_is_told_the_known_ones(tmp_path: Path) -> None:
    said = refused(tmp_path, 'name = "desk"', 'type = "pigeon"')
    assert "delivery.receivers.0: type must be one of webhook, cloudevents, slack" in said


def test_a_field_of_another_type_is_an_unknown_name_at_its_own_place(tmp_path: Path) -> None:
    said = refused(
        tmp_path, 'name = "desk"', 'type = "slack"', 'url = "https://x.example/"', "secrets = []"
    )
    assert "delivery.receivers.0.secrets: unknown name" in said


@pytest.mark.parametrize("kind", TYPES)
def test_what_a_type_needs_is_asked_for(kind: str) -> None:
    optional = {"secret", "token", "allow_http", "allow_networks", "username", "password"}
    for name in set(VALID[kind]) - optional:
        broken = table(kind)
        del broken[name]
        with pytest.raises(ValueError, match="Field required"):
            settings_of(broken)


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("slack", {"url": "http://hooks.slack.com/x"}, "plain http needs"),
        ("feishu", {"url": "https://user@open.feishu.cn/x"}, "must not carry a user name"),
        ("alertmanager", {"allow_networks": []}, "plain http needs"),
        ("email", {"host": "mail.example.com:25"}, "its port is a setting of its own"),
        ("email", {"host": "mail.example.com/x"}, "its port is a setting of its own"),
        ("email", {"password": None}, "belong together"),
        ("email", {"security": "none"}, "without TLS|plain http"),
        ("email", {"password": "p\u00e4ss"}, "ASCII"),
        ("email", {"recipients": []}, "at least 1 item"),
        ("email", {"recipients": ["Desk <desk@example.com>"]}, "address as desk@example.com"),
        ("email", {"sender": "a@b\nBcc: c@example.com"}, "address as desk@example.com"),
        ("apprise", {"url": "dingtalk://token"}, 'use type = "dingtalk"'),
    ],
)
def test_a_receiver_that_could_not_work_is_refused(
    kind: str, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        settings_of(table(kind, **changes))


@pytest.mark.parametrize("kind", TYPES)
def test_no_refusal_shows_a_secret(kind: str, tmp_path: Path) -> None:
    def toml(value: object) -> str:
        return str(value).lower() if isinstance(value, bool) else repr(value)

    lines = [f"{name} = {toml(value)}" for name, value in table(kind).items()]
    said = refused(tmp_path, *lines, 'timeout = "soon"', "colour = 1")
    assert "2 faults" in said
    assert "hunter2" not in said


# Routes, quiet hours, digests

SLACK = table("slack")


def delivery(**fields: Any) -> Settings:
    return Settings.model_validate({"delivery": {"receivers": [SLACK], **fields}})


def test_hours_and_routes_are_read() -> None:
    quiet = {"start": "22:00", "end": "07:00", "zone": "Europe/Berlin"}
    digest = {"times": ["08:00", "17:30"], "zone": "Asia/Shanghai"}
    settings = settings_of(table("slack", quiet=quiet, digest=digest))
    with ExitStack() as stack:
        (made,) = make_receivers(settings.delivery, stack).values()
    assert made.quiet is not None and made.quiet.critical_passes
    assert made.digest is not None and len(made.digest.times) == 2
    found = delivery(routes=[{"match": ['severity="critical"'], "receivers": ["a-slack"]}])
    assert found.delivery.routes[0].route.receivers == ("a-slack",)


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        ({"start": "22:00"}, "Field required"),
        ({"start": "25:00", "end": "07:00"}, "hour"),
        ({"start": "22:00Z", "end": "07:00"}, "clock on the wall"),
        ({"start": "22:00", "end": "07:00", "zone": "Berlin"}, "as Europe/Berlin"),
        ({"start": "22:00", "end": "07:00", "zone": "../etc/passwd"}, "as Europe/Berlin"),
    ],
)
def test_hours_that_make_no_sense_are_refused(quiet: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        settings_of(table("slack", quiet=quiet))


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({"match": ["severity"], "receivers": []}, "is no matcher"),
        ({"match": ["topic=~["], "receivers": []}, "no regular expression"),
        ({"receivers": ["nobody"]}, "no receiver is called nobody"),
        ({"receivers": ["a-slack"], "digest": True}, "a-slack has no digest.times"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(route: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        delivery(routes=[route])
