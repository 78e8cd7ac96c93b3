"""A new version of the model: noticed, loaded beside the old one, taken between two batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.errors import ModelError
from models.registry.folder import Release
from monitor.metrics import Metrics
from monitor.score.base import Scorer

log = logging.getLogger(__name__)

RETRY_FIRST = 60.0
RETRY_MOST = 3600.0
"""Seconds between attempts at a version that does not load, while the registry names no other."""

_Mark = tuple[int, str]  # of a release: the number of its entry and its name


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the registry found."""

    ok: bool
    news: str = ""
    """What was found or went wrong; empty: nothing new, or nothing that was not said before."""


@dataclass(frozen=True, slots=True)
class _Failure:
    mark: _Mark | None
    """None: the registry itself cannot be read."""
    attempts: int
    until: float
    error: str


class Reloader:
    """Follows a registry. `look` is called by any thread, `take` by the main loop alone.

    The running model goes on scoring while another one is loaded, and in any failure: nothing that
    a model directory holds can stop the daemon. A version that fails is tried again after a
    growing pause, or at once when the registry's pointer moves or a person asks.
    """

    def __init__(
        self,
        current: Callable[[], Release],
        load: Callable[[Path], Scorer],
        running: Release,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``current`` reads the registry; ``load`` makes a scorer that has proved it can judge.
        Both may raise. ``running`` is what the main loop began with."""
        self._current = current
        self._load = load
        self._metrics = metrics
        self._monotonic = monotonic
        self._seen: _Mark = (running.number, running.name)
        self._running = running.name
        self._waiting: tuple[str, Scorer] | None = None
        self._failure: _Failure | None = None
        self._looking = threading.Lock()  # held while a model is loaded: seconds
        self._handing = threading.Lock()  # held for a moment: the main loop must never wait

    def look(self, asked: bool = False) -> Look:
        """Load the registry's current version if it is another one; never raises.

        ``asked`` by a person: a version that has failed is tried again without a pause.
        """
        with self._looking:
            mark: _Mark | None = None
            try:
                release = self._current()
                mark = (release.number, release.name)
                if mark == self._seen:
                    self._failure = None
                    return Look(ok=True)
                if self._is_there(release.name):
                    self._seen, self._failure = mark, None
                    return Look(ok=True, news=f"version {release.name} is here already")
                if self._pausing(mark) and not asked:
                    return Look(ok=False)
                begin = self._monotonic()
                scorer = self._load(release.path)
            except Exception as error:  # noqa: BLE001 - whatever it is, the old model goes on
                return self._failed(mark, error)
            seconds = self._monotonic() - begin
            self._seen, self._failure = mark, None
            with self._handing:
                overtaken, self._waiting = self._waiting, (release.name, scorer)
            if overtaken is not None:
                overtaken[1].close()
            news = f"version {scorer.model_version} was loaded in {seconds:.1f} s and takes over"
            log.info("model: %s", news)
            return Look(ok=True, news=news)

    def take(self) -> Scorer | None:
        """The scorer that takes over, once; None: the running one goes on."""
        if self._waiting is None:
            return None
        with self._handing:
            found, self._waiting = self._waiting, None
            if found is None:
                return None
            self._running = found[0]
        self._metrics.reloads.labels("ok").inc()
        return found[1]

    def close(self) -> None:
        """Let go of a scorer that nobody has taken. Idempotent."""
        with self._handing:
            found, self._waiting = self._waiting, None
        if found is not None:
            found[1].close()

    def _is_there(self, name: str) -> bool:
        """Whether this version waits or runs; a promotion that was taken back waits no longer."""
        with self._handing:
            if self._waiting is not None and self._waiting[0] == name:
                return True
            if self._running != name:
                return False
            overtaken, self._waiting = self._waiting, None
        if overtaken is not None:
            overtaken[1].close()
        return True

    def _pausing(self, mark: _Mark | None) -> bool:
        failure = self._failure
        return failure is not None and failure.mark == mark and self._monotonic() < failure.until

    def _failed(self, mark: _Mark | None, error: Exception) -> Look:
        last = self._failure
        text = str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
        again = last is not None and last.mark == mark
        if mark is None and again and last is not None and last.error == text:
            return Look(ok=False, news=text)  # said before; the registry is read at every look
        attempts = last.attempts + 1 if again and last is not None else 1
        pause = min(RETRY_FIRST * 2 ** (attempts - 1), RETRY_MOST)
        self._failure = _Failure(mark, attempts, self._monotonic() + pause, text)
        self._metrics.reloads.labels("failed").inc()
        what = "the registry" if mark is None else f"version {mark[1]}"
        log.error("model: %s cannot be used, %s goes on: %s", what, self._running, text)
        return Look(ok=False, news=text)
