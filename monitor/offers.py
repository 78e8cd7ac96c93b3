"""From a document that was checked to what the store takes: over HTTP and from files alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Protocol

from monitor.events import DeadLetter, Document, Kind, Origin, Record
from monitor.store.publishing.base import Message
from monitor.store.receiving.base import Offer

_NOWHERE = Origin("", 0, 0)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Check(Protocol):
    """The decoder: what is said of a document is what the daemon would say. See
    `monitor.source.decode.Decoder.decode`."""

    def __call__(
        self, record: Record, *, now: datetime, rejected_at: datetime
    ) -> Document | DeadLetter: ...


def routes_of(topics: Mapping[str, Kind]) -> dict[Kind, str]:
    """The topic of each kind: the first that the daemon reads."""
    routes: dict[Kind, str] = {}
    for topic, kind in topics.items():
        routes.setdefault(kind, topic)
    return routes


def offer_of(document: Document, routes: Mapping[Kind, str], value: bytes) -> Offer:
    """A valid document, with the bytes that it was read from.

    One whose kind has no topic goes into the one that it was checked for; it names its kind itself.
    """
    topic = routes.get(document.kind, document.origin.topic)
    return Offer(Message(topic, document.id, value), _digest(document))


def _digest(document: Document) -> str:
    """Of what a document says, however its JSON is written: BLAKE2b, 128 bits."""
    said = document._replace(author=None, origin=_NOWHERE, appended_at=_NEVER)
    return blake2b(repr(said).encode(errors="surrogatepass"), digest_size=16).hexdigest()
