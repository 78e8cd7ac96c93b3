"""The page in a real Chromium, steered through its DevTools protocol."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness.page import APP, Database, an_alert
from websockets.sync.client import connect
from websockets.sync.connection import Connection

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LIMIT = 60.0

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium"),
]

# Resolves with the page's text once every chart is drawn.
READY = """new Promise((resolve, reject) => {
  const end = Date.now() + 50000;
  const look = () => {
    const charts = document.querySelectorAll('svg.marks, canvas.marks').length;
    const table = document.querySelector('[data-testid=stDataFrame] canvas');
    if (charts >= 10 && table) resolve(document.body.innerText);
    else if (Date.now() > end) reject(charts + ' charts; ' + document.body.innerText);
    else setTimeout(look, 100);
  };
  look();
})"""


class Tab:
    """One tab: calls methods of the protocol and keeps the events that came meanwhile."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=LIMIT))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def evaluate(self, expression: str) -> Any:
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"]["value"]


@contextmanager
def started(command: list[str], said: str, environment: dict[str, str]) -> Iterator[str]:
    """A process, once it has printed what matches ``said``: the match's first group."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if match := re.search(said, line):
                yield match[1]
                break
        else:
            pytest.fail(f"{command[0]} ended without saying {said}")
    finally:
        process.terminate()
        process.communicate(timeout=LIMIT)


@pytest.fixture
def tab(database: Database, tmp_path: Path) -> Iterator[Tab]:
    """The page, being opened in a fresh Chromium."""
    alert = an_alert(title="<b>Halden</b> halts withdrawals", url="https://example.org/halden")
    database.fill(alerts=[alert])
    environment = os.environ | {"MONITOR_DATABASE_URL": database.url, "HOME": str(tmp_path)}
    serve = [sys.executable, "-m", "streamlit", "run", str(APP)]
    serve += ["--server.port", "0", "--server.address", "127.0.0.1"]
    browse = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-port=0", "--window-size=1440,1000"),
        f"--user-data-dir={tmp_path / 'profile'}",
        "about:blank",
    ]
    with ExitStack() as stack:
        page = stack.enter_context(started(serve, r"URL: (http://127\.0\.0\.1:\d+)", environment))
        listening = r"DevTools listening on (ws://\S+)"
        browser = stack.enter_context(started(browse, listening, environment))
        control = Tab(stack.enter_context(connect(browser, max_size=None)))
        target = control.call("Target.createTarget", url="about:blank")["targetId"]
        address = f"ws://{urlsplit(browser).netloc}/devtools/page/{target}"
        tab = Tab(stack.enter_context(connect(address, max_size=None)))
        tab.call("Network.enable")
        tab.call("Runtime.enable")
        tab.call("Page.navigate", url=page)
        yield tab


def test_the_page_draws_itself_and_asks_nothing_of_the_internet(tab: Tab) -> None:
    text = tab.evaluate(READY)

    assert "Live" in text
    assert "18 % → 64 %" in text
    assert "<b>Halden</b> halts withdrawals" in text, "a title is text, whatever it holds"
    relation = "document.querySelector('a[href=\"https://example.org/halden\"]').rel"
    assert "noopener" in tab.evaluate(relation)
    addresses = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    outside = [a for a in addresses if a.startswith("http") and "//127.0.0.1:" not in a]
    assert addresses
    assert [] == outside
    faults = [e for e in tab.events if e.get("method") == "Runtime.exceptionThrown"]
    assert [] == faults
