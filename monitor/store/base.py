"""The protocols of the database: what one transaction holds, and what a restart finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from monitor.events import (
    Alert,
    Bucket,
    DeadLetter,
    Evidence,
    Gap,
    Heard,
    Kind,
    Origin,
    Partition,
    Scored,
    SourceState,
)
from monitor.story.base import Changes, ToldRow

NO_CHANGES: Final = Changes([], [])
"""No document has turned out to be anything else."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far one partition has been read, as the database knows it."""

    next_offset: int
    max_event_time: datetime | None
    """The largest ``published_at`` seen in it: its watermark follows from it."""


@dataclass(frozen=True, slots=True)
class Move:
    """Compare-and-set of one partition: ``expected`` (None: no row yet) becomes ``position``."""

    partition: Partition
    expected: int | None
    position: Position


@dataclass(frozen=True, slots=True)
class KeyState:
    """A detector's state for one key, opaque to the store; an empty one is deleted."""

    detector: str
    key: str
    version: str
    state: bytes


class SourceRow(NamedTuple):
    """What is known of one source. Times are event times on the daemon's clock."""

    name: str
    """As its documents bear it; empty: the whole stream."""
    kind: Kind | None
    """Of its last document."""
    state: SourceState
    since: datetime
    """When it came into this state."""
    last: datetime | None
    """Publication of its newest document."""
    expected: float
    """Documents that were to be expected in the last 24 hours …"""
    seen: int
    """… and those that came."""
    missing: float
    """Documents that were to be expected since it last spoke."""
    reason: str
    """Why it is blind; empty for silence, and while it is not."""
    recent: tuple[int, ...]
    """Documents in each of the last 24 whole hours and in the present one, the oldest first."""
    keys: tuple[str, ...]
    """What depends on it, while it is blind."""
    memory: bytes
    """Everything else that a restart needs, opaque to the store."""


class RhythmRow(NamedTuple):
    """How a source speaks over the week, opaque to the store."""

    name: str
    rhythm: bytes


class Listed(NamedTuple):
    """A counted document as the receipt of an alert lists it."""

    id: str
    origin: Origin
    published_at: datetime
    """Event time, in whole milliseconds."""
    source: str
    author: str | None
    """A keyed hash."""
    kind: Kind
    topic: int
    """Index into ``TOPICS``."""
    sentiment: tuple[float, float, float]
    """Of the text, or towards what the alert's key names."""
    copy_of: str | None
    model_version: str
    text_sha256: str
    """Of `Document.content`."""


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """What an alert followed from, opaque to the store."""

    alert_id: str
    made_at: datetime
    """Wall time."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row for the outbox. ``destination`` is a Kafka topic, or RECEIVERS for an alert."""

    destination: str
    payload: bytes
    """RECEIVERS: one alert as JSON. A topic: JSON lines, one ``{"key": …, "value": …}`` each."""


RECEIVERS = "@receivers"
"""Destination of alerts on their way to people; no Kafka topic may contain an at sign."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that one batch changes; `Store.apply` writes all of it or nothing."""

    moves: Sequence[Move] = ()
    closed_until: int | None = None
    """Buckets that start before this (seconds since the epoch) are closed; None: as before."""
    documents: Sequence[Scored] = ()
    changes: Changes = NO_CHANGES
    """What stored documents have turned out to be."""
    dead_letters: Sequence[DeadLetter] = ()
    buckets: Sequence[Bucket] = ()
    """Absolute values: they replace the row of the same key and start."""
    history: Sequence[Bucket] = ()
    """Added to the row of the same key and start, whose revision grows by one."""
    key_states: Sequence[KeyState] = ()
    alerts: Sequence[Alert] = ()
    receipts: Sequence[KeptReceipt] = ()
    """They replace the one of the same alert."""
    outgoing: Sequence[Outgoing] = ()
    drills: Sequence[DrillProgress] = ()
    """They replace the progress of the drill of the same id, which need not be known."""
    gaps: Sequence[Gap] = ()
    told: Sequence[ToldRow] = ()
    """Wordings of stories, new or changed: they replace the row of the same number …"""
    forget_stories_before: datetime | None = None
    """… after those have been deleted whose last document was published before this."""
    sources: Sequence[SourceRow] = ()
    """They replace the row of the same name …"""
    rhythms: Sequence[RhythmRow] = ()
    """… and so do these …"""
    gone: Sequence[str] = ()
    """… after the sources of these names have been deleted."""
    now: datetime | None = None
    """Wall time of the poll, written beside the rows."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a start or a reload finds."""

    positions: Mapping[Partition, Position] = field(default_factory=dict)
    closed_until: int | None = None
    buckets: Sequence[Bucket] = ()
    """Those that start at or after ``closed_until`` − ``lookback``."""
    recent: Sequence[Heard] = ()
    """Counted documents as old as these buckets, by time and id."""
    key_states: Sequence[KeyState] = ()
    alerts: Sequence[Alert] = ()
    """Those pending or firing."""
    told: Sequence[ToldRow] = ()
    """All wordings of stories, by number."""
    sources: Sequence[SourceRow] = ()
    """By name."""
    rhythms: Sequence[RhythmRow] = ()


class Journey(NamedTuple):
    """When a stored document passed the stops of the pipeline."""

    published_at: datetime
    """Event time; the others are wall time."""
    appended_at: datetime
    ingested_at: datetime | None
    """None: stored by a version that did not note it."""
    scored_at: datetime


class Named(NamedTuple):
    """Whom a text names."""

    key: str
    name: str
    """As a person would say it."""
    surface: str
    """As the text says it, the first time."""


class Voice(NamedTuple):
    """A document that repeats no other, as far as it tells what a window is about."""

    id: str
    published_at: datetime
    author: str | None
    """A hash; None: nobody signed."""
    topic: str
    text: str
    """Its title and the beginning of its text, a line feed between them."""
    named: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class DrillProgress:
    """How far the documents of one drill have come."""

    id: str
    evidence: tuple[Evidence, ...]
    """Those that were scored, in the order of their arrival, each once."""
    negative: int
    """Of these, judged negative."""
    journey: Journey
    """Of the last to arrive."""
    model_version: str
    fired_at: datetime | None = None
    """Wall time; None: it has not fired."""
    over: bool = False
    """It has an outcome: nothing can fire any more."""


class Store(Protocol):
    """The pipeline's side of the database. Blocks; one thread owns it. Raises ``StoreError``."""

    def load(self, lookback: int) -> Snapshot:
        """Everything the pipeline needs to go on where the last transaction ended.

        ``lookback`` in seconds. The first ``load`` of a store also takes the writer's lease (an
        epoch number in the database): from then on any other daemon's ``apply`` is fenced. Later
        loads keep it, or raise ``LeaseError`` when another daemon has taken it.
        """
        ...

    def known(self, ids: Collection[str]) -> set[str]:
        """Which of these document ids are already stored."""
        ...

    def evidence(self, key: str, since: datetime, until: datetime, limit: int) -> list[Evidence]:
        """The most negative documents of a key with ``since`` <= published_at < ``until``, most
        negative first; one for each story, and for each title.

        Of a key that texts name, ``negative`` is their sentiment towards it. ``ValueError`` for a
        key of an unknown sort (`monitor.keys.sort_of`).
        """
        ...

    def stories(self, key: str, since: datetime, until: datetime) -> Mapping[str, int]:
        """How many documents of a key and time tell each story, by the story's id."""
        ...

    def speakers(
        self, key: str, since: datetime, until: datetime
    ) -> Mapping[tuple[str, str | None], int]:
        """How many documents of a key and time that repeat no other each speaker wrote, by source
        and hash of the author, None where nobody signed."""
        ...

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """The newest ``limit`` counted documents of a key with ``since`` <= published_at <
        ``until``, by time and id."""
        ...

    def voices(self, key: str, since: datetime, until: datetime, limit: int) -> list[Voice]:
        """The newest ``limit`` documents of a key and time that are counted and repeat no other,
        the newest first."""
        ...

    def sample(
        self, key: str, since: datetime, until: datetime, slices: int, each: int, look: int
    ) -> list[str]:
        """Texts of a key that repeat no other, as in ``Voice``: at most ``each`` of every one of so
        many equal slices of a time, the oldest first.

        At most ``look`` documents of a slice are looked at for them, however many there are: in a
        long slice that are its first. Those of ``other:…`` are all that name anybody.
        """
        ...

    def journey(self, document: str) -> Journey | None:
        """The times of a stored document, by its id; None: there is none."""
        ...

    def drill(self, identifier: str) -> DrillProgress | None:
        """How far a drill has come; None: none of its documents has arrived yet, and it is not
        over."""
        ...

    def latest(
        self, source: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Evidence]:
        """The newest documents of a source (None: of any) with ``since`` <= published_at <=
        ``until``, the newest first."""
        ...

    def apply(self, commit: Commit) -> None:
        """Write all of it in one transaction. Documents whose id exists are left as they are.

        Raises ``FencedError`` when an offset is not where ``expected`` says; ``LeaseError``, which
        is fatal, when another daemon has taken the lease; ``StoreError`` (its ``retryable`` is set
        for a full disk, a lock, a lost connection) otherwise. In each case nothing was written,
        but for a connection lost during the commit itself, whose outcome nobody knows: apply the
        same commit again, and the offsets tell (``FencedError`` if it had been written).
        ``RuntimeError`` before the first ``load``.
        """
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An undelivered row of the outbox, oldest first by ``id``."""

    id: int
    destination: str
    payload: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GroupState:
    """Durable state of one notification group of one receiver; ``state`` is JSON."""

    receiver: str
    group_key: str
    state: bytes


class NotificationStatus(StrEnum):
    """Where a notification is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    """A later notification of the same group says all that this one would have said."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One webhook message. ``id`` and ``body`` never change over its retries."""

    id: str
    receiver: str
    group_key: str
    body: bytes
    created_at: datetime
    next_attempt_at: datetime
    status: NotificationStatus = NotificationStatus.PENDING
    attempts: int = 0
    delivered_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class OutboxChange:
    """What one step of the delivery loop changes, in one transaction."""

    delete_rows: Sequence[int] = ()
    put_groups: Sequence[GroupState] = ()
    delete_groups: Sequence[tuple[str, str]] = ()
    """(receiver, group_key) pairs."""
    put_notifications: Sequence[Notification] = ()
    """Inserted, or their status, attempts, next_attempt_at, delivered_at, last_error updated."""
    wake: Mapping[str, datetime] = field(default_factory=dict)
    """Receivers that have come back: what waits for them is due at this time, not later."""


class Outbox(Protocol):
    """The delivery loop's side of the database. Blocks; its own thread. Raises ``StoreError``."""

    def rows(self, limit: int, skip: Collection[str] = ()) -> Sequence[OutboxRow]:
        """The oldest undelivered rows whose destination is not in ``skip``.

        ``skip`` keeps rows that a failing topic can't take from filling the page: the alerts behind
        them would wait as well.
        """
        ...

    def groups(self) -> Sequence[GroupState]:
        """Every live group."""
        ...

    def due(self, now: datetime, limit: int, skip: Collection[str] = ()) -> Sequence[Notification]:
        """Pending notifications whose next attempt is due, oldest first, without those of the
        receivers in ``skip``: what a slow one has waiting must not fill the page."""
        ...

    def save(self, change: OutboxChange) -> None:
        """All of it or nothing."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...
