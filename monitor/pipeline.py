"""The main loop: source → score → annotate → aggregate → detect → apply, as in `Pipeline.step`.

Exactly once: the offsets lie in the same transaction as everything that follows from the records.
A crash at any point leaves the last transaction; the next start goes on from its offsets.

The scorer works beside the loop. While batches are with it the next ones are polled and decoded;
their verdicts are aggregated, detected on and written strictly in the order of the polls.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.annotate import Annotator
from monitor.clock import Clock
from monitor.counting import Counting
from monitor.detect.surroundings import Context, ExhibitOf, Seal
from monitor.detect.watch import Watch
from monitor.detecting import Detecting
from monitor.drill.rule import rehearse
from monitor.errors import FencedError, LeaseError, SourceError, StoreError
from monitor.exhibits import Exhibits
from monitor.inflight import Flight, InFlight
from monitor.intake import Decode, Intake
from monitor.judging import Judging
from monitor.listening import Listening
from monitor.metrics import Metrics
from monitor.outgoing import OutTopics, outgoing
from monitor.positions import Positions
from monitor.receipt.make import Notary
from monitor.receipt.provenance import Provenances
from monitor.reporting import report
from monitor.score.base import Scorer
from monitor.source.base import Source
from monitor.source.pace import Pace
from monitor.store.base import Commit, Store

log = logging.getLogger(__name__)

TICK = 0.05
"""Seconds between two polls while verdicts are waited for."""


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
    in_flight: int = 32
    """Batches between their poll and their transaction; the scorer has a bound of its own."""
    finish: float = 3.0
    """Seconds that a stop waits for batches in flight; the others are left to the next start."""
    topics: OutTopics = field(default_factory=OutTopics)
    unpaged: bool = False
    """Alerts that page nobody go to the receivers as well: one of them has a digest."""


class Pipeline:
    """Owns the source, the scorer and the store's writer; runs in one thread."""

    def __init__(
        self,
        *,
        source: Source,
        decode: Decode,
        scorer: Scorer,
        annotate: Annotator | None = None,
        watermarks: Watermarks,
        window: Window,
        watch: Callable[[ExhibitOf, Seal], Watch],
        store: Store,
        metrics: Metrics,
        clock: Clock,
        listening: Listening | None = None,
        settings: PipelineSettings | None = None,
        successor: Callable[[], Scorer | None] = lambda: None,
        provenances: Provenances | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``watch`` makes the detectors' watch around the pipeline's exhibits and receipts;
        ``clock`` is on the axis of event times (a replay's runs fast), ``wall`` the real time that
        goes into rows. Without ``listening`` nobody asks whether a source that says nothing is
        quiet or blind. ``successor`` gives, once, a scorer that is to take the place of
        ``scorer``. What is known of program, configuration and models goes into the receipts as
        ``provenances``."""
        self._positions = Positions(watermarks)
        self._counting = Counting(window)
        self._exhibits = Exhibits(store, Notary(store, provenances or Provenances()), wall)
        self._detecting = Detecting(
            self._counting, watch(self._exhibits.exhibit, self._exhibits.seal), listening
        )
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self._settings = settings or PipelineSettings()
        self._pace = Pace(self._settings.poll_records, self._settings.poll_most)
        self._flights = InFlight()
        self._intake = Intake(source, decode, store, self._flights, metrics, clock, wall)
        self._annotate = annotate or Annotator()
        self._judging = Judging(
            scorer, successor, self._annotate, self._flights, metrics, clock, wall
        )
        self._appended_at = wall()  # until a record is read
        self._landed = 0  # transactions
        self._moved = (0, 0)  # texts judged and transactions, at the last sign of life
        self.progress = clock.monotonic()
        """Monotonic time at which the loop last got on; the watchdog and /livez look at it. While
        batches are in flight a pass without a new verdict is no progress."""
        self.healthy_store = True
        """Whether the last transaction went through: part of /readyz."""

    # ------------------------------------------------------------------ the order of the stages

    def step(self, stop: threading.Event, intake: bool = True) -> int:
        """One pass; returns how many records it took in. Without ``intake`` it polls nothing.

        0. a new version of the model takes over: each batch is judged by one model
        1. poll and decode: faults become dead letters, known ids are dropped
        2. submit to the scorer, which judges beside this loop

        Then, for each batch that has its verdicts, in the order of the polls:

        3. annotate (stories, names), aggregate, close buckets by the watermark, detect; who of the
           sources speaks
        4. apply: one transaction with the offsets
        5. commit to Kafka, for lag tools
        """
        taken = 0
        if intake:
            self._take_over()  # 0
            taken = self._poll_and_decode()  # 1
        if (newest := self._flights.unsubmitted) is not None:
            self._judging.submit(newest)  # 2
        if not taken:
            self._await_verdicts(stop)
        while (flight := self._flights.head) is not None and flight.done:
            commit = self._aggregate_and_detect(flight)  # 3
            if not self._apply(commit, stop):  # 4
                break
            self._flights.landed()
            self._landed += 1
            took = self._clock.monotonic() - flight.polled_at
            self._pace.took(len(flight.batch.records), took)
            with self._timed("commit"):
                self._intake.commit(flight.batch)  # 5
            firing, now = self._detecting.firing, self._clock.now()
            report(flight, firing, self._metrics, now, self._wall())
        return taken

    def run(self, stop: threading.Event) -> None:
        """Pass after pass until ``stop`` is set; what the scorer has not judged shortly after is
        left to the next start."""
        delay = self._settings.retry_first
        stale = False
        while not stop.is_set():
            try:
                if stale:
                    self._reload()
                    stale, self.healthy_store = False, True
                self.step(stop)
                if not self._intake.resting:
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
                self._intake.rest(delay * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
                delay = min(delay * 2, self._settings.retry_most)
            self._beat()
        if not stale:
            self._finish(stop)

    def load(self) -> None:
        """Go on from the last transaction, and forget what is in flight; called before the first
        pass and after a fence."""
        snapshot = self._store.load(self._counting.lookback)
        assigned = self._intake.assigned
        self._positions.restore(snapshot.positions, assigned, self._clock.monotonic())
        self._drop()
        self._exhibits.restart()
        self._annotate.restore(snapshot)
        self._counting.restore(snapshot)
        self._detecting.restore(snapshot, self._judging.current.model_version)
        self._metrics.firing.set(self._detecting.firing)

    def close(self) -> None:
        """Free the model's devices. Idempotent."""
        self._judging.close()

    @property
    def assigned(self) -> bool:
        """Whether partitions are assigned: part of /readyz."""
        return bool(self._intake.assigned)

    @property
    def fault(self) -> str | None:
        """What is wrong with the model, or with one of its devices: part of /readyz."""
        return self._judging.fault

    @property
    def sources(self) -> dict[str, Any]:
        """Whether the sources speak, as a JSON object; any thread may ask."""
        return self._detecting.sources

    @property
    def in_flight(self) -> int:
        """Batches between their poll and their transaction."""
        return len(self._flights)

    # ------------------------------------------------------------------ 0 to 2

    def _take_over(self) -> None:
        if self._judging.take_over():
            self._follow_model()

    def _follow_model(self) -> None:
        # Should this read fail, `run` loads everything anew, for the newest model.
        snapshot = self._store.load(self._counting.lookback)
        self._detecting.follow(snapshot, self._judging.current.model_version)

    def _poll_and_decode(self) -> int:
        full = len(self._flights) >= self._settings.in_flight or self._flights.unsubmitted
        # A poll that waits would keep verdicts waiting.
        timeout = 0.0 if self._flights else self._settings.poll_timeout
        with self._timed("poll"):
            return self._intake.poll(timeout, self._pace.records, paused=bool(full))

    def _await_verdicts(self, stop: threading.Event) -> None:
        """Where there is nothing else to do, wait for the oldest batch; else the poll waits."""
        head = self._flights.head
        if head is not None and head.ticket is not None:
            head.ticket.wait(TICK)
        elif self._intake.resting or (head is not None and not head.done):
            stop.wait(TICK)

    # ------------------------------------------------------------------ 3 aggregate and detect

    def _aggregate_and_detect(self, flight: Flight) -> Commit:
        if self._judging.collect(flight):
            self._follow_model()
        with self._timed("aggregate"):
            if flight.appended_at is not None:
                self._appended_at = max(self._appended_at, flight.appended_at)
            self._positions.observe(flight)
            counted = self._counting.count(flight.scored, flight.changes.flipped, self._clock.now())
            flight.scored = counted.scored
            copies = {flip.document: flip.told.copy_of for flip in flight.changes.flipped}
            self._exhibits.take(flight.scored, copies, flight.now)
            self._metrics.late.inc(counted.late)
            watermark = self._positions.watermark(flight.polled_at)
            version = self._judging.current.model_version
            context = Context(flight.now, self._appended_at, version)
            flight.alerts += self._detecting.detect(flight, counted.history, watermark, context)
            if watermark is not None:
                self._metrics.watermark.set(watermark)
            drills, fired = rehearse(flight.drilled, self._store.drill, flight.now, self._wall())
            for alert in fired:
                log.warning("%s", alert.summary)
            alerts = list({a.id: a for a in flight.alerts}.values())
            told, forget_before = self._annotate.drain()
            key_states, heard = self._detecting.drain(version)
            return Commit(
                moves=self._positions.moves(flight.batch),
                closed_until=self._counting.closed_until,
                documents=flight.scored,
                changes=flight.changes,
                dead_letters=flight.dead_letters,
                buckets=self._counting.drain(),
                history=counted.history,
                key_states=key_states,
                alerts=[*alerts, *fired],
                receipts=self._exhibits.drain(),
                outgoing=list(
                    outgoing(
                        self._settings.topics,
                        flight.scored,
                        flight.dead_letters,
                        [*flight.alerts, *fired],
                        self._settings.unpaged,
                    )
                ),
                drills=drills,
                told=told,
                forget_stories_before=forget_before,
                sources=heard.sources,
                rhythms=heard.rhythms,
                gone=heard.gone,
                gaps=flight.batch.gaps,
                now=flight.now,
            )

    # ------------------------------------------------------------------ 4 apply

    def _apply(self, commit: Commit, stop: threading.Event) -> bool:
        """Write the transaction, however often it takes; False: it was fenced or we must stop, and
        nothing is in flight any more."""
        if not (commit.moves or commit.documents or commit.dead_letters or commit.buckets
                or commit.key_states or commit.alerts or commit.gaps
                or commit.sources or commit.gone):  # fmt: skip
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
                    self._reload()
                    return False
                except StoreError as error:
                    if not error.retryable:
                        raise
                    self._refused(error, delay)
                    if not self._wait_polling(delay, stop):
                        self._drop()
                        return False
                    delay = min(delay * 2, self._settings.retry_most)
                else:
                    self.healthy_store = True
                    self._positions.landed(commit.moves)
                    return True

    def _refused(self, error: StoreError, delay: float) -> None:
        self.healthy_store = False
        self._metrics.store_failures.inc()
        log.error("the database refused, next try in %.1f s: %s", delay, error)

    def _wait_polling(self, seconds: float, stop: threading.Event) -> bool:
        """Wait, but keep the membership of the group alive; False when we must stop."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until and not stop.is_set():
            try:
                self._intake.poll(min(0.2, seconds), 1, paused=True)
            except SourceError as error:
                log.warning("the source failed while the database did: %s", error)
                self._intake.rest(0.2)
            if self._intake.resting:
                stop.wait(0.2)
            else:
                self._beat(waiting=True)
        return not stop.is_set()

    def _reload(self) -> None:
        self.load()
        self._intake.seek(self._intake.assigned)

    def _drop(self) -> None:
        """Forget what is in flight: it will be read again from the last transaction on."""
        self._flights.restart(self._positions.next_offsets)
        self._judging.restart()

    def _finish(self, stop: threading.Event) -> None:
        """Give what is in flight a few seconds at the end."""
        left = self._settings.finish
        try:
            while self._flights and left > 0:
                landed = self._landed
                self.step(stop, intake=False)
                left -= TICK if self._landed == landed else 0.0
        except StoreError as error:
            if not error.retryable:
                raise
            log.warning("the database refused at the end: %s", error)
        if self._flights:
            log.info("%d batches in flight are left to the next start", len(self._flights))

    # ------------------------------------------------------------------ signs of life

    def _beat(self, waiting: bool = False) -> None:
        """A sign of life, if there is one: with batches in flight a verdict or a transaction, so
        that a device that hangs is seen, and a slow one is not taken for it. ``waiting`` for the
        database is none of the scorer's fault."""
        moved = (self._judging.judged, self._landed)
        if waiting or not self._flights or moved != self._moved:
            self.progress = self._clock.monotonic()
            self._metrics.progress.set(self._wall().timestamp())
        self._moved = moved

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begin = self._clock.monotonic()
        yield
        self._metrics.stage.labels(stage).observe(self._clock.monotonic() - begin)
