"""The database in memory, with scripted failures: for tests and simulations of the two loops."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from monitor.errors import FencedError, LeaseError, StoreError
from monitor.events import (
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Evidence,
    Gap,
    Heard,
    Origin,
    Partition,
    Scored,
    heard_of,
)
from monitor.keys import ALL, is_of, sort_of, source_key
from monitor.store.base import (
    Commit,
    DrillProgress,
    GroupState,
    Journey,
    KeptReceipt,
    KeyState,
    Listed,
    Named,
    Notification,
    NotificationStatus,
    OutboxChange,
    OutboxRow,
    Position,
    RhythmRow,
    Snapshot,
    SourceRow,
    Voice,
)
from monitor.store.drills.base import Drill, DrillOutcome, progressed
from monitor.store.receipts.rows import listed_of
from monitor.store.rows import milliseconds
from monitor.story.base import ToldRow
from monitor.story.shown import HEAD, evidence_of
from monitor.story.shown import stories as first_of_each

Operation = Literal[
    "load",
    "known",
    "evidence",
    "stories",
    "speakers",
    "listed",
    "voices",
    "sample",
    "journey",
    "drill",
    "latest",
    "apply",
    "rows",
    "groups",
    "due",
    "save",
]


class MemoryDatabase:
    """What a ``MemoryStore`` and a ``MemoryOutbox`` share. Tests may read every field."""

    def __init__(self) -> None:
        self.positions: dict[Partition, Position] = {}
        self.closed_until: int | None = None
        self.documents: dict[str, Scored] = {}
        self.ingested: dict[str, datetime] = {}
        self.dead_letters: dict[Origin, DeadLetter] = {}
        self.buckets: dict[tuple[str, int], Bucket] = {}
        self.key_states: dict[tuple[str, str], KeyState] = {}
        self.alerts: dict[str, Alert] = {}
        self.receipts: dict[str, KeptReceipt] = {}
        self.drills: dict[str, Drill] = {}
        self.rehearsed: dict[str, DrillProgress] = {}
        self.gaps: dict[tuple[Partition, int], Gap] = {}
        self.told: dict[int, ToldRow] = {}
        self.sources: dict[str, SourceRow] = {}
        self.rhythms: dict[str, RhythmRow] = {}
        self.outbox: dict[int, OutboxRow] = {}
        self.groups: dict[tuple[str, str], GroupState] = {}
        self.notifications: dict[str, Notification] = {}
        self.epoch = 0
        self._serial = 0
        self._lock = threading.Lock()
        self._failures: defaultdict[Operation, deque[tuple[StoreError | None, bool]]] = defaultdict(
            deque
        )

    def fail(self, operation: Operation, *script: StoreError | None, written: bool = False) -> None:
        """Script the next calls of an operation: raise this error, or (None) work as usual.

        With ``written`` the error comes after the change has been made, as when the connection is
        lost while the server commits.
        """
        self._failures[operation].extend((error, written) for error in script)

    @contextmanager
    def transaction(self, operation: Operation) -> Iterator[None]:
        """Hold the lock and play the script of this operation."""
        with self._lock:
            script = self._failures[operation]
            error, written = script.popleft() if script else (None, False)
            if error is not None and not written:
                raise error
            yield
            if error is not None:
                raise error

    def append(self, destination: str, payload: bytes, now: datetime) -> None:
        """A new row of the outbox; ids only grow. Within a transaction only."""
        self._serial += 1
        self.outbox[self._serial] = OutboxRow(self._serial, destination, payload, now)


class MemoryStore:
    """``Store`` over a ``MemoryDatabase``; several of them are several daemons."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self.database = database or MemoryDatabase()
        self._lease: int | None = None

    def load(self, lookback: int) -> Snapshot:
        """See ``Store.load``."""
        db = self.database
        with db.transaction("load"):
            if self._lease is None:
                db.epoch += 1
                self._lease = db.epoch
            elif self._lease != db.epoch:
                raise LeaseError("another daemon has taken over this database in memory")
            since = None if db.closed_until is None else db.closed_until - lookback
            return Snapshot(
                positions=dict(db.positions),
                closed_until=db.closed_until,
                buckets=sorted(
                    (b for b in db.buckets.values() if since is None or b.start >= since),
                    key=lambda bucket: (bucket.start, bucket.key),
                ),
                recent=self._recent(since),
                key_states=[state for _, state in sorted(db.key_states.items())],
                alerts=sorted(
                    (a for a in db.alerts.values() if a.status is not AlertStatus.RESOLVED),
                    key=lambda alert: (alert.started_at, alert.id),
                ),
                told=[row for _, row in sorted(db.told.items())],
                sources=[row for _, row in sorted(db.sources.items())],
                rhythms=[row for _, row in sorted(db.rhythms.items())],
            )

    def known(self, ids: Collection[str]) -> set[str]:
        """See ``Store.known``."""
        with self.database.transaction("known"):
            return {identifier for identifier in ids if identifier in self.database.documents}

    def evidence(self, key: str, since: datetime, until: datetime, limit: int) -> list[Evidence]:
        """See ``Store.evidence``."""
        sort_of(key)
        with self.database.transaction("evidence"):
            documents = self.database.documents
            found = {s.document.id: evidence_of(s, key) for s in self._of_key(key, since, until)}
            ranked = sorted(
                found.values(), key=lambda e: (-e.negative, e.published_at, e.document_id)
            )
            candidates = (
                (e.document_id, e.story, e.title, documents[e.document_id].document.text)
                for e in ranked
            )
            return [found[i] for i in first_of_each(candidates, limit)]

    def stories(self, key: str, since: datetime, until: datetime) -> dict[str, int]:
        """See ``Store.stories``."""
        sort_of(key)
        with self.database.transaction("stories"):
            return dict(Counter(s.story or s.document.id for s in self._of_key(key, since, until)))

    def speakers(
        self, key: str, since: datetime, until: datetime
    ) -> dict[tuple[str, str | None], int]:
        """See ``Store.speakers``."""
        sort_of(key)
        with self.database.transaction("speakers"):
            return dict(
                Counter(
                    (s.document.source, s.document.author)
                    for s in self._of_key(key, since, until)
                    if s.copy_of is None
                )
            )

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """See ``Store.listed``."""
        sort_of(key)
        with self.database.transaction("listed"):
            return listed(self.database, key, since, until, limit)

    def voices(self, key: str, since: datetime, until: datetime, limit: int) -> list[Voice]:
        """See ``Store.voices``."""
        sort_of(key)
        with self.database.transaction("voices"):
            own = [s for s in self._of_key(key, since, until) if s.copy_of is None and s.counted]
            own.sort(key=lambda s: s.document.id)
            own.sort(key=lambda s: s.document.published_at, reverse=True)
            return [
                Voice(
                    s.document.id,
                    s.document.published_at,
                    s.document.author,
                    s.topic_name,
                    _beginning(s),
                    tuple(sorted(Named(m.key, m.name, m.surface) for m in s.mentions)),
                )
                for s in own[:limit]
            ]

    def sample(
        self, key: str, since: datetime, until: datetime, slices: int, each: int, look: int
    ) -> list[str]:
        """See ``Store.sample``; the bound on what is looked at is kept by what there is of a
        key."""
        sort_of(key)
        with self.database.transaction("sample"):
            inside: list[list[Scored]] = [[] for _ in range(slices)]
            for s in sorted(
                self._of_key(key, since, until),
                key=lambda s: (s.document.published_at, s.document.id),
            ):
                inside[(s.document.published_at - since) * slices // (until - since)].append(s)
            return [
                _beginning(s)
                for part in inside
                for s in [s for s in part[:look] if s.copy_of is None][:each]
            ]

    def journey(self, document: str) -> Journey | None:
        """See ``Store.journey``."""
        with self.database.transaction("journey"):
            scored = self.database.documents.get(document)
            if scored is None:
                return None
            of = scored.document
            ingested = self.database.ingested[document]
            return Journey(of.published_at, of.appended_at, ingested, scored.scored_at)

    def drill(self, identifier: str) -> DrillProgress | None:
        """See ``Store.drill``."""
        with self.database.transaction("drill"):
            drill = self.database.drills.get(identifier)
            progress = self.database.rehearsed.get(identifier)
            over = drill is not None and drill.outcome is not DrillOutcome.RUNNING
            if progress is not None:
                return replace(progress, over=over)
            if drill is None or not over:
                return None
            at = drill.started_at
            return DrillProgress(identifier, (), 0, Journey(at, at, None, at), "", over=True)

    def latest(
        self, source: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Evidence]:
        """See ``Store.latest``."""
        with self.database.transaction("latest"):
            found = [
                evidence_of(s, ALL)
                for s in self.database.documents.values()
                if since <= s.document.published_at <= until and source in (None, s.document.source)
            ]
            found.sort(key=lambda e: e.document_id)
            found.sort(key=lambda e: e.published_at, reverse=True)
            return found[:limit]

    def _of_key(self, key: str, since: datetime, until: datetime) -> list[Scored]:
        return _of_key(self.database, key, since, until)

    def _recent(self, since: int | None) -> list[Heard]:
        counted = (
            heard_of(scored)
            for scored in self.database.documents.values()
            if scored.counted
            and (since is None or scored.document.published_at.timestamp() >= since)
        )
        return sorted(
            (h._replace(views=tuple(sorted(h.views))) for h in counted),
            key=lambda h: (h.at, h.id),
        )

    def apply(self, commit: Commit) -> None:
        """See ``Store.apply``."""
        if self._lease is None:
            raise RuntimeError("load() must come before the first apply(): it takes the lease")
        db = self.database
        now = commit.now or datetime.now(UTC)
        with db.transaction("apply"):
            if self._lease != db.epoch:
                raise LeaseError("another daemon has taken over this database in memory")
            for move in commit.moves:
                held = db.positions.get(move.partition)
                if (None if held is None else held.next_offset) != move.expected:
                    raise FencedError(f"the offset of {move.partition} isn't {move.expected}")
            # Nothing below can fail, so it is all or nothing.
            db.positions.update((move.partition, move.position) for move in commit.moves)
            if commit.closed_until is not None:
                db.closed_until = commit.closed_until
            for scored in commit.documents:
                db.documents.setdefault(scored.document.id, scored)
                db.ingested.setdefault(scored.document.id, now)
            for letter in commit.dead_letters:
                db.dead_letters.setdefault(letter.origin, letter)
            for gap in commit.gaps:
                db.gaps.setdefault((gap.partition, gap.expected), gap)
            db.buckets.update(((bucket.key, bucket.start), bucket) for bucket in commit.buckets)
            for bucket in commit.history:
                place = bucket.key, bucket.start
                stored = db.buckets.get(place)
                db.buckets[place] = added(stored, bucket) if stored else bucket
            for flip in commit.changes.flipped:
                if (known := db.documents.get(flip.document)) is not None:
                    db.documents[flip.document] = known._replace(
                        story=flip.told.story, copy_of=flip.told.copy_of
                    )
            for rename in commit.changes.renamed:
                told = [
                    s for s in db.documents.values() if (s.story or s.document.id) == rename.old
                ]
                for known in told:
                    db.documents[known.document.id] = known._replace(story=rename.new)
            for state in commit.key_states:
                if state.state:
                    db.key_states[state.detector, state.key] = state
                else:
                    db.key_states.pop((state.detector, state.key), None)
            for progress in commit.drills:
                db.rehearsed[progress.id] = progress
                db.drills[progress.id] = progressed(db.drills.get(progress.id), progress)
            db.alerts.update((alert.id, alert) for alert in commit.alerts)
            db.receipts.update((receipt.alert_id, receipt) for receipt in commit.receipts)
            if commit.forget_stories_before is not None:
                before = milliseconds(commit.forget_stories_before)
                db.told = {n: row for n, row in db.told.items() if row.last_ms >= before}
            db.told.update((row.number, row) for row in commit.told)
            for name in commit.gone:
                db.sources.pop(name, None)
                db.rhythms.pop(name, None)
            db.sources.update((row.name, row) for row in commit.sources)
            db.rhythms.update((row.name, row) for row in commit.rhythms)
            for outgoing in commit.outgoing:
                db.append(outgoing.destination, outgoing.payload, now)

    def close(self) -> None:
        """Nothing to close."""


class MemoryOutbox:
    """``Outbox`` over the same ``MemoryDatabase`` as a ``MemoryStore``."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self.database = database or MemoryDatabase()

    def rows(self, limit: int, skip: Collection[str] = ()) -> Sequence[OutboxRow]:
        """See ``Outbox.rows``."""
        with self.database.transaction("rows"):
            oldest = (row for _, row in sorted(self.database.outbox.items()))
            return [row for row in oldest if row.destination not in skip][:limit]

    def groups(self) -> Sequence[GroupState]:
        """See ``Outbox.groups``."""
        with self.database.transaction("groups"):
            return [group for _, group in sorted(self.database.groups.items())]

    def due(self, now: datetime, limit: int, skip: Collection[str] = ()) -> Sequence[Notification]:
        """See ``Outbox.due``."""
        with self.database.transaction("due"):
            waiting = [
                notification
                for notification in self.database.notifications.values()
                if notification.status is NotificationStatus.PENDING
                and notification.next_attempt_at <= now
                and notification.receiver not in skip
            ]
            waiting.sort(key=lambda n: (n.next_attempt_at, n.created_at, n.id))
            return waiting[:limit]

    def save(self, change: OutboxChange) -> None:
        """See ``Outbox.save``."""
        db = self.database
        with db.transaction("save"):
            for row in change.delete_rows:
                db.outbox.pop(row, None)
            for pair in change.delete_groups:
                db.groups.pop(pair, None)
            db.groups.update(((g.receiver, g.group_key), g) for g in change.put_groups)
            for notification in change.put_notifications:
                stored = db.notifications.setdefault(notification.id, notification)
                db.notifications[notification.id] = replace(
                    stored,
                    status=notification.status,
                    attempts=notification.attempts,
                    next_attempt_at=notification.next_attempt_at,
                    delivered_at=notification.delivered_at,
                    last_error=notification.last_error,
                )
            for waiting in list(db.notifications.values()):
                at = change.wake.get(waiting.receiver)
                if at is not None and waiting.status is NotificationStatus.PENDING:
                    due = min(at, waiting.next_attempt_at)
                    db.notifications[waiting.id] = replace(waiting, next_attempt_at=due)

    def close(self) -> None:
        """Nothing to close."""


def listed(
    database: MemoryDatabase, key: str, since: datetime, until: datetime, limit: int
) -> list[Listed]:
    """See ``Store.listed``."""
    found = [listed_of(s, key) for s in _of_key(database, key, since, until) if s.counted]
    return sorted(found, key=lambda each: (each.published_at, each.id))[-limit:]


def _of_key(database: MemoryDatabase, key: str, since: datetime, until: datetime) -> list[Scored]:
    return [
        scored
        for scored in database.documents.values()
        if since <= scored.document.published_at < until
        and (is_of(scored, key) or key == source_key(scored.document.source))
    ]


def _beginning(scored: Scored) -> str:
    return f"{scored.document.title}\n{scored.document.text[:HEAD]}"


def added(stored: Bucket, more: Bucket) -> Bucket:
    """A bucket to which documents of the past were added."""
    return replace(
        stored,
        n=stored.n + more.n,
        negative=stored.negative + more.negative,
        positive=stored.positive + more.positive,
        score_sum=stored.score_sum + more.score_sum,
        posts=stored.posts + more.posts,
        revision=stored.revision + 1,
    )
