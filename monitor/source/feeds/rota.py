"""Whose turn it is: keeps every feed's next poll scheduled, whatever becomes of this one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from monitor.errors import MonitorError
from monitor.source.feeds.reader import Feed, Reader
from monitor.source.feeds.schedule import JITTER, Hosts
from monitor.store.feeds.base import Feeds, FeedState

log = logging.getLogger(__name__)

_RETRY = timedelta(seconds=30)
"""After a poll that could not be stored."""


class Timer(Protocol):
    """Runs work later, each in a thread of a pool (`monitor.jobs.Jobs`)."""

    def once(self, name: str, moment: datetime, work: Callable[[], object]) -> None:
        """At this moment; what waits under that name is replaced."""
        ...


class Rota:
    """Polls each feed when it is due, hosts being spared. ``stored`` is called after each poll."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        memory: Feeds,
        reader: Reader,
        hosts: Hosts,
        *,
        now: Callable[[], datetime],
        stored: Callable[[], None],
        fatal: Callable[[MonitorError], None],
    ) -> None:
        self._configured = feeds
        self._memory = memory
        self._reader = reader
        self._hosts = hosts
        self._now = now
        self._stored = stored
        self._fatal = fatal
        self._states: dict[str, FeedState] = {}

    def load(self) -> Sequence[FeedState]:
        """Find out how the feeds did when they were last polled. Raises ``StoreError``."""
        known = self._memory.states()
        self._states = {f.name: known.get(f.name) or FeedState(f.name, f.url) for f in self.feeds}
        return list(self._states.values())

    @property
    def feeds(self) -> Sequence[Feed]:
        """Those that are configured."""
        return self._configured

    def start(self, timer: Timer) -> None:
        """Schedule each feed: when its last poll said, or at once where its address is new."""
        for feed in self.feeds:
            self._later(timer, feed, self._due(feed))

    def turn(self, feed: Feed) -> timedelta | None:
        """Poll now. None: done, the state says when to poll again; else to be called again after so
        long, since its host is busy."""
        wait = self._hosts.enter(feed.host)
        if wait:
            return timedelta(seconds=wait)
        try:
            self._states[feed.name] = self._reader.poll(feed, self._states[feed.name])
        finally:
            self._hosts.leave(feed.host)
        self._stored()
        return None

    def state(self, feed: Feed) -> FeedState:
        """How it does."""
        return self._states[feed.name]

    def _due(self, feed: Feed) -> datetime:
        state = self._states[feed.name]
        due = state.next_poll_at
        if due is None or state.url != feed.url:
            return self._now()
        if state.failures or state.polled_at is None:
            return due
        # The interval may have been another one then.
        longest = timedelta(seconds=feed.pacing.interval * (1 + JITTER))
        return min(due, state.polled_at + longest)

    def _later(self, timer: Timer, feed: Feed, moment: datetime) -> None:
        timer.once(f"feed {feed.name}", moment, lambda: self._run(timer, feed))

    def _run(self, timer: Timer, feed: Feed) -> None:
        next_turn = self._now() + _RETRY
        try:
            wait = self.turn(feed)
            due = self._states[feed.name].next_poll_at
            next_turn = self._now() + wait if wait else due or next_turn
        except MonitorError as error:
            if not error.retryable:
                self._fatal(error)
                return
            log.warning("feed %s could not be stored, again in 30 s: %s", feed.name, error)
        except Exception:  # one feed that is never polled again would look like a quiet one
            log.exception("polling feed %s failed", feed.name)
        self._later(timer, feed, next_turn)
