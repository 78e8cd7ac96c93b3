"""Receipts are made when alerts fire, and kept in the transaction that holds the alert."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from monitor.aggregate.voices import HOUR, hour_of
from monitor.detect.surroundings import Fired
from monitor.detect.witness import Witness
from monitor.events import TOPICS, Alert, Scored
from monitor.keys import is_of
from monitor.receipt.base import (
    Cause,
    Count,
    Entry,
    Figures,
    Gated,
    Provenance,
    Receipt,
    sha256_of,
)
from monitor.receipt.provenance import Provenances
from monitor.receipt.recount import recount
from monitor.store.base import KeptReceipt, Listed
from monitor.store.receipts.rows import listed_of
from monitor.store.rows import milliseconds

MOST = 10_000
"""Documents in a receipt. Of a window with more the newest are listed, and the receipt says from
which bucket on the list is whole; the figure needs none of them."""


class Lister(Protocol):
    """The part of `monitor.store.base.Store` that a receipt needs."""

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """See ``Store.listed``."""
        ...


class Notary:
    """Makes the receipts of one pipeline, and holds them until the batch is committed."""

    def __init__(self, store: Lister, provenances: Provenances) -> None:
        self._store = store
        self._provenances = provenances
        self._made: dict[str, KeptReceipt] = {}

    def seal(
        self,
        fired: Fired,
        fresh: Sequence[Scored],
        copies: Mapping[str, str | None],
        now: datetime,
    ) -> str:
        """Make the receipt of an alert that fires; its SHA-256, nothing where no figure is.

        ``fresh`` are the documents of the batch in hand, ``copies`` what stored ones have just
        turned out to repeat, ``now`` the wall time. Raises ``StoreError``.
        """
        witness = fired.reading.witness
        if witness is None:
            return ""
        documents, whole_from = self._documents(fired.alert, fresh, copies)
        provenance = self._provenances.of(fired.alert.model_version)
        body = receipt_of(fired, witness, documents, whole_from, provenance).body()
        self._made[fired.alert.id] = KeptReceipt(fired.alert.id, now, body)
        return sha256_of(body)

    def drain(self) -> list[KeptReceipt]:
        """Those made since the last drain."""
        made, self._made = list(self._made.values()), {}
        return made

    def _documents(
        self, alert: Alert, fresh: Sequence[Scored], copies: Mapping[str, str | None]
    ) -> tuple[list[Listed], int]:
        """What the counts depend on, and from when on it is all there."""
        begin = hour_of(alert.window_start.timestamp())
        if not is_counted_by_itself(alert.key):
            return [], int(alert.window_end.timestamp())
        since, until = datetime.fromtimestamp(begin, UTC), alert.window_end
        found = {
            document.id: document._replace(copy_of=copies.get(document.id, document.copy_of))
            for document in self._store.listed(alert.key, since, until, MOST + 1)
        }
        for scored in fresh:
            if (
                scored.counted
                and since <= scored.document.published_at < until
                and is_of(scored, alert.key)
            ):
                found.setdefault(scored.document.id, listed_of(scored, alert.key))
        ordered = sorted(found.values(), key=lambda each: (each.published_at, each.id))
        if len(ordered) <= MOST:
            return ordered, begin
        kept = ordered[-MOST:]
        return kept, hour_of(kept[0].published_at.timestamp()) + HOUR


def receipt_of(
    fired: Fired,
    witness: Witness,
    documents: Sequence[Listed],
    whole_from: int,
    provenance: Provenance,
) -> Receipt:
    """The receipt of an alert. ``documents``: by time and id, all of them from ``whole_from``."""
    alert, reading, exhibit, gate = fired.alert, fired.reading, fired.exhibit, fired.gate
    figures = figures_of(alert)
    since, whole_ms = max(whole_from, figures.window_start), whole_from * 1000
    counted = recount(alert.key, documents)
    shown = list(_that_matter(documents, figures.window_start))
    return Receipt(
        figures=figures,
        cause=Cause.of(witness),
        gates=Gated(
            rate=reading.rate,
            voices=(reading.documents, gate.voices),
            authors=(exhibit.authors, gate.authors),
            sources=(exhibit.sources, gate.sources),
        ),
        documents=tuple(
            _entry(d, d.id in counted.voices if milliseconds(d.published_at) >= whole_ms else None)
            for d in shown
        ),
        listed_from=since,
        buckets=tuple(
            Count(start=start, n=n, negative=negative)
            for start, (n, negative) in counted.sums.items()
            if start >= since
        ),
        provenance=provenance,
    )


def figures_of(alert: Alert) -> Figures:
    """What an alert says."""
    return Figures(
        id=alert.id,
        key=alert.key,
        detector=alert.detector,
        detector_version=alert.detector_version,
        model_version=alert.model_version,
        window_start=int(alert.window_start.timestamp()),
        window_end=int(alert.window_end.timestamp()),
        value=alert.value,
        baseline=alert.baseline,
        evalue=alert.evalue,
        threshold=alert.threshold,
        documents=alert.documents,
        negative=alert.negative,
    )


def is_counted_by_itself(key: str) -> bool:
    """Whether a key's counts follow from its documents alone: who is counted under ``other:…`` is
    decided bucket by bucket."""
    return not key.startswith("other:")


def _that_matter(documents: Iterable[Listed], start: int) -> Iterable[Listed]:
    """Those from ``start`` on; of those before it whoever speaks again within the hour."""
    listed = list(documents)
    inside = [document.published_at.timestamp() >= start for document in listed]
    hour = hour_of(start)
    again = {
        document.author
        for document, within in zip(listed, inside, strict=True)
        if within and document.author and hour_of(document.published_at.timestamp()) == hour
    }
    return (d for d, within in zip(listed, inside, strict=True) if within or d.author in again)


def _entry(document: Listed, voice: bool | None) -> Entry:
    topic, partition, offset = document.origin
    return Entry(
        id=document.id,
        kafka=(topic, partition, offset),
        published_ms=milliseconds(document.published_at),
        source=document.source,
        author=document.author,
        kind=document.kind,
        topic=TOPICS[document.topic],
        sentiment=document.sentiment,
        copy_of=document.copy_of,
        voice=voice,
        model_version=document.model_version,
        text_sha256=document.text_sha256,
    )
