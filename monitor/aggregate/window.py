"""The open buckets of event time: closed by the watermark, corrected within the lateness."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf

from monitor.events import BUCKET_SECONDS, Bucket, Sums

MAX_SILENCE = 7 * 86_400
"""Seconds after the last bucket with documents from which empty buckets are skipped, not closed."""


@dataclass(frozen=True, slots=True)
class Closed:
    """One closed bucket of event time: the sums of every key that spoke in it."""

    start: int
    sums: Mapping[str, Sums]

    @property
    def end(self) -> int:
        return self.start + BUCKET_SECONDS


class Window:
    """Tumbling buckets per key.

    A bucket is open until the watermark passes its end. A document for a closed bucket corrects it
    (revision + 1) for ``allowed_lateness`` seconds of event time; after that it is late: it is
    stored, counted as late, and changes no aggregate.
    """

    def __init__(self, allowed_lateness: int = 600) -> None:
        self._lateness = allowed_lateness
        self._sums: dict[int, dict[str, Sums]] = {}
        self._revisions: dict[tuple[str, int], int] = {}
        self._touched: set[tuple[str, int]] = set()
        self._last_spoken: int | None = None  # the newest closed bucket with documents
        self.closed_until: int | None = None

    @property
    def lookback(self) -> int:
        """How far before ``closed_until`` (seconds) buckets are still needed."""
        return self._lateness

    def restore(self, buckets: Iterable[Bucket], closed_until: int | None) -> None:
        """Go on from what the store holds; whatever was in memory is forgotten."""
        self._sums.clear()
        self._revisions.clear()
        self._touched.clear()
        self.closed_until = closed_until
        for b in buckets:
            self._sums.setdefault(b.start, {})[b.key] = Sums(
                b.n, b.negative, b.positive, b.score_sum, b.posts
            )
            self._revisions[b.key, b.start] = b.revision
        spoken = [start for start in self._sums if self._is_closed(start)]
        self._last_spoken = max(spoken) if spoken else closed_until

    @property
    def open_since(self) -> float:
        """Start of the first bucket that takes documents (seconds since the epoch)."""
        if self.closed_until is None:
            return -inf
        return -((self._lateness - self.closed_until) // BUCKET_SECONDS) * BUCKET_SECONDS

    def is_late(self, start: int) -> bool:
        """Whether a document of the bucket that starts here comes too late for any correction."""
        return start < self.late_before

    @property
    def late_before(self) -> float:
        """Documents of buckets that start before this come too late; seconds since the epoch."""
        return -inf if self.closed_until is None else self.closed_until - self._lateness

    def add(self, deltas: Mapping[tuple[str, int], Sums]) -> None:
        """Add the sums of a batch; the late ones must have been left out by the caller."""
        for place, sums in deltas.items():
            key, start = place
            if (bucket := self._sums.get(start)) is None:
                bucket = self._sums[start] = {}
            if (of := bucket.get(key)) is None:
                of = bucket[key] = Sums()
            of.add(sums)
            if place not in self._touched:
                self._touched.add(place)
                if self._is_closed(start):
                    self._revisions[place] = self._revision(key, start) + 1
                    self._last_spoken = max(self._last_spoken or start, start)

    def close(self, watermark: float | None) -> Iterator[Closed]:
        """Close, oldest first, every bucket whose end the watermark has passed, empty ones too.

        Of a longer silence only the first week is walked through (a replay may jump by years). The
        rule looks back, never ahead, so that it does not depend on how the documents were batched.
        """
        if watermark is None:
            return
        until = int(watermark // BUCKET_SECONDS) * BUCKET_SECONDS
        waiting = deque(sorted(s for s in self._sums if s < until and not self._is_closed(s)))
        if self.closed_until is None:
            if not waiting:
                return
            self.closed_until = self._last_spoken = waiting[0]
        while self.closed_until < until:
            start = self.closed_until
            if waiting and waiting[0] == start:
                self._last_spoken = waiting.popleft()
            elif self._last_spoken is not None and start - self._last_spoken > MAX_SILENCE:
                self.closed_until = waiting[0] if waiting else until
                continue
            self.closed_until = start + BUCKET_SECONDS
            yield Closed(start, self._sums.get(start, {}))

    def drain(self) -> list[Bucket]:
        """The buckets that changed since the last drain, as absolute values in a fixed order."""
        changed = [
            Bucket(
                key,
                start,
                s.n,
                s.negative,
                s.positive,
                s.score_sum,
                self._revision(key, start),
                s.posts,
            )
            for key, start in sorted(self._touched)
            for s in (self._sums[start][key],)
        ]
        self.prune()
        return changed

    def prune(self) -> None:
        """Forget which buckets have changed, and those that take no correction any more."""
        self._touched.clear()
        if self.closed_until is not None:
            horizon = self.closed_until - self._lateness
            for start in [s for s in self._sums if s < horizon]:
                for key in self._sums.pop(start):
                    self._revisions.pop((key, start), None)

    def _revision(self, key: str, start: int) -> int:
        return self._revisions.get((key, start), 0)

    def _is_closed(self, start: int) -> bool:
        return self.closed_until is not None and start < self.closed_until
