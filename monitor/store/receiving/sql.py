"""What was handed in, in the database: SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, update

from monitor.errors import FencedError
from monitor.store import rows, schema
from monitor.store.engine import writing
from monitor.store.faults import connected, place
from monitor.store.publishing.base import Backlog, Message
from monitor.store.publishing.sql import SqlLane
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
from monitor.store.statements import Dialect

_TURN = "receiving"


class SqlReceiving:
    """`Receiving` over an engine of ``open_engine`` whose tables ``migrate`` has made."""

    def __init__(self, engine: Engine, lane: SqlLane) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._where = place(engine.url)
        self._lane = lane
        self._dialect = Dialect(engine.dialect.name)
        self._first_progress = self._dialect.insert_or_ignore(schema.progress)
        self._put_file = self._dialect.insert_or_ignore(schema.files)
        handed, stored = schema.handed_in.c, schema.documents.c
        self._handed = select(handed.id, handed.digest).where(
            self._dialect.any_of(handed.id, "ids")
        )
        self._stored = select(stored.id).where(self._dialect.any_of(stored.id, "ids"))

    def backlog(self) -> Backlog:
        """See `Receiving.backlog`."""
        table = schema.to_publish.c
        count = select(func.count(), func.min(table.created_ms)).where(
            table.lane == self._lane.name
        )
        with connected(self._engine, "counting the messages for Kafka") as connection:
            messages, oldest = connection.execute(count).one()
        return Backlog(messages, None if oldest is None else rows.moment(oldest))

    def accept(
        self, offers: Sequence[Offer], most: int, now: datetime, request: Request | None = None
    ) -> Outcome:
        """See `Receiving.accept`."""
        with self._turn("taking documents") as connection:
            if request is not None and (before := self._before(connection, request)):
                return Outcome(before=before)
            table = schema.to_publish.c
            waiting = connection.scalar(select(func.count()).where(table.lane == self._lane.name))
            taken = self._known(connection, offers)
            new = taken.count(Taken.NEW)
            if (waiting or 0) + new > most:
                return Outcome(waiting=waiting or 0, full=True)
            self._take(connection, offers, taken, now)
            if request is not None:
                answer = request.answer(taken)
                connection.execute(
                    schema.push_requests.insert(),
                    {
                        "caller": request.caller,
                        "key": request.key,
                        "digest": request.digest,
                        "status": answer.status,
                        "body": answer.body,
                        "received_ms": rows.milliseconds(now),
                    },
                )
            return Outcome(taken, (waiting or 0) + new)

    def file(self, digest: str) -> FileState | None:
        """See `Receiving.file`."""
        known = select(schema.files).where(schema.files.c.digest == digest)
        with connected(self._engine, "looking up a file") as connection:
            row = connection.execute(known).first()
        return None if row is None else _file_of(row)

    def begin(self, file: FileState, now: datetime) -> FileState:
        """See `Receiving.begin`."""
        known = select(schema.files).where(schema.files.c.digest == file.digest)
        failed = update(schema.files).where(
            schema.files.c.digest == file.digest, schema.files.c.status == FileStatus.FAILED
        )
        anew = failed.where(schema.files.c.accepted + schema.files.c.repeated == 0).values(
            rows=0, rejected=0
        )
        again = failed.values(status=FileStatus.READING.value, fault=None)
        values = {
            "digest": file.digest,
            "name": file.name,
            "size": file.size,
            "found_ms": rows.milliseconds(file.found_at),
            "updated_ms": rows.milliseconds(now),
            "status": file.status.value,
            "rows": file.rows,
            "accepted": file.accepted,
            "repeated": file.repeated,
            "rejected": file.rejected,
            "fault": file.fault,
        }
        with connected(self._writer, "noting a file") as connection:
            connection.execute(self._put_file, values)
            connection.execute(anew)
            connection.execute(again)
            return _file_of(connection.execute(known).one())

    def advance(
        self,
        file: FileState,
        rows: int,
        offers: Sequence[Offer],
        rejected: Sequence[Message],
        now: datetime,
    ) -> FileState:
        """See `Receiving.advance`."""
        with self._turn("taking rows of a file") as connection:
            taken = self._known(connection, offers)
            new = taken.count(Taken.NEW)
            further = replace(
                file,
                rows=rows,
                accepted=file.accepted + new,
                repeated=file.repeated + len(taken) - new,
                rejected=file.rejected + len(rejected),
            )
            self._move(connection, file, further, now)
            self._take(connection, offers, taken, now)
            self._lane.put(connection, rejected, now)
        return further

    def end(self, file: FileState, status: FileStatus, fault: str | None, now: datetime) -> None:
        """See `Receiving.end`."""
        with connected(self._writer, "noting the end of a file") as connection:
            self._move(connection, file, replace(file, status=status, fault=fault), now)

    def _before(self, connection: Connection, request: Request) -> tuple[str, Answer] | None:
        table = schema.push_requests.c
        row = connection.execute(
            select(table.digest, table.status, table.body).where(
                table.caller == request.caller, table.key == request.key
            )
        ).first()
        return None if row is None else (row.digest, Answer(row.status, row.body))

    def _known(self, connection: Connection, offers: Sequence[Offer]) -> list[Taken]:
        ids = {"ids": self._dialect.many({offer.message.id for offer in offers})}
        held: dict[str, str | None] = {}
        if offers:
            held.update((id_, None) for id_ in connection.scalars(self._stored, ids))
            held.update((id_, digest) for id_, digest in connection.execute(self._handed, ids))
        return judged(offers, held)

    def _take(
        self,
        connection: Connection,
        offers: Sequence[Offer],
        taken: Collection[Taken],
        now: datetime,
    ) -> None:
        new = [o for o, what in zip(offers, taken, strict=True) if what is Taken.NEW]
        if new:
            at = rows.milliseconds(now)
            connection.execute(
                schema.handed_in.insert(),
                [{"id": o.message.id, "digest": o.digest, "received_ms": at} for o in new],
            )
            self._lane.put(connection, [offer.message for offer in new], now)

    def _move(
        self, connection: Connection, file: FileState, further: FileState, now: datetime
    ) -> None:
        table = schema.files
        moved = connection.execute(
            update(table)
            .where(
                table.c.digest == file.digest,
                table.c.rows == file.rows,
                table.c.status == FileStatus.READING.value,
            )
            .values(
                rows=further.rows,
                accepted=further.accepted,
                repeated=further.repeated,
                rejected=further.rejected,
                status=further.status.value,
                fault=further.fault,
                updated_ms=rows.milliseconds(now),
            )
        )
        if moved.rowcount != 1:
            raise FencedError(
                f"{self._where}: {file.name} is read by another process too; run one for each "
                "database"
            )

    @contextmanager
    def _turn(self, doing: str) -> Iterator[Connection]:
        """One writer at a time, so that what was looked up holds until the end. SQLite sees to
        it by itself; PostgreSQL locks a row."""
        with connected(self._writer, doing) as connection:
            if self._dialect.name == "postgresql":
                connection.execute(self._first_progress, {"name": _TURN, "value": 0})
                row = schema.progress.c
                connection.execute(
                    select(row.value).where(row.name == _TURN).with_for_update()
                ).all()
            yield connection


def _file_of(row: Row[Any]) -> FileState:
    return FileState(
        row.digest,
        row.name,
        row.size,
        rows.moment(row.found_ms),
        FileStatus(row.status),
        row.rows,
        row.accepted,
        row.repeated,
        row.rejected,
        row.fault,
    )
