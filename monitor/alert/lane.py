"""Where blocking work runs, so that a slow receiver or broker holds up nobody else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")


class Lane(Protocol):
    """Runs one job after the other. Neither method blocks for longer than the job itself."""

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """The job's future result; what the job raises is in there as well."""
        ...

    def close(self) -> None:
        """Take no more jobs; one that runs is left alone. Idempotent."""
        ...


class ThreadLane:
    """A thread of its own. A daemon thread: a job that hangs must not keep the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """See ``Lane.submit``. Returns at once."""
        future: Future[T] = Future()
        self._jobs.put(lambda: _fill(future, job))
        return future

    def close(self) -> None:
        """See ``Lane.close``."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class InlineLane:
    """The caller's own thread: simulations and tests, where everything has a fixed order."""

    def __init__(self, name: str) -> None:
        self.name = name

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """See ``Lane.submit``. Returns when the job is done."""
        future: Future[T] = Future()
        _fill(future, job)
        return future

    def close(self) -> None:
        """See ``Lane.close``."""


def _fill(future: Future[T], job: Callable[[], T]) -> None:
    try:
        future.set_result(job())
    except Exception as error:  # noqa: BLE001 - it is handed over, not swallowed
        future.set_exception(error)
