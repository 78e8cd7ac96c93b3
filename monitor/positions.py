"""Where the partitions stand: their offsets in the last transaction, and how far event time is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from monitor.aggregate.watermark import Watermarks
from monitor.events import Partition
from monitor.inflight import Flight
from monitor.source.base import Batch
from monitor.store.base import Move, Position


class Positions:
    """Owns the watermarks. They follow the partitions as of the batch that is counted, not as of
    the last poll."""

    def __init__(self, watermarks: Watermarks) -> None:
        self._watermarks = watermarks
        self._stored: dict[Partition, Position] = {}
        self._followed: frozenset[Partition] = frozenset()

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """Where reading goes on after the last transaction."""
        return {partition: position.next_offset for partition, position in self._stored.items()}

    def restore(
        self,
        stored: Mapping[Partition, Position],
        assigned: frozenset[Partition],
        monotonic: float,
    ) -> None:
        """Go on from what the store holds, with the partitions that are assigned now."""
        self._stored = dict(stored)
        self._watermarks.assign({}, monotonic)
        self._follow(assigned, monotonic)

    def observe(self, flight: Flight) -> None:
        """Event time moves here and not at the poll: until the verdicts of what was read before are
        counted, no bucket may close over them and no partition fall idle."""
        batch = flight.batch
        if batch.assigned or batch.revoked:
            self._follow((self._followed - batch.revoked) | batch.assigned, flight.polled_at)
        self._watermarks.observe_all(flight.decoded, flight.polled_at)
        self._watermarks.reached_end(
            {
                p
                for p, offset in batch.positions.items()
                if p not in batch.assigned and offset >= batch.ends.get(p, offset + 1)
            }
        )

    def watermark(self, monotonic: float) -> float | None:
        """How far the stream is complete, in seconds since the epoch; None: not known yet."""
        return self._watermarks.current(monotonic)

    def moves(self, batch: Batch) -> list[Move]:
        """From the last transaction to the end of this batch."""
        moves = []
        for partition, offset in batch.positions.items():
            stored = self._stored.get(partition)
            if partition in batch.assigned or (stored and stored.next_offset == offset):
                continue  # a partition just assigned has not been sought to its place yet
            newest = self._watermarks.max_event_time(partition)
            position = Position(
                offset, None if newest is None else datetime.fromtimestamp(newest, UTC)
            )
            moves.append(Move(partition, stored.next_offset if stored else None, position))
        return moves

    def landed(self, moves: Iterable[Move]) -> None:
        """These moves are in the database."""
        for move in moves:
            self._stored[move.partition] = move.position

    def _follow(self, partitions: frozenset[Partition], monotonic: float) -> None:
        self._followed = partitions
        self._watermarks.assign(
            {
                p: position.max_event_time.timestamp()
                if (position := self._stored.get(p)) and position.max_event_time
                else None
                for p in partitions
            },
            monotonic,
        )
