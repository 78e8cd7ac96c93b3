"""What an alert is shown with: the documents of its window, their way, and its receipt.

What is asked of the store alone would lack the batch in hand, which is written with the alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from monitor.detect.about import Abouts
from monitor.detect.gates import Exhibit
from monitor.detect.surroundings import Fired
from monitor.events import Evidence, Scored, Waterfall
from monitor.keys import is_of
from monitor.receipt.make import Notary
from monitor.store.base import Journey, KeptReceipt, Store
from monitor.story.shown import evidence_of, most_negative


class Exhibits:
    """Windows of keys over what is stored and the batch in hand; may raise ``StoreError``."""

    def __init__(self, store: Store, notary: Notary, wall: Callable[[], datetime]) -> None:
        self._store = store
        self._notary = notary
        self._abouts = Abouts(store)
        self._wall = wall
        self._hand: Sequence[Scored] = ()
        self._copies: Mapping[str, str | None] = {}
        self._polled_at = wall()

    def restart(self) -> None:
        """Nothing is in hand that the store lacks; the same windows may come again."""
        self._notary.drain()
        self._abouts.restart()

    def take(
        self, batch: Sequence[Scored], copies: Mapping[str, str | None], polled_at: datetime
    ) -> None:
        """Take a batch in hand; ``copies``: what stored documents repeat by it."""
        self._hand, self._copies, self._polled_at = batch, copies, polled_at

    def exhibit(self, key: str, since: int, until: int, limit: int) -> Exhibit:
        """What a window of a key holds."""
        begin, end = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        fresh = [s for s in self._hand if begin <= s.document.published_at < end and is_of(s, key)]
        told = Counter(self._store.stories(key, begin, end))
        told.update(s.story or s.document.id for s in fresh)
        stored = self._store.evidence(key, begin, end, limit)
        pieces = most_negative((*stored, *(evidence_of(s, key) for s in fresh)), limit)
        speakers = Counter(self._store.speakers(key, begin, end))
        speakers.update((s.document.source, s.document.author) for s in fresh if s.copy_of is None)
        return Exhibit(
            tuple(replace(piece, copies=told[piece.story] - 1) for piece in pieces),
            told,
            speakers,
            self._waterfall(pieces),
            lambda: self._abouts.read(fresh, key, begin, end),
        )

    def seal(self, fired: Fired) -> str:
        """Make the receipt of an alert that fires; its SHA-256."""
        return self._notary.seal(fired, self._hand, self._copies, self._wall())

    def drain(self) -> list[KeptReceipt]:
        """The receipts made since the last drain."""
        return self._notary.drain()

    def _waterfall(self, pieces: Sequence[Evidence]) -> Waterfall | None:
        """The way of the newest of these documents, to an alert that fires now."""
        if not pieces:
            return None
        newest = max(pieces, key=lambda piece: (piece.published_at, piece.document_id)).document_id
        fresh = next((s for s in self._hand if s.document.id == newest), None)
        journey = (
            Journey(
                fresh.document.published_at,
                fresh.document.appended_at,
                self._polled_at,
                fresh.scored_at,
            )
            if fresh is not None
            else self._store.journey(newest)
        )
        return None if journey is None else Waterfall(*journey, fired_at=self._wall())
