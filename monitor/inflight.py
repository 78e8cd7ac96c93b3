"""The batches between the poll that read them and the transaction that keeps them, in their order.

What a poll told beyond its records (positions, ends, assigned partitions) travels with it: it
counts once everything that was read before has been counted, as if scoring took no time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from monitor.events import Alert, DeadLetter, Document, Origin, Partition, Reason, Scored
from monitor.score.base import Scorer, Ticket
from monitor.source.base import Batch
from monitor.store.base import NO_CHANGES
from monitor.story.base import Changes


@dataclass(slots=True, eq=False)
class Flight:
    """One poll's batch on its way through the stages."""

    batch: Batch
    polled_at: float
    """Monotonic seconds: event time stands still for what is in flight."""
    now: datetime
    """Wall time of the poll …"""
    event_now: datetime
    """… and the same moment on the daemon's clock of event times."""
    appended_at: datetime | None = None
    """The newest time of publication among its records, those of drills apart."""
    decoded: Sequence[Document] = ()
    """Those whose event times count, duplicates among them."""
    documents: list[Document] = field(default_factory=list)
    """Those that are to be judged …"""
    ids: frozenset[str] = frozenset()
    """… with their ids …"""
    drills: list[Document] = field(default_factory=list)
    """… and those of drills, which are judged beside them."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    scorer: Scorer | None = None
    """Which one judges the documents, once it has taken them."""
    ticket: Ticket | None = None
    submitted_at: float = 0.0
    scored: list[Scored] = field(default_factory=list)
    drilled: list[Scored] = field(default_factory=list)
    changes: Changes = NO_CHANGES
    """What documents of earlier batches have turned out to be."""
    alerts: list[Alert] = field(default_factory=list)
    _values: dict[Origin, bytes | None] = field(default_factory=dict)

    @property
    def judged(self) -> list[Document]:
        """All that the scorer gets."""
        return [*self.documents, *self.drills] if self.drills else self.documents

    @property
    def submitted(self) -> bool:
        """Whether the scorer has its documents, if there are any."""
        return self.ticket is not None or not self.judged

    @property
    def done(self) -> bool:
        """Whether its verdicts are there."""
        return not self.judged or (self.ticket is not None and self.ticket.done)

    @property
    def bare(self) -> bool:
        """Whether it tells nothing that a later poll does not tell as well."""
        batch = self.batch
        return not (batch.records or batch.gaps or batch.assigned or batch.revoked)

    def reject(self, document: Document, reason: Reason, detail: str) -> None:
        """Make a dead letter, with its original bytes, of a document that was valid so far."""
        if not self._values:
            self._values = {record.origin: record.value for record in self.batch.records}
        value = self._values[document.origin]
        self.dead_letters.append(DeadLetter(document.origin, reason, detail, value, self.now))


class InFlight:
    """A queue of flights, and what the next poll must know of them."""

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque()
        self._next: dict[Partition, int] = {}
        self.ids: set[str] = set()
        """Of the documents that are read and not yet stored."""

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._flights)

    @property
    def head(self) -> Flight | None:
        """The oldest."""
        return self._flights[0] if self._flights else None

    @property
    def unsubmitted(self) -> Flight | None:
        """The one whose documents no scorer has taken yet: the newest that has any."""
        return next((f for f in reversed(self._flights) if not f.submitted), None)

    def next_offset(self, partition: Partition) -> int | None:
        """Where reading goes on after everything in flight; None: nothing was ever read."""
        return self._next.get(partition)

    def add(self, flight: Flight) -> None:
        """The newest poll. Polls that brought nothing do not queue up behind one another."""
        batch = flight.batch
        self._next.update((p, o) for p, o in batch.positions.items() if p not in batch.assigned)
        if self._flights and flight.bare and self._flights[-1].bare:
            self._flights.pop()
        self._flights.append(flight)
        self.ids.update(flight.ids)

    def landed(self) -> None:
        """The oldest is in the database."""
        flight = self._flights.popleft()
        self.ids.difference_update(flight.ids)

    def restart(self, stored: Mapping[Partition, int]) -> None:
        """Forget everything; reading goes on at these offsets."""
        self._flights.clear()
        self.ids.clear()
        self._next = dict(stored)
