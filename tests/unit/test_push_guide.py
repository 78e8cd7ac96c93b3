"""The commands of docs/push.md do what stands below them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness.push import NOON, SECRET, endpoint

from monitor.config import load_settings
from monitor.metrics import CODES

GUIDE = (Path(__file__).parents[2] / "docs" / "push.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
COMMANDS = [text for kind, text in BLOCKS if kind == "sh" and "curl" in text]
ANSWERS = [json.loads(text) for kind, text in BLOCKS if kind == "json"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_a_command_of_the_guide_gets_its_answer(number: int) -> None:
    with endpoint() as served:
        place = urlsplit(served.url)
        environment = {
            **os.environ, "MONITOR": f"http://{place.netloc}", "KEY": SECRET, "NO_PROXY": "*"
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", COMMANDS[number]],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    told = json.loads(done.stdout)
    assert told["accepted"] == 1, told
    if number < len(ANSWERS):
        assert ANSWERS[number] == told


def test_the_guide_has_commands_and_they_are_of_today() -> None:
    assert (3, 2) == (len(COMMANDS), len(ANSWERS))
    assert NOON.date().isoformat() in COMMANDS[0]


def test_every_status_that_is_counted_is_explained() -> None:
    explained = set(re.findall(r"^\| (\d{3}) \|", GUIDE, re.MULTILINE))
    assert set(CODES) == explained


def test_the_configurations_of_the_guide_are_valid(tmp_path: Path) -> None:
    tables = [text for kind, text in BLOCKS if kind == "toml"]
    path = tmp_path / "monitor.toml"
    path.write_text("\n".join(tables).replace("…", "f" * 64), "utf-8")
    settings = load_settings(path, {})
    assert ("press-office", "comment") == (
        settings.http.keys[0].name,
        settings.watch_folders[0].kind,
    )
