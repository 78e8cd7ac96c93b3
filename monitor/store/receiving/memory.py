"""What was handed in, in memory: for tests and simulations."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Literal

from monitor.errors import FencedError, StoreError
from monitor.store.publishing.base import Backlog, Message
from monitor.store.publishing.memory import MemoryLanes
from monitor.store.receiving.base import (
    Answer,
    FileState,
    FileStatus,
    Offer,
    Outcome,
    Request,
    Taken,
    judged,
)

Operation = Literal["accept", "begin", "advance", "end"]


class MemoryReceiving:
    """`Receiving` over `MemoryLanes`. Tests may read every field; ``stored`` are the ids of
    documents that the daemon has scored."""

    def __init__(self, lanes: MemoryLanes, lane: str, stored: Collection[str] = ()) -> None:
        self._lanes = lanes
        self._name = lane
        self.stored = stored
        self.handed_in: dict[str, str] = {}
        self.requests: dict[tuple[str, str], tuple[str, Answer]] = {}
        self.files: dict[str, FileState] = {}
        self._failures: defaultdict[Operation, deque[tuple[StoreError | None, bool]]] = defaultdict(
            deque
        )

    def fail(self, operation: Operation, *script: StoreError | None, written: bool = False) -> None:
        """Script the next calls of an operation: raise this error, or (None) work as usual. With
        ``written`` it comes after the change, as when the connection is lost in the commit."""
        self._failures[operation].extend((error, written) for error in script)

    def backlog(self) -> Backlog:
        """See `Receiving.backlog`."""
        with self._lanes.lock:
            times = [at for _, at in self._lanes.lanes[self._name].rows.values()]
            return Backlog(len(times), min(times, default=None))

    def accept(
        self, offers: Sequence[Offer], most: int, now: datetime, request: Request | None = None
    ) -> Outcome:
        """See `Receiving.accept`."""
        with self._transaction("accept"):
            if request is not None:
                before = self.requests.get((request.caller, request.key))
                if before is not None:
                    return Outcome(before=before)
            waiting = len(self._lanes.lanes[self._name].rows)
            taken = self._known(offers)
            new = taken.count(Taken.NEW)
            if waiting + new > most:
                return Outcome(waiting=waiting, full=True)
            if request is not None:
                answer = request.answer(taken)
                self.requests[request.caller, request.key] = (request.digest, answer)
            self._take(offers, taken, now)
            return Outcome(taken, waiting + new)

    def file(self, digest: str) -> FileState | None:
        """See `Receiving.file`."""
        with self._lanes.lock:
            return self.files.get(digest)

    def begin(self, file: FileState, now: datetime) -> FileState:  # noqa: ARG002  kept by SQL
        """See `Receiving.begin`."""
        with self._transaction("begin"):
            known = self.files.setdefault(file.digest, file)
            if known.status is FileStatus.FAILED:
                known = replace(known, status=FileStatus.READING, fault=None)
                if not known.accepted + known.repeated:
                    known = replace(known, rows=0, rejected=0)
                self.files[file.digest] = known
            return known

    def advance(
        self,
        file: FileState,
        rows: int,
        offers: Sequence[Offer],
        rejected: Sequence[Message],
        now: datetime,
    ) -> FileState:
        """See `Receiving.advance`."""
        with self._transaction("advance"):
            taken = self._known(offers)
            new = taken.count(Taken.NEW)
            further = replace(
                file,
                rows=rows,
                accepted=file.accepted + new,
                repeated=file.repeated + len(taken) - new,
                rejected=file.rejected + len(rejected),
            )
            self._move(file, further)
            self._take(offers, taken, now)
            self._lanes.append(self._name, rejected, now)
            return further

    def end(self, file: FileState, status: FileStatus, fault: str | None, now: datetime) -> None:  # noqa: ARG002
        """See `Receiving.end`."""
        with self._transaction("end"):
            self._move(file, replace(file, status=status, fault=fault))

    def _known(self, offers: Sequence[Offer]) -> list[Taken]:
        held: dict[str, str | None] = dict.fromkeys(self.stored)
        held.update(self.handed_in)
        return judged(offers, held)

    def _take(self, offers: Sequence[Offer], taken: Sequence[Taken], now: datetime) -> None:
        new = [o for o, what in zip(offers, taken, strict=True) if what is Taken.NEW]
        self.handed_in.update((offer.message.id, offer.digest) for offer in new)
        self._lanes.append(self._name, [offer.message for offer in new], now)

    def _move(self, file: FileState, further: FileState) -> None:
        held = self.files.get(file.digest)
        if held is None or held.rows != file.rows or held.status is not FileStatus.READING:
            raise FencedError(f"{file.name} is read by another process too")
        self.files[file.digest] = further

    @contextmanager
    def _transaction(self, operation: Operation) -> Iterator[None]:
        with self._lanes.lock:
            script = self._failures[operation]
            error, written = script.popleft() if script else (None, False)
            if error is not None and not written:
                raise error
            yield
            if error is not None:
                raise error
