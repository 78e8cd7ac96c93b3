"""``monitor notify-test``: one alert that says of itself that it is a test, and the answer."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.alerts import NOW
from harness.scripted import ScriptedServer, answer
from rich.console import Console

from monitor.config import load_settings
from monitor.errors import ConfigError
from monitor.trial import run_trial

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as running:
        yield running


def tried(folder: Path, server: ScriptedServer, kind: str, more: str = "") -> tuple[int, str]:
    """Exit status and what was printed."""
    path = folder / "monitor.toml"
    url = "" if kind == "pagerduty" else f'url = "{server.url}"'
    path.write_text(
        f'[[delivery.receivers]]\nname = "desk"\ntype = "{kind}"\n{url}\n{more}\n'
        'allow_http = true\nallow_networks = ["127.0.0.0/8"]\n',
        "utf-8",
    )
    printed = io.StringIO()
    console = Console(file=printed, soft_wrap=True, markup=False, highlight=False)
    status = run_trial(load_settings(path, {}), "desk", console, NOW)
    return status, printed.getvalue()


def test_the_answer_is_printed_and_the_alert_says_that_it_is_a_test(
    tmp_path: Path, server: ScriptedServer
) -> None:
    server.script.append(answer(200, body="ok"))
    assert tried(tmp_path, server, "slack") == (0, "desk: firing: taken: 200 ok\n")
    assert "TEST, nothing has happened" in json.loads(server.requests[0].body)["text"]


def test_a_webhook_hears_that_it_is_a_test(tmp_path: Path, server: ScriptedServer) -> None:
    server.script.append(answer(204))
    status, _ = tried(tmp_path, server, "webhook", f'secrets = ["{SECRET}"]')
    (item,) = json.loads(server.requests[0].body)["alerts"]
    assert status == 0
    assert item["annotations"]["summary"].startswith("TEST, nothing has happened")
    assert item["labels"]["topic"] == "Test"


def test_a_refusal_is_told_with_the_receivers_words(tmp_path: Path, server: ScriptedServer) -> None:
    server.script.append(answer(200, body='{"errcode":310000,"errmsg":"keywords not in content"}'))
    status, said = tried(tmp_path, server, "dingtalk")
    assert status == 1
    assert "would not be tried again" in said
    assert "310000: keywords not in content" in said


def test_what_keeps_alerts_open_is_sent_the_end_as_well(
    tmp_path: Path, server: ScriptedServer
) -> None:
    server.script += [answer(200), answer(200)]
    status, said = tried(tmp_path, server, "alertmanager")
    assert status == 0
    assert [line.split(": ")[1] for line in said.splitlines()] == ["firing", "resolved"]
    first, second = (json.loads(request.body)[0] for request in server.requests)
    assert first["labels"] == second["labels"]
    assert first["labels"]["test"] == "true"
    assert first["endsAt"] > second["endsAt"]


def test_a_name_that_is_not_configured_is_told_the_configured_ones(
    tmp_path: Path, server: ScriptedServer
) -> None:
    server.script.append(answer(200, body="ok"))
    tried(tmp_path, server, "slack")
    settings = load_settings(tmp_path / "monitor.toml", {})
    with pytest.raises(ConfigError, match="configured are: desk"):
        run_trial(settings, "dsk", Console(file=io.StringIO()), NOW)
