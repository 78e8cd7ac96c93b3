"""From scored documents to sums per key and bucket: voices, the window, the late, history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.aggregate.rollup import bucket_start, deltas
from monitor.aggregate.voices import HOUR, Voices
from monitor.aggregate.window import Closed, Window
from monitor.events import Bucket, Heard, Scored, Sums, heard_of
from monitor.store.base import Snapshot
from monitor.story.base import Flip


@dataclass(frozen=True, slots=True)
class Counted:
    """What one batch came to."""

    scored: list[Scored]
    """All of it, each document marked whether it was counted."""
    late: int
    """Documents too late for any aggregate; those without a date are not among them."""
    history: list[Bucket]
    """What was known to be old, to be added to the buckets of the past, the oldest first."""


class Counting:
    """The open buckets and who has spoken in them."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._voices = Voices(window.is_late)

    @property
    def lookback(self) -> int:
        """How far before ``closed_until`` (seconds) stored documents and buckets are needed: as far
        as corrections reach, and the rest of the hour in which an author speaks once."""
        return self._window.lookback + HOUR

    @property
    def closed_until(self) -> int | None:
        """Buckets that start before this (seconds since the epoch) are closed."""
        return self._window.closed_until

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from what the store holds."""
        self._window.restore(snapshot.buckets, snapshot.closed_until)
        self._voices.restore(snapshot.recent)

    def count(self, batch: Sequence[Scored], flips: Iterable[Flip], now: datetime) -> Counted:
        """Add a batch to the open buckets; ``now`` in event time. ``flips`` are documents of
        earlier batches that have turned out to be copies."""
        marked: list[Scored] = []
        live: list[Heard] = []
        old: list[Heard] = []
        late = 0
        since = self.since(now)
        closed = self._window.late_before  # no bucket is closed while a batch is counted
        for scored in batch:
            document, heard = scored.document, heard_of(scored)
            start = bucket_start(heard.at)
            if document.history and start < since:
                old.append(heard)
                marked.append(scored._replace(counted=False))
            elif document.undated or start < closed:
                late += not document.undated
                marked.append(scored._replace(counted=False))
            else:
                live.append(heard)
                marked.append(scored)
        self.hear(live, flips)
        self.add()
        return Counted(marked, late, history_of(old))

    def since(self, now: datetime) -> float:
        """History that was published before this (seconds since the epoch) opens no bucket: before
        the first one is closed, an hour before ``now`` in event time."""
        horizon = self._window.closed_until
        return now.timestamp() - HOUR if horizon is None else horizon - self._window.lookback

    @property
    def open_since(self) -> float:
        """Start of the first bucket that takes documents; seconds since the epoch."""
        return self._window.open_since

    def is_late(self, start: int) -> bool:
        """Whether a document of the bucket that starts here comes too late for any aggregate."""
        return self._window.is_late(start)

    def hear(self, heard: Iterable[Heard], flips: Iterable[Flip]) -> None:
        """Documents, none of which may be late, as far as `part` wants to know of them; `add` puts
        them into the open buckets."""
        self._voices.hear(heard, flips)

    def add(self) -> None:
        """Add what was heard to the open buckets; before any of them is closed."""
        self._window.add(self._voices.count())

    def close(self, watermark: float | None) -> Iterator[Closed]:
        """Close, oldest first, every bucket whose end the watermark has passed."""
        yield from self._window.close(watermark)

    def part(self, keys: Collection[str], start: int, until: int) -> dict[str, Sums]:
        """The sums of these keys over the documents of the bucket at ``start`` that were published
        before ``until``; both in seconds since the epoch."""
        return self._voices.part(keys, start, until)

    def drain(self) -> list[Bucket]:
        """The buckets that changed since the last drain."""
        changed = self._window.drain()
        self._forget()
        return changed

    def prune(self) -> None:
        """Forget what nothing depends on any more, where nobody wants to know what changed."""
        self._window.prune()
        self._forget()

    def _forget(self) -> None:
        if self._window.closed_until is not None:
            self._voices.prune(self._window.closed_until - self._window.lookback)


def history_of(heard: Sequence[Heard]) -> list[Bucket]:
    """Documents that were known to be old, to be added to the buckets of the past."""
    found = deltas((h, not h.copy) for h in heard)
    return [
        Bucket(key, start, s.n, s.negative, s.positive, s.score_sum, posts=s.posts)
        for (key, start), s in sorted(found.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
