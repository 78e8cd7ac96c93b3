"""The documents of a receipt held against what still lies in Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from monitor.errors import SourceError
from monitor.events import DeadLetter, Document, Origin, Record
from monitor.receipt.base import Entry, Receipt
from monitor.receipt.check import Check, Outcome, some
from monitor.source.base import Archive, Found
from monitor.store.receipts.rows import digest_of
from monitor.store.rows import milliseconds, moment

_ANY_TIME = datetime.max.replace(tzinfo=UTC)
"""The clock for the decoder: whether it came from the future was asked when it was read first."""


class Decode(Protocol):
    """The decoder of the daemon, which hashes authors; see `monitor.source.decode`."""

    def __call__(
        self, record: Record, *, now: datetime, rejected_at: datetime
    ) -> Document | DeadLetter: ...


@dataclass(frozen=True, slots=True)
class Reread:
    """What Kafka says of a receipt."""

    check: Check
    texts: Mapping[str, str] = field(default_factory=dict)
    """What the model read, by the id of the document: those whose hash is the receipt's."""


def reread(receipt: Receipt, archive: Archive, decode: Decode) -> Reread:
    """Read each document's record again and hold it against the receipt: id, text, source, author,
    time. What is gone for its age is no difference; where Kafka cannot be read, it is said."""
    entries = {Origin(*entry.kafka): entry for entry in receipt.documents}
    if not entries:
        return Reread(Check("kafka", Outcome.CHANGED, "the receipt lists no documents"))
    try:
        found = archive.find(entries)
    except SourceError as error:
        return Reread(Check("kafka", Outcome.OPEN, str(error)))
    return _compared(entries, found, decode)


def _compared(entries: Mapping[Origin, Entry], found: Found, decode: Decode) -> Reread:
    faults: list[str] = []
    texts: dict[str, str] = {}
    signed, renamed = 0, 0
    for place, entry in entries.items():
        if place in found.expired:
            continue
        if place not in found.records:
            faults.append(f"{entry.id} is not at {_place(place)}: {found.absent[place]}")
            continue
        document = decode(found.records[place], now=_ANY_TIME, rejected_at=_ANY_TIME)
        if isinstance(document, DeadLetter):
            why = f"{document.reason}: {document.detail}"
            faults.append(f"{entry.id}: its record at {_place(place)} is no document now ({why})")
            continue
        faults += _changes(entry, document)
        signed += entry.author is not None
        renamed += entry.author is not None and document.author not in (None, entry.author)
        if document.id == entry.id and _digest(document) == entry.text_sha256:
            texts[entry.id] = document.content
    gone = "".join(f"; {said}" for said in _gone(entries, found))
    if faults:
        said = some(faults)
        if signed and renamed == signed:
            said += "; every author is another: is intake.author_key that of then?"
        return Reread(Check("kafka", Outcome.DIFFERS, said + gone), texts)
    said = (
        f"{len(found.records)} of {len(entries)} records read again: id, text, source, author, time"
    )
    outcome = Outcome.GONE if gone else Outcome.SAME
    return Reread(Check("kafka", outcome, said + gone), texts)


def _gone(entries: Mapping[Origin, Entry], found: Found) -> Iterator[str]:
    """By partition, how many and which lie before its beginning."""
    of: dict[tuple[str, int, int], list[str]] = {}
    for place, start in found.expired.items():
        of.setdefault((place.topic, place.partition, start), []).append(entries[place].id)
    for (topic, number, start), ids in sorted(of.items()):
        yield f"{len(ids)} lie before {topic}[{number}], which begins at {start}: {_names(ids)}"


def _names(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"


def _changes(entry: Entry, document: Document) -> Iterator[str]:
    """What the record says otherwise than the receipt."""
    if document.id != entry.id:
        yield f"{entry.id}: {_place(document.origin)} holds {document.id} now"
        return
    if (digest := _digest(document)) != entry.text_sha256:
        yield (
            f"{entry.id}: another text in Kafka (SHA-256 {entry.text_sha256[:12]}… then, "
            f"{digest[:12]}… now)"
        )
    if document.source != entry.source:
        yield f"{entry.id}: source {entry.source} then, {document.source} in Kafka"
    if document.author != entry.author:
        yield f"{entry.id}: author {entry.author} then, {document.author} in Kafka"
    at = moment(milliseconds(document.published_at))
    if at != moment(entry.published_ms):
        yield f"{entry.id}: published_at {moment(entry.published_ms)} then, {at} in Kafka"


def _digest(document: Document) -> str:
    return digest_of(document.title, document.text)


def _place(place: Origin) -> str:
    return f"{place.topic}[{place.partition}] {place.offset}"
