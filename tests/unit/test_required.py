"""REQUIRE_…=1: what a machine must be able to run fails instead of being skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("required", "status"), [("0", 0), ("1", 1)])
def test_a_skip_of_what_is_required_is_a_failure(
    tmp_path: Path, required: str, status: int
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/ui/test_browser.py",
        ],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "REQUIRE_BROWSER": required},  # no Chromium
        capture_output=True,
        text=True,
        check=False,
    )
    assert status == done.returncode, done.stdout + done.stderr
    assert "Chromium is missing: apt-get install chromium" in done.stdout
    assert bool(status) == ("REQUIRE_BROWSER=1 forbids to skip this test" in done.stdout)
