"""The waiting messages in the database, SQLite or PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import BindParameter, Connection, Engine, bindparam, delete, func, select, update

from monitor.errors import LeaseError
from monitor.events import Partition
from monitor.store import rows, schema
from monitor.store.engine import writing
from monitor.store.faults import connected, place
from monitor.store.publishing.base import PAGE_BYTES, Backlog, Doubt, Message, Waiting
from monitor.store.statements import Dialect


class SqlLane:
    """The lease and the new rows of one lane, for transactions that write more than those."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._where = place(engine.url)
        dialect = Dialect(engine.dialect.name)
        self._put_progress = dialect.upsert(schema.progress)
        self._first_progress = dialect.insert_or_ignore(schema.progress)
        table = schema.to_publish
        unique = (table.c.lane, table.c.topic, table.c.message_id)
        self._put_message = dialect.insert_or_ignore(table, unique)
        self._lease: int | None = None

    def take(self, connection: Connection) -> tuple[int, int]:
        """A new lease and the lane's identity; `keep` the lease once they are committed."""
        names = (f"lane:{self.name}", f"lane:{self.name}:identity")
        first = [{"name": names[0], "value": 0}, {"name": names[1], "value": secrets.randbits(63)}]
        connection.execute(self._first_progress, first)
        lease = self._epoch(connection) + 1
        connection.execute(self._put_progress, {"name": names[0], "value": lease})
        progress = schema.progress.c
        identity = connection.scalar(select(progress.value).where(progress.name == names[1]))
        return lease, int(identity or 0)

    def keep(self, lease: int) -> None:
        """The transaction that took this lease is committed."""
        self._lease = lease

    def check(self, connection: Connection) -> None:
        """Raises ``LeaseError`` where another process has taken the lane; locks the lease."""
        if self._lease is None:
            raise RuntimeError("open() must come first: it takes the lease")
        if self._epoch(connection) != self._lease:
            raise LeaseError(
                f"{self._where}: another process has taken over the {self.name} of this database; "
                "run one for each database, and restart this one only after the other has ended"
            )

    def put(self, connection: Connection, messages: Sequence[Message], now: datetime) -> None:
        """Add messages in the caller's transaction; see `Publishing.add`."""
        if messages:
            values = {"lane": self.name, "created_ms": rows.milliseconds(now), "doubtful": 0}
            connection.execute(
                self._put_message,
                [
                    {**values, "topic": m.topic, "message_id": m.id, "value": m.value}
                    for m in messages
                ],
            )

    def _epoch(self, connection: Connection) -> int:
        progress = schema.progress.c
        held: int | None = connection.scalar(
            select(progress.value).where(progress.name == f"lane:{self.name}").with_for_update()
        )
        return held or 0


class SqlPublishing:
    """`Publishing` over an engine of ``open_engine`` whose tables ``migrate`` has made."""

    def __init__(self, engine: Engine, lane: SqlLane) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._lane = lane
        table = schema.to_publish.c
        self._mine = table.lane == lane.name
        self._columns = (table.id, table.topic, table.message_id, table.value)
        row: BindParameter[int] = bindparam("row")
        self._mark = update(schema.to_publish).where(table.id == row).values(doubtful=1)
        self._delete = delete(schema.to_publish).where(table.id == row)
        self._unmark = (
            update(schema.to_publish).where(self._mine, table.doubtful == 1).values(doubtful=0)
        )
        self._forget = delete(schema.publish_ends).where(schema.publish_ends.c.lane == lane.name)

    def open(self) -> str:
        """See `Publishing.open`."""
        with connected(self._writer, "taking the lane of the sender") as connection:
            lease, identity = self._lane.take(connection)
        self._lane.keep(lease)
        return f"{identity:016x}"

    def add(self, messages: Sequence[Message], now: datetime) -> None:
        """See `Publishing.add`."""
        if messages:
            with connected(self._writer, "adding messages for Kafka") as connection:
                self._lane.put(connection, messages, now)

    def waiting(self, limit: int) -> Sequence[Waiting]:
        """See `Publishing.waiting`."""
        table = schema.to_publish.c
        oldest = select(*self._columns).where(self._mine).order_by(table.id).limit(limit)
        page: list[Waiting] = []
        size = 0
        with (
            connected(self._engine, "reading the messages for Kafka") as connection,
            connection.execute(oldest) as found,
        ):
            for row, topic, message_id, value in found:
                size += len(value)
                if page and size > PAGE_BYTES:
                    break
                page.append(Waiting(row, Message(topic, message_id, value)))
        return page

    def doubt(self) -> Doubt | None:
        """See `Publishing.doubt`."""
        table, ends = schema.to_publish.c, schema.publish_ends.c
        doubtful = select(*self._columns).where(self._mine, table.doubtful == 1).order_by(table.id)
        noted = select(ends.topic, ends.partition, ends.end).where(ends.lane == self._lane.name)
        with self._held("reading the attempt in doubt") as connection:
            waiting = tuple(
                Waiting(row, Message(topic, message_id, value))
                for row, topic, message_id, value in connection.execute(doubtful)
            )
            if not waiting:
                return None
            found = connection.execute(noted)
            return Doubt(waiting, {Partition(t, number): end for t, number, end in found})

    def note(self, rows: Collection[int], ends: Mapping[Partition, int]) -> None:
        """See `Publishing.note`."""
        with self._held("noting an attempt") as connection:
            connection.execute(self._unmark)
            connection.execute(self._forget)
            if rows:
                connection.execute(self._mark, [{"row": row} for row in rows])
            if ends:
                connection.execute(
                    schema.publish_ends.insert(),
                    [
                        {"lane": self._lane.name, "topic": p.topic, "partition": p.number, "end": e}
                        for p, e in ends.items()
                    ],
                )

    def settle(self, sent: Collection[int]) -> None:
        """See `Publishing.settle`."""
        with self._held("settling an attempt") as connection:
            if sent:
                connection.execute(self._delete, [{"row": row} for row in sent])
            connection.execute(self._unmark)
            connection.execute(self._forget)

    def backlog(self) -> Backlog:
        """See `Publishing.backlog`."""
        table = schema.to_publish.c
        count = select(func.count(), func.min(table.created_ms)).where(self._mine)
        with connected(self._engine, "counting the messages for Kafka") as connection:
            messages, oldest = connection.execute(count).one()
        return Backlog(messages, None if oldest is None else rows.moment(oldest))

    def close(self) -> None:
        """Close the idle connections; whoever shares the engine reconnects by itself."""
        self._engine.dispose()

    @contextmanager
    def _held(self, doing: str) -> Iterator[Connection]:
        with connected(self._writer, doing) as connection:
            self._lane.check(connection)
            yield connection
