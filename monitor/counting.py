"""From scored documents to sums per key and bucket: voices, the window, the late, history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.aggregate.rollup import bucket_start, deltas
from monitor.aggregate.voices import HOUR, Voices
from monitor.aggregate.window import Closed, Window
from monitor.events import Bucket, Scored, heard_of
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
        live: list[Scored] = []
        old: list[Scored] = []
        late = 0
        horizon = self._window.closed_until
        # Before the first bucket is closed, what an hour ago was published can open no window.
        since = now.timestamp() - HOUR if horizon is None else horizon - self._window.lookback
        for scored in batch:
            document = scored.document
            start = bucket_start(document.published_at.timestamp())
            if document.history and start < since:
                old.append(scored)
                marked.append(scored._replace(counted=False))
            elif document.undated or self._window.is_late(start):
                late += not document.undated
                marked.append(scored._replace(counted=False))
            else:
                live.append(scored)
                marked.append(scored)
        self._window.add(self._voices.count([heard_of(s) for s in live], flips))
        return Counted(marked, late, _history(old))

    def close(self, watermark: float | None) -> Iterator[Closed]:
        """Close, oldest first, every bucket whose end the watermark has passed."""
        yield from self._window.close(watermark)

    def drain(self) -> list[Bucket]:
        """The buckets that changed since the last drain."""
        changed = self._window.drain()
        if self._window.closed_until is not None:
            self._voices.prune(self._window.closed_until - self._window.lookback)
        return changed


def _history(old: Sequence[Scored]) -> list[Bucket]:
    heard = [heard_of(s) for s in old]
    found = deltas(heard, (h for h in heard if not h.copy))
    return [
        Bucket(key, start, s.n, s.negative, s.positive, s.score_sum, posts=s.posts)
        for (key, start), s in sorted(found.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
