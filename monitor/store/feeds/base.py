"""The protocol of the feeds' memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from monitor.store.publishing.base import Message


@dataclass(frozen=True, slots=True)
class FeedState:
    """How one feed does. ``name`` is its identity; all times are wall time."""

    name: str
    url: str
    etag: str | None = None
    last_modified: str | None = None
    failures: int = 0
    """In a row, up to the last poll."""
    polled_at: datetime | None = None
    succeeded_at: datetime | None = None
    """Last poll that was answered with a feed, or with "not modified"."""
    next_poll_at: datetime | None = None
    fault: str | None = None
    """What was wrong with the last poll."""
    gone: bool = False
    """The server has said 410."""


class Seen(NamedTuple):
    """An item that is known. ``key`` is a hash of its identity, ``fingerprints`` are hashes of the
    texts that were published of it, the first one first."""

    key: str
    fingerprints: tuple[str, ...]
    published_at: datetime
    history: bool
    undated: bool
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class FeedCommit:
    """What one poll changes: all of it or nothing."""

    state: FeedState
    seen: Sequence[Seen] = ()
    """Inserted or replaced."""
    messages: Sequence[Message] = ()
    now: datetime = field(kw_only=True)


class Feeds(Protocol):
    """The feeds' side of the database. Blocks; any thread of the process that has the lane. Raises
    ``StoreError``; ``LeaseError`` when another process has taken the lane."""

    def states(self) -> Mapping[str, FeedState]:
        """Every feed that was ever polled, by name."""
        ...

    def seen(self, feed: str, keys: Collection[str]) -> Mapping[str, Seen]:
        """Those of these items that are known."""
        ...

    def apply(self, commit: FeedCommit) -> None:
        """Write what a poll found, and its messages into the lane."""
        ...

    def forget(self, feed: str, before: datetime, most: int) -> int:
        """Drop items not seen since ``before``, and the longest unseen beyond the ``most``, but
        none that was seen at the feed's last success less `TOUCH`; how many were dropped."""
        ...


TOUCH = timedelta(days=1)
"""An item's ``last_seen_at`` is as precise as this: it is not written at every poll."""
