"""The main loop: source → score → aggregate → detect → apply. The order stands in `Pipeline.step`.

Exactly once: the offsets lie in the same transaction as everything that follows from the records.
A crash at any point leaves the last transaction; the next start goes on from its offsets.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

from monitor.aggregate.rollup import bucket_start, deltas
from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.clock import Clock
from monitor.detect.state import Context
from monitor.detect.watch import Watch
from monitor.errors import FencedError, LeaseError, SourceError, StoreError
from monitor.events import (
    Alert,
    DeadLetter,
    Document,
    Evidence,
    Origin,
    Partition,
    Reason,
    Record,
    Scored,
)
from monitor.judged import judged
from monitor.keys import keys_of
from monitor.metrics import Metrics
from monitor.outgoing import OutTopics, outgoing
from monitor.score.base import Scorer
from monitor.source.base import Batch, Source
from monitor.source.pace import Pace
from monitor.store.base import Commit, Move, Position, Store
from monitor.story import evidence_of, most_negative

log = logging.getLogger(__name__)

SLICE = 128
"""Documents scored between two looks at the stop signal."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

EvidenceOf = Callable[[str, int, int, int], Sequence[Evidence]]
"""The most negative documents of a key: (key, since, until, limit), in seconds since the epoch."""


class Decode(Protocol):
    """Turns records into documents and dead letters; see `monitor.source.decode`."""

    def __call__(
        self, records: Sequence[Record], *, now: datetime, rejected_at: datetime
    ) -> tuple[list[Document], list[DeadLetter]]: ...


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Parameters of the loop."""

    poll_records: int = 512
    """Records of one batch …"""
    poll_most: int = 4_096
    """… and at most, while a backlog goes through quickly."""
    poll_timeout: float = 0.5
    """Seconds."""
    retry_first: float = 0.5
    retry_most: float = 30.0
    """Seconds between attempts while the source or the database fails."""
    topics: OutTopics = field(default_factory=OutTopics)


@dataclass
class _Work:
    """One batch on its way through the stages."""

    batch: Batch
    now: datetime
    documents: list[Document] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    @cached_property
    def _values(self) -> dict[Origin, bytes | None]:
        return {record.origin: record.value for record in self.batch.records}

    def reject(self, document: Document, reason: Reason, detail: str) -> None:
        """Make a dead letter, with its original bytes, of a document that was valid so far."""
        value = self._values[document.origin]
        self.dead_letters.append(DeadLetter(document.origin, reason, detail, value, self.now))


class Pipeline:
    """Owns the source, the scorer and the store's writer; runs in one thread."""

    def __init__(
        self,
        *,
        source: Source,
        decode: Decode,
        scorer: Scorer,
        watermarks: Watermarks,
        window: Window,
        watch: Callable[[EvidenceOf], Watch],
        store: Store,
        metrics: Metrics,
        clock: Clock,
        settings: PipelineSettings | None = None,
        successor: Callable[[], Scorer | None] = lambda: None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``watch`` makes the detectors' watch around the pipeline's evidence; ``clock`` is on the
        axis of event times (a replay's runs fast), ``wall`` the real time that goes into rows.
        ``successor`` gives, once, a scorer that is to take the place of ``scorer``."""
        self._source = source
        self._decode = decode
        self._scorer = scorer
        self._watermarks = watermarks
        self._window = window
        self._watch = watch(self.evidence)
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self._settings = settings or PipelineSettings()
        self._pace = Pace(self._settings.poll_records, self._settings.poll_most)
        self._successor = successor
        self._positions: dict[Partition, Position] = {}
        self._starts: dict[Partition, int] = {}  # where partitions stood when they were assigned
        self._assigned: frozenset[Partition] = frozenset()
        self._appended_at = wall()  # until a record is read
        self._current: Sequence[Scored] = ()
        self.progress = clock.monotonic()
        """Monotonic time of the last pass that went through; the watchdog and /livez look at it."""
        self.assigned = False
        """Whether partitions are assigned: part of /readyz."""
        self.healthy_store = True
        """Whether the last transaction went through: part of /readyz."""

    # ------------------------------------------------------------------ the order of the stages

    def step(self, stop: threading.Event) -> int:
        """One pass; returns how many records it took.

        0. a new version of the model takes over: each batch is scored by one model
        1. poll and decode: faults become dead letters, known ids are dropped
        2. score in micro-batches
        3. aggregate, close buckets by the watermark, detect
        4. apply: one transaction with the offsets
        5. commit to Kafka, for lag tools
        """
        begun = self._clock.monotonic()
        self._take_over()  # 0
        work = self._poll_and_decode()  # 1
        if not self._score(work, stop):  # 2
            return 0
        commit = self._aggregate_and_detect(work)  # 3
        if self._apply(commit, stop):  # 4
            self._commit(work)  # 5
            self._report(work)
        self._pace.took(len(work.batch.records), self._clock.monotonic() - begun)
        return len(work.batch.records)

    def run(self, stop: threading.Event) -> None:
        """Pass after pass until ``stop`` is set; a batch that is still being scored is left to the
        next start."""
        delay = self._settings.retry_first
        stale = False
        while not stop.is_set():
            try:
                if stale:
                    self.load()
                    self._seek(self._assigned)
                    stale, self.healthy_store = False, True
                self.step(stop)
                delay = self._settings.retry_first
            except StoreError as error:
                # A read failed in mid-pass: what the pass has counted must be forgotten.
                if not error.retryable:
                    raise
                stale = True
                self._refused(error, delay)
                self._wait_polling(delay, stop)
                delay = min(delay * 2, self._settings.retry_most)
            except SourceError as error:
                self._metrics.source_failures.inc()
                if not error.retryable:
                    raise
                log.warning("the source failed, next try in %.1f s: %s", delay, error)
                stop.wait(delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, self._settings.retry_most)
                self._seek(self._assigned)
            self._beat()

    def load(self) -> None:
        """Go on from the last transaction; called before the first pass and after a fence."""
        snapshot = self._store.load(self._window.lookback)
        self._positions = dict(snapshot.positions)
        self._window.restore(snapshot.buckets, snapshot.closed_until)
        self._watermarks.assign({}, self._clock.monotonic())
        self._follow(self._assigned)
        self._watch.restore(snapshot.key_states, snapshot.alerts, self._scorer.model_version)
        self._metrics.firing.set(self._watch.firing)

    def close(self) -> None:
        """Free the device: of the scorer that it began with, or of the one that took over."""
        self._scorer.close()

    def evidence(self, key: str, since: int, until: int, limit: int) -> list[Evidence]:
        """The most negative documents of a window: those stored, and those of the batch in hand."""
        begin, end = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        fresh = [
            evidence_of(s)
            for s in self._current
            if begin <= s.document.published_at < end and key in keys_of(s)
        ]
        stored = self._store.evidence(key, begin, end, limit)
        return most_negative((*stored, *fresh), limit)

    # ------------------------------------------------------------------ 0 a new model

    def _take_over(self) -> None:
        scorer = self._successor()
        if scorer is None:
            return
        old, self._scorer = self._scorer, scorer
        old.close()
        self._metrics.model(scorer.model_version)
        log.info("model: %s → %s", old.model_version, scorer.model_version)
        # Should this read fail, `run` loads everything anew, for the new model too.
        snapshot = self._store.load(self._window.lookback)
        self._watch.restore(snapshot.key_states, snapshot.alerts, scorer.model_version)

    # ------------------------------------------------------------------ 1 poll and decode

    def _poll_and_decode(self) -> _Work:
        with self._timed("poll"):
            batch = self._source.poll(self._settings.poll_timeout, self._pace.records)
            self._rebalance(batch)
            work = _Work(batch, self._wall())
            event_now = self._clock.now()
            monotonic = self._clock.monotonic()
            self._appended_at = max(
                self._appended_at, max((r.appended_at for r in batch.records), default=_LONG_AGO)
            )
            decoded, work.dead_letters = self._decode(
                batch.records, now=event_now, rejected_at=work.now
            )
            self._watermarks.observe_all(decoded, monotonic)
            known = self._store.known({d.id for d in decoded})
            for document in decoded:
                if document.id in known:
                    detail = f"the id {document.id!r} has been read before; ids must be unique"
                    work.reject(document, Reason.DUPLICATE, detail)
                else:
                    known.add(document.id)
                    work.documents.append(document)
        self._watermarks.reached_end(
            {
                p
                for p, offset in batch.positions.items()
                if p not in batch.assigned and offset >= batch.ends.get(p, offset + 1)
            }
        )
        return work

    def _rebalance(self, batch: Batch) -> None:
        if batch.assigned or batch.revoked:
            self._starts.update((p, batch.positions[p]) for p in batch.assigned)
            self._follow((self._assigned - batch.revoked) | batch.assigned)
            self._seek(batch.assigned)

    def _follow(self, partitions: frozenset[Partition]) -> None:
        self._assigned = partitions
        self.assigned = bool(partitions)
        self._metrics.partitions.set(len(partitions))
        self._watermarks.assign(
            {
                p: position.max_event_time.timestamp()
                if (position := self._positions.get(p)) and position.max_event_time
                else None
                for p in partitions
            },
            self._clock.monotonic(),
        )

    def _seek(self, partitions: frozenset[Partition]) -> None:
        """Read on from where the last transaction ended; before the first, from the start."""
        self._source.seek(
            {
                p: self._positions[p].next_offset if p in self._positions else self._starts[p]
                for p in partitions
            }
        )

    # ------------------------------------------------------------------ 2 score

    def _score(self, work: _Work, stop: threading.Event) -> bool:
        """Score in slices, each a sign of life: a full batch can take a slow machine a minute.
        False: we must stop, and nothing of the batch has been counted or written yet."""
        for first in range(0, len(work.documents), SLICE):
            if stop.is_set():
                return False
            with self._timed("score"):
                self._score_slice(work, work.documents[first : first + SLICE])
            self._beat()
        return True

    def _score_slice(self, work: _Work, documents: Sequence[Document]) -> None:
        verdicts = self._scorer.score([d.content for d in documents])
        scored, failed = judged(documents, verdicts, self._wall())
        work.scored += scored
        for document, error in failed:
            detail = f"{verdicts.model_version} cannot judge this text: {error}"
            work.reject(document, Reason.UNSCORABLE, detail)

    # ------------------------------------------------------------------ 3 aggregate and detect

    def _aggregate_and_detect(self, work: _Work) -> Commit:
        with self._timed("aggregate"):
            self._current = work.scored
            on_time = self._on_time(work.scored)
            self._metrics.late.inc(len(work.scored) - len(on_time))
            self._window.add(deltas(on_time))
            watermark = self._watermarks.current(self._clock.monotonic())
            context = Context(work.now, self._appended_at, self._scorer.model_version)
            for closed in self._window.close(watermark):
                work.alerts += self._watch.step(closed.start, closed.sums, context)
            if watermark is not None:
                self._metrics.watermark.set(watermark)
            alerts = list({a.id: a for a in work.alerts}.values())
            return Commit(
                moves=self._moves(work.batch),
                closed_until=self._window.closed_until,
                documents=work.scored,
                dead_letters=work.dead_letters,
                buckets=self._window.drain(),
                key_states=list(self._watch.drain(self._scorer.model_version)),
                alerts=alerts,
                outgoing=list(
                    outgoing(self._settings.topics, work.scored, work.dead_letters, work.alerts)
                ),
                gaps=work.batch.gaps,
                now=work.now,
            )

    def _on_time(self, batch: Sequence[Scored]) -> Sequence[Scored]:
        def late(at: datetime) -> bool:
            return self._window.is_late(bucket_start(at.timestamp()))

        oldest = min((s.document.published_at for s in batch), default=None)
        if oldest is None or not late(oldest):
            return batch
        return [s for s in batch if not late(s.document.published_at)]

    def _moves(self, batch: Batch) -> list[Move]:
        moves = []
        for partition, offset in batch.positions.items():
            stored = self._positions.get(partition)
            if partition in batch.assigned or (stored and stored.next_offset == offset):
                continue  # a partition just assigned has not been sought to its place yet
            newest = self._watermarks.max_event_time(partition)
            position = Position(
                offset, None if newest is None else datetime.fromtimestamp(newest, UTC)
            )
            moves.append(Move(partition, stored.next_offset if stored else None, position))
        return moves

    # ------------------------------------------------------------------ 4 apply, 5 commit

    def _apply(self, commit: Commit, stop: threading.Event) -> bool:
        """Write the transaction, however often it takes; False: it was fenced or we must stop."""
        if not (commit.moves or commit.documents or commit.dead_letters or commit.buckets
                or commit.key_states or commit.alerts or commit.gaps):  # fmt: skip
            return True
        delay = self._settings.retry_first
        with self._timed("apply"):
            while True:
                try:
                    self._store.apply(commit)
                except LeaseError:
                    raise
                except FencedError as error:
                    log.warning("fenced, going back to the last transaction: %s", error)
                    self.load()
                    self._seek(self._assigned)
                    return False
                except StoreError as error:
                    if not error.retryable:
                        raise
                    self._refused(error, delay)
                    if not self._wait_polling(delay, stop):
                        return False
                    delay = min(delay * 2, self._settings.retry_most)
                else:
                    self.healthy_store = True
                    for move in commit.moves:
                        self._positions[move.partition] = move.position
                    return True

    def _refused(self, error: StoreError, delay: float) -> None:
        self.healthy_store = False
        self._metrics.store_failures.inc()
        log.error("the database refused, next try in %.1f s: %s", delay, error)

    def _wait_polling(self, seconds: float, stop: threading.Event) -> bool:
        """Wait, but keep the membership of the group alive; False when we must stop."""
        self._source.pause(True)
        try:
            until = self._clock.monotonic() + seconds
            while self._clock.monotonic() < until and not stop.is_set():
                try:
                    batch = self._source.poll(min(0.2, seconds), 1)
                except SourceError as error:
                    log.warning("the source failed while the database did: %s", error)
                    stop.wait(0.2)
                    continue
                self._rebalance(batch)
                self._beat()
        finally:
            self._source.pause(False)
        return not stop.is_set()

    def _commit(self, work: _Work) -> None:
        with self._timed("commit"):
            if work.batch.records:
                self._source.commit(work.batch.positions)

    # ------------------------------------------------------------------ metrics

    def _report(self, work: _Work) -> None:
        self._metrics.batch(
            records=len(work.batch.records),
            scored=work.scored,
            dead_letters=work.dead_letters,
            alerts=work.alerts,
            gaps=work.batch.gaps,
            done=self._wall(),
        )
        for gap in work.batch.gaps:
            log.error(
                "%s/%d: offsets %d to %d were deleted by retention before they were read",
                gap.partition.topic,
                gap.partition.number,
                gap.expected,
                gap.resumed - 1,
            )
        for alert in work.alerts:
            if alert.fired_at is not None:
                log.warning("alert %s: %s", alert.status, alert.summary)
        self._metrics.firing.set(self._watch.firing)
        if work.scored:
            newest = max(s.document.published_at for s in work.scored)
            self._metrics.event_lag.set((self._clock.now() - newest).total_seconds())
        ends = work.batch.ends
        behind = [max(ends[p] - o, 0) for p, o in work.batch.positions.items() if p in ends]
        self._metrics.offset_lag.set(sum(behind))

    def _beat(self) -> None:
        self.progress = self._clock.monotonic()
        self._metrics.progress.set(self._wall().timestamp())

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begin = self._clock.monotonic()
        yield
        self._metrics.stage.labels(stage).observe(self._clock.monotonic() - begin)
