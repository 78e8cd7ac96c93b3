"""The feeds' memory in memory: for tests and simulations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from monitor.store.feeds.base import TOUCH, FeedCommit, FeedState, Seen
from monitor.store.publishing.memory import MemoryLanes


class MemoryFeedTables:
    """What several `MemoryFeeds` share: one database. Tests may read every field."""

    def __init__(self, lanes: MemoryLanes) -> None:
        self.lanes = lanes
        self.states: dict[str, FeedState] = {}
        self.items: defaultdict[str, dict[str, Seen]] = defaultdict(dict)


class MemoryFeeds:
    """`Feeds` over `MemoryFeedTables`; ``check`` is the lane's (`MemoryPublishing.check`)."""

    def __init__(self, tables: MemoryFeedTables, lane: str, check: Callable[[], None]) -> None:
        self._tables = tables
        self._lane = lane
        self._check = check

    def states(self) -> Mapping[str, FeedState]:
        """See `Feeds.states`."""
        with self._tables.lanes.lock:
            return dict(self._tables.states)

    def seen(self, feed: str, keys: Collection[str]) -> Mapping[str, Seen]:
        """See `Feeds.seen`."""
        with self._tables.lanes.lock:
            items = self._tables.items[feed]
            return {key: items[key] for key in keys if key in items}

    def apply(self, commit: FeedCommit) -> None:
        """See `Feeds.apply`."""
        with self._tables.lanes.lock:
            self._check()
            self._tables.states[commit.state.name] = commit.state
            self._tables.items[commit.state.name].update((s.key, s) for s in commit.seen)
            self._tables.lanes.append(self._lane, commit.messages, commit.now)

    def forget(self, feed: str, before: datetime, most: int) -> int:
        """See `Feeds.forget`."""
        with self._tables.lanes.lock:
            self._check()
            items = self._tables.items[feed]
            state = self._tables.states.get(feed)
            kept = state.succeeded_at - TOUCH if state and state.succeeded_at else before
            order = sorted(items.values(), key=lambda s: (s.last_seen_at, s.key), reverse=True)
            old = [
                s.key
                for place, s in enumerate(order)
                if s.last_seen_at < kept and (s.last_seen_at < before or place >= most)
            ]
            for key in old:
                del items[key]
            return len(old)
