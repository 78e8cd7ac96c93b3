"""The protocol of what was handed in: documents by id, requests, files as far as they are read.

Each change is one transaction with the messages that it puts on their way to Kafka, so a crash
leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from monitor.store.publishing.base import Backlog, Message


class Offer(NamedTuple):
    """A valid document that somebody hands in."""

    message: Message
    """Its ``id`` is the document's."""
    digest: str
    """Of what the document says, 32 characters of hexadecimal: two documents with one id are the
    same, or one of them has the wrong id."""


class Taken(StrEnum):
    """What became of an offer."""

    NEW = "new"
    REPEATED = "repeated"
    """Its id was handed in or scored before; nothing more happens."""
    CLAIMED = "claimed"
    """Its id was handed in before by a document that says something else."""


class Answer(NamedTuple):
    """What a request was told."""

    status: int
    body: bytes


class Request(NamedTuple):
    """A request that may come again and is then told what it was told before."""

    caller: str
    """Name of its API key, whose own these keys are."""
    key: str
    """Its Idempotency-Key."""
    digest: str
    """Of its content."""
    answer: Callable[[Sequence[Taken]], Answer]
    """Words for what became of its offers."""


class Outcome(NamedTuple):
    """What came of handing in documents; nothing was written if ``full`` or ``before`` is set."""

    taken: Sequence[Taken] = ()
    """For each offer, in their order."""
    waiting: int = 0
    """Messages that wait for Kafka now."""
    full: bool = False
    before: tuple[str, Answer] | None = None
    """The request has come before: digest of its content then, and what it was told."""


class FileStatus(StrEnum):
    """How far a file is."""

    READING = "reading"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file, known by its content."""

    digest: str
    """SHA-256 of its bytes, in hexadecimal."""
    name: str
    size: int
    found_at: datetime
    """When it was first seen, on the axis of event times: what is much older is history."""
    status: FileStatus = FileStatus.READING
    rows: int = 0
    """So many rows are dealt with; reading goes on behind them."""
    accepted: int = 0
    repeated: int = 0
    rejected: int = 0
    fault: str | None = None


def judged(offers: Sequence[Offer], held: dict[str, str | None]) -> list[Taken]:
    """What becomes of each offer, where ``held`` are the ids that are known and the digests of
    their documents (None: nobody knows it any more). Adds the new ones to ``held``."""
    taken = []
    for offer in offers:
        identifier = offer.message.id
        if identifier not in held:
            held[identifier] = offer.digest
            taken.append(Taken.NEW)
        elif held[identifier] in (None, offer.digest):
            taken.append(Taken.REPEATED)
        else:
            taken.append(Taken.CLAIMED)
    return taken


class Receiving(Protocol):
    """One lane's side of the database. Blocks; any thread and process. Raises ``StoreError``."""

    def backlog(self) -> Backlog:
        """How much waits for Kafka."""
        ...

    def accept(
        self, offers: Sequence[Offer], most: int, now: datetime, request: Request | None = None
    ) -> Outcome:
        """Take these documents, unless more than ``most`` messages would wait then.

        Of several offers with one id the first counts. With a ``request`` that was answered before
        nothing is taken, and its answer comes back.
        """
        ...

    def file(self, digest: str) -> FileState | None:
        """What is known of a file with this content."""
        ...

    def begin(self, file: FileState, now: datetime) -> FileState:
        """Note a file that is to be read; returns the state to go on from. One that is known
        keeps its rows, its ``found_at`` and its counts; if it had failed, it is read on, and from
        its beginning if no document of it was known: then its mapping was wrong."""
        ...

    def advance(
        self,
        file: FileState,
        rows: int,
        offers: Sequence[Offer],
        rejected: Sequence[Message],
        now: datetime,
    ) -> FileState:
        """Take the documents and dead letters of the rows up to ``rows`` (exclusive).

        A compare-and-set on ``file.rows``: ``FencedError`` where somebody else reads this file.
        """
        ...

    def end(self, file: FileState, status: FileStatus, fault: str | None, now: datetime) -> None:
        """This file is read, or can't be."""
        ...
