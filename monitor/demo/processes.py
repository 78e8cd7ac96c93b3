"""Child processes that cannot outlive the demo."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from monitor.errors import MonitorError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Runs in the child before exec: the kernel kills it when the demo is gone, even by -9."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One process in a session of its own, so that the terminal's Ctrl-C reaches only the demo."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            # The preexec function only calls prctl, which is safe between fork and exec.
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                env={**os.environ, **environment},
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def check(self) -> None:
        """Raises ``MonitorError`` with the end of its log when it has ended by itself."""
        status = self._process.poll()
        if status is not None:
            raise MonitorError(
                f"the {self.name} ended by itself (status {status}); its log is {self._log}:\n"
                f"{self.tail()}"
            )

    def tail(self, lines: int = 12) -> str:
        """The end of its log."""
        text = self._log.read_text("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end; kill its whole session when it takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
