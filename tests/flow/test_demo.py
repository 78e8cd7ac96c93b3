"""`monitor demo`: a timed run that succeeds, Ctrl-C, a port in use; and no process left behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from harness.broker import local_kafka
from harness.daemon import ROOT, until

ROW = re.compile(r"^ *([a-z][\w ,]*?)  +([\d.]+)(?: s)?\s*$", re.MULTILINE)
SECONDS = 100
"""Of a timed run: a busy machine judges, links and counts three days' 3,000 documents in less."""


def command(folder: Path, *more: str) -> list[str]:
    """The demo on free ports, its processes recognisable by the folder in their command lines."""
    free_port = local_kafka().free_port
    ports = ("--dashboard-port", str(free_port()), "--http-port", str(free_port()))
    return [sys.executable, "-m", "monitor", "demo", "--folder", str(folder), *ports, *more]


def processes(folder: Path) -> dict[int, str]:
    """Command lines, by process id, in which the folder is named."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(folder) in line:
                found[int(entry.name)] = line
    return found


@contextmanager
def interactive(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The demo on a terminal of its own."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        command(folder), cwd=ROOT, stdin=end, stdout=end, stderr=end, start_new_session=True
    )
    os.close(end)

    def look() -> None:  # a screen that nobody looks at would block the demo once it is full
        with suppress(OSError):
            while os.read(terminal, 65536):
                pass

    viewer = threading.Thread(target=look, daemon=True)
    viewer.start()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        viewer.join()
        os.close(terminal)


@pytest.mark.timeout(240)
def test_a_timed_run_delivers_alerts_prints_a_summary_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        command(folder, "--for", str(SECONDS)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    numbers = dict(ROW.findall(done.stdout))
    assert 3000 == int(numbers["documents in"])
    assert 3000 == int(numbers["scored"]) + int(numbers["rejected"])
    for reason in ("not_json", "bad_date", "control_character", "lone_surrogate", "too_large"):
        assert int(numbers[reason]) > 0
    assert int(numbers["alerts delivered, signature verified"]) > 0
    assert float(numbers["p50 from published to alert"]) > 0
    assert float(numbers["p95 from published to alert"]) > 0
    assert {} == processes(folder)


def test_ctrl_c_ends_everything_within_ten_seconds(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with interactive(folder) as process:
        # The demo, the daemon and the dashboard, and the daemon beyond its start.
        log = folder / "daemon.log"
        until(lambda: log.is_file() and b"rebalance" in log.read_bytes(), "the daemon reads")
        assert len(processes(folder)) >= 3
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(10)
        assert {} == processes(folder)


def test_kill_9_of_the_demo_takes_its_children_along(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with interactive(folder) as process:
        until(lambda: len(processes(folder)) >= 3, "daemon and dashboard have been started")
        process.kill()
        process.wait()
        until(lambda: not processes(folder), "the kernel has ended the children")


@pytest.mark.parametrize("option", ["--dashboard-port", "--http-port"])
def test_a_port_in_use_is_one_line_and_nothing_is_started(tmp_path: Path, option: str) -> None:
    folder = tmp_path / "demo"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command(folder, option, port), cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert 1 == done.returncode
    assert 1 == done.stderr.count("\n")
    assert done.stderr.startswith(f"monitor: port {port} (")
    assert done.stderr.rstrip().endswith(f"or choose another with {option}")
    assert not folder.exists()
