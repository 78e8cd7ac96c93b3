"""The delivery loop's side of the same database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Engine, bindparam, delete, select, update

from monitor.store import rows, schema
from monitor.store.base import (
    GroupState,
    Notification,
    NotificationStatus,
    OutboxChange,
    OutboxRow,
)
from monitor.store.engine import writing
from monitor.store.faults import connected
from monitor.store.statements import Dialect

# What an attempt changes: the id and the body stay, or a receiver could not know a repetition.
_CHANGING = ("status", "attempts", "next_attempt_ms", "delivered_ms", "last_error")


class SqlOutbox:
    """``Outbox`` over the engine that the ``SqlStore`` of the same daemon uses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        dialect = Dialect(engine.dialect.name)
        groups = schema.notification_groups
        self._delete_row = delete(schema.outbox).where(schema.outbox.c.id == bindparam("row"))
        self._delete_group = delete(groups).where(
            groups.c.receiver == bindparam("of_receiver"), groups.c.group_key == bindparam("of_key")
        )
        self._put_group = dialect.upsert(groups)
        self._put_notification = dialect.upsert(schema.notifications, _CHANGING)
        waiting = schema.notifications
        self._wake = (
            update(waiting)
            .where(
                waiting.c.receiver == bindparam("of_receiver"),
                waiting.c.status == NotificationStatus.PENDING.value,
                waiting.c.next_attempt_ms > bindparam("at"),
            )
            .values(next_attempt_ms=bindparam("at"))
        )

    def rows(self, limit: int, skip: Collection[str] = ()) -> Sequence[OutboxRow]:
        """See ``Outbox.rows``."""
        oldest = select(schema.outbox).order_by(schema.outbox.c.id).limit(limit)
        if skip:
            oldest = oldest.where(schema.outbox.c.destination.not_in(sorted(skip)))
        with connected(self._engine, "reading the outbox") as connection:
            return [rows.outbox_row_of(row) for row in connection.execute(oldest)]

    def groups(self) -> Sequence[GroupState]:
        """See ``Outbox.groups``."""
        table = schema.notification_groups
        every = select(table).order_by(table.c.receiver, table.c.group_key)
        with connected(self._engine, "reading the notification groups") as connection:
            return [rows.group_of(row) for row in connection.execute(every)]

    def due(self, now: datetime, limit: int, skip: Collection[str] = ()) -> Sequence[Notification]:
        """See ``Outbox.due``."""
        table = schema.notifications.c
        waiting = (
            select(schema.notifications)
            .where(
                table.status == NotificationStatus.PENDING.value,
                table.next_attempt_ms <= rows.milliseconds(now),
            )
            .order_by(table.next_attempt_ms, table.created_ms, table.id)
            .limit(limit)
        )
        if skip:
            waiting = waiting.where(table.receiver.not_in(sorted(skip)))
        with connected(self._engine, "reading the notifications") as connection:
            return [rows.notification_of(row) for row in connection.execute(waiting)]

    def save(self, change: OutboxChange) -> None:
        """See ``Outbox.save``."""
        work = (
            (self._delete_row, [{"row": row} for row in change.delete_rows]),
            (
                self._delete_group,
                [
                    {"of_receiver": receiver, "of_key": key}
                    for receiver, key in change.delete_groups
                ],
            ),
            (self._put_group, [rows.group_values(group) for group in change.put_groups]),
            (
                self._put_notification,
                [rows.notification_values(n) for n in change.put_notifications],
            ),
            (
                self._wake,
                [
                    {"of_receiver": receiver, "at": rows.milliseconds(at)}
                    for receiver, at in change.wake.items()
                ],
            ),
        )
        if not any(values for _, values in work):
            return
        with connected(self._writer, "saving a step of the delivery") as connection:
            for statement, values in work:
                if values:
                    connection.execute(statement, values)

    def close(self) -> None:
        """Close the idle connections; whoever shares the engine reconnects by itself."""
        self._engine.dispose()
