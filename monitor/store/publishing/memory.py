"""The waiting messages in memory: for tests and simulations."""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from monitor.errors import LeaseError
from monitor.events import Partition
from monitor.store.publishing.base import PAGE_BYTES, Backlog, Doubt, Message, Waiting


@dataclass(slots=True)
class Lane:
    """What one lane holds. Tests may read every field."""

    identity: str = field(default_factory=lambda: secrets.token_hex(8))
    epoch: int = 0
    rows: dict[int, tuple[Message, datetime]] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    ends: dict[Partition, int] = field(default_factory=dict)


class MemoryLanes:
    """What several `MemoryPublishing` share: one database."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.lanes: defaultdict[str, Lane] = defaultdict(Lane)
        self._serial = 0

    def append(self, lane: str, messages: Sequence[Message], now: datetime) -> None:
        """Add messages; within the lock only."""
        rows = self.lanes[lane].rows
        held = {(message.topic, message.id) for message, _ in rows.values()}
        for message in messages:
            if (message.topic, message.id) not in held:
                held.add((message.topic, message.id))
                self._serial += 1
                rows[self._serial] = (message, now)


class MemoryPublishing:
    """`Publishing` over `MemoryLanes`; several of one lane are several senders."""

    def __init__(self, lanes: MemoryLanes, lane: str) -> None:
        self._lanes = lanes
        self._name = lane
        self._lease: int | None = None

    def open(self) -> str:
        """See `Publishing.open`."""
        with self._lanes.lock:
            lane = self._lanes.lanes[self._name]
            lane.epoch += 1
            self._lease = lane.epoch
            return lane.identity

    def add(self, messages: Sequence[Message], now: datetime) -> None:
        """See `Publishing.add`."""
        with self._lanes.lock:
            self._lanes.append(self._name, messages, now)

    def waiting(self, limit: int) -> Sequence[Waiting]:
        """See `Publishing.waiting`."""
        with self._lanes.lock:
            page: list[Waiting] = []
            size = 0
            for row, (message, _) in sorted(self._lanes.lanes[self._name].rows.items())[:limit]:
                size += len(message.value)
                if page and size > PAGE_BYTES:
                    break
                page.append(Waiting(row, message))
            return page

    def doubt(self) -> Doubt | None:
        """See `Publishing.doubt`."""
        with self._lanes.lock:
            lane = self._held()
            if not lane.doubtful:
                return None
            rows = (Waiting(row, lane.rows[row][0]) for row in sorted(lane.doubtful))
            return Doubt(tuple(rows), dict(lane.ends))

    def note(self, rows: Collection[int], ends: Mapping[Partition, int]) -> None:
        """See `Publishing.note`."""
        with self._lanes.lock:
            lane = self._held()
            lane.doubtful, lane.ends = set(rows) & lane.rows.keys(), dict(ends)

    def settle(self, sent: Collection[int]) -> None:
        """See `Publishing.settle`."""
        with self._lanes.lock:
            lane = self._held()
            for row in sent:
                lane.rows.pop(row, None)
            lane.doubtful, lane.ends = set(), {}

    def backlog(self) -> Backlog:
        """See `Publishing.backlog`."""
        with self._lanes.lock:
            times = [at for _, at in self._lanes.lanes[self._name].rows.values()]
            return Backlog(len(times), min(times, default=None))

    def close(self) -> None:
        """Nothing to close."""

    def check(self) -> None:
        """Raises ``LeaseError`` where another sender has taken the lane; within the lock only."""
        self._held()

    def _held(self) -> Lane:
        if self._lease is None:
            raise RuntimeError("open() must come first: it takes the lease")
        lane = self._lanes.lanes[self._name]
        if lane.epoch != self._lease:
            raise LeaseError(f"another process sends the lane {self._name} of this database")
        return lane
