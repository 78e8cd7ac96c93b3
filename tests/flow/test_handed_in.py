"""What is handed in to a daemon process over a real Apache Kafka: each document once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import (
    ROOT,
    SCRIPTED,
    DaemonProcess,
    Installation,
    original,
    read_topics,
    until,
)

from monitor.source.settings import KafkaSettings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SECRET = "an-api-key-for-a-flow-test-0001"
ROWS = 3_000
BAD = range(100, ROWS, 500)


def message(name: str, at: datetime, **more: Any) -> dict[str, Any]:
    """A valid message whose text tells the scorer its verdict."""
    when = at.isoformat()
    return {"id": name, "source": "wire", "published_at": when, "text": f"0 5 text {name}", **more}


def now() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture
def site(real_broker: KafkaSettings, tmp_path: Path) -> Installation:
    extra = f"""
[[http.keys]]
name = "desk"
secret = "{SECRET}"
[[watch_folders]]
path = "{tmp_path / "inbox"}"
columns = {{ published_at = "ts" }}
poll_interval = 0.3
settle = 0.2
"""
    (tmp_path / "inbox").mkdir()
    # A killed member of the group is waited for so long.
    kafka = replace(real_broker, session_timeout=6.0)
    return Installation(tmp_path, kafka, extra=extra)


def post(daemon: DaemonProcess, body: Sequence[object]) -> tuple[int, dict[str, Any]]:
    """Status and answer; (0, {}) where the daemon does not answer."""
    daemon.get("/livez")
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon._port}/v1/documents",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as got:  # noqa: S310 - our own
            return got.status, json.loads(got.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, {}


def taken(daemon: DaemonProcess, body: Sequence[object]) -> bool:
    return post(daemon, body)[0] == 202


def read(site: Installation, rows: int) -> bool:
    dealt_with: int = sum(r for (r,) in site.rows("SELECT rows FROM files"))
    return dealt_with >= rows


def test_pushed_documents_are_scored_once_though_the_daemon_is_killed_again_and_again(
    site: Installation,
) -> None:
    config = site.write()
    batches = [[message(f"p{b}-{n}", now()) for n in range(50)] for b in range(24)]
    kills = {4, 10, 16}
    sent = 0
    daemon = DaemonProcess(config, SCRIPTED).ready()
    try:
        while sent < len(batches):
            if sent in kills:
                kills.remove(sent)
                threading.Timer(0.01, daemon.kill).start()
            status, _ = post(daemon, batches[sent])
            if status == 202:
                sent += 1
            elif status == 0:  # nobody knows whether it was taken: it is sent again
                daemon.close()
                daemon = DaemonProcess(config, SCRIPTED).ready()
            else:
                assert status == 429
        assert not kills
        for batch in batches:  # everything once more
            until(partial(taken, daemon, batch), "the batch is taken", daemon)
        wanted = {item["id"] for batch in batches for item in batch}
        until(lambda: site.count("documents") >= len(wanted), "all are scored", daemon)
        until(lambda: not site.count("to_publish"), "nothing waits", daemon)
        until(site.settled, "everything is delivered", daemon)
    finally:
        daemon.close()

    found = read_topics(site.kafka, {site.topics.news: len(wanted)})[site.topics.news]
    assert Counter(wanted) == Counter(item["id"] for item in found)
    assert 0 == site.count("dead_letters")


def test_a_file_is_read_once_though_the_daemon_is_killed_in_the_middle(
    site: Installation,
) -> None:
    config = site.write()
    at = now()
    lines = []
    for n in range(ROWS):
        item = message(f"f{n}", at if n % 2 else at - timedelta(days=3))
        item["ts"] = item.pop("published_at")
        lines.append("{bad" if n in BAD else json.dumps(item))
    (site.folder / "inbox" / "news.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    good = ROWS - len(BAD)

    for wanted in (1, ROWS // 2):
        with DaemonProcess(config, SCRIPTED) as daemon:
            until(partial(read, site, wanted), "rows are taken", daemon)
            daemon.kill()
    with DaemonProcess(config, SCRIPTED).ready() as daemon:
        until(lambda: site.count("documents") >= good, "all rows are scored", daemon)
        until(lambda: not site.count("to_publish"), "nothing waits", daemon)
        until((site.folder / "inbox/done/news.jsonl").exists, "the file is moved", daemon)
        until(site.settled, "everything is delivered", daemon)

    topics = site.topics
    found = read_topics(site.kafka, {topics.news: good, topics.dead_letters: len(BAD)})
    history = {item["id"]: item.get("history", False) for item in found[topics.news]}
    assert good == len(found[topics.news]) == len(history)
    assert all(old is (int(name[1:]) % 2 == 0) for name, old in history.items())
    letters = sorted((x["file"], x["row"], original(x)) for x in found[topics.dead_letters])
    assert [("news.jsonl", n + 1, b"{bad") for n in BAD] == letters
    assert [(good, len(BAD))] == site.rows("SELECT accepted, rejected FROM files")


def test_an_import_hands_in_each_row_once(site: Installation) -> None:
    config = site.write()
    path = site.folder / "posts.csv"
    rows = [f"c{n},forum,{now().isoformat()},0 5 text {n}" for n in range(700)]
    path.write_text("id,source,created,body\n" + "\n".join([*rows, "bad"]) + "\n", "utf-8")
    command = [
        *(sys.executable, "-m", "monitor", "import", str(path), "--config", str(config)),
        *("--kind", "comment", "--map", "published_at=created,text=body"),
    ]

    first, second = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        for _ in range(2)
    )

    assert (2, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "700 documents handed in, 0 known before, 1 dead letters" in first.stdout
    assert "read before, as posts.csv" in second.stdout
    topics = site.topics
    found = read_topics(site.kafka, {topics.comments: 700, topics.dead_letters: 1})
    assert {f"c{n}" for n in range(700)} == {item["id"] for item in found[topics.comments]}
    assert 700 == len(found[topics.comments])
    (letter,) = found[topics.dead_letters]
    assert ("posts.csv", 702, "bad_date") == tuple(letter[k] for k in ("file", "row", "reason"))
