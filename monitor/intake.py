"""From the source to decoded batches in flight: polls, partitions, duplicates, back-pressure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from monitor.clock import Clock
from monitor.events import DeadLetter, Document, Partition, Reason, Record
from monitor.inflight import Flight, InFlight
from monitor.metrics import Metrics
from monitor.source.base import Batch, Source
from monitor.store.base import Store


class Decode(Protocol):
    """Turns records into documents and dead letters; see `monitor.source.decode`."""

    def __call__(
        self, records: Sequence[Record], *, now: datetime, rejected_at: datetime
    ) -> tuple[list[Document], list[DeadLetter]]: ...


class Intake:
    """Owns the source. What a poll tells goes in flight; partitions are sought at once."""

    def __init__(
        self,
        source: Source,
        decode: Decode,
        store: Store,
        flights: InFlight,
        metrics: Metrics,
        clock: Clock,
        wall: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._decode = decode
        self._store = store
        self._flights = flights
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self._starts: dict[Partition, int] = {}  # where partitions stood when they were assigned
        self._paused = False
        self._rest_until: float | None = None
        self.assigned: frozenset[Partition] = frozenset()
        """As of the last poll."""

    @property
    def resting(self) -> bool:
        """Whether the source has failed and is not tried again yet."""
        return self._rest_until is not None

    def rest(self, seconds: float) -> None:
        """The source has failed: leave it alone for so long, then seek."""
        self._rest_until = self._clock.monotonic() + seconds

    def poll(self, timeout: float, limit: int, paused: bool) -> int:
        """Put one poll's batch in flight; how many records it has. While ``paused`` it has none,
        but keeps the membership of the group alive.

        Raises ``SourceError``, after which `rest` must be called; ``StoreError`` when it cannot be
        known which ids are stored, and then the batch is lost: seek.
        """
        if self._rest_until is not None:
            if self._clock.monotonic() < self._rest_until:
                return 0
            self._rest_until = None
            self.seek(self.assigned)
        if paused != self._paused:
            self._source.pause(paused)
            self._paused = paused
        batch = self._source.poll(timeout, limit)
        self._metrics.unreadable.set(len(batch.unreadable))
        if batch.assigned or batch.revoked:
            self._rebalance(batch)
        flight = Flight(batch, self._clock.monotonic(), self._wall(), self._clock.now())
        if batch.records:
            self._decode_into(flight)
        self._flights.add(flight)
        return len(batch.records)

    def seek(self, partitions: frozenset[Partition]) -> None:
        """Read on after what is in flight, else from where the last transaction ended; before the
        first, from the start."""
        offsets = {}
        for partition in partitions:
            offset = self._flights.next_offset(partition)
            offsets[partition] = self._starts[partition] if offset is None else offset
        self._source.seek(offsets)

    def commit(self, batch: Batch) -> None:
        """Tell the broker that this batch is done with, for lag tools."""
        if batch.records:
            self._source.commit(batch.positions)

    def _rebalance(self, batch: Batch) -> None:
        # What is in flight of a partition that has gone is still ours to write: its offsets are
        # compared and set. Should the partition come back, it is read on from there.
        self._starts.update((p, batch.positions[p]) for p in batch.assigned)
        self.assigned = (self.assigned - batch.revoked) | batch.assigned
        self._metrics.partitions.set(len(self.assigned))
        self.seek(batch.assigned)

    def _decode_into(self, flight: Flight) -> None:
        """Faults become dead letters, and so do documents whose id is stored or in flight."""
        records = flight.batch.records
        decoded, flight.dead_letters = self._decode(
            records, now=self._clock.now(), rejected_at=flight.now
        )
        flight.drills = [document for document in decoded if document.drill is not None]
        if flight.drills:
            # From here on event time, ids and alerts know nothing of them.
            places = {document.origin for document in flight.drills}
            records = [record for record in records if record.origin not in places]
            decoded = [document for document in decoded if document.drill is None]
        flight.appended_at = max((record.appended_at for record in records), default=None)
        flight.decoded = decoded
        if not decoded:
            return
        ids = frozenset([document.id for document in decoded])
        known = self._store.known(ids)
        if not known and len(ids) == len(decoded) and ids.isdisjoint(self._flights.ids):
            flight.documents, flight.ids = list(decoded), ids  # as good as always
            return
        for document in decoded:
            if document.id in known or document.id in self._flights.ids:
                detail = f"the id {document.id!r} has been read before; ids must be unique"
                flight.reject(document, Reason.DUPLICATE, detail)
            else:
                known.add(document.id)
                flight.documents.append(document)
        flight.ids = frozenset([document.id for document in flight.documents])
