"""The drills in SQLite or PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    delete,
    exists,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from monitor.events import Alert, AlertStatus
from monitor.keys import DRILL_SCHEDULE, drill_key
from monitor.store import alert_rows, rows, schema
from monitor.store.base import NotificationStatus
from monitor.store.drills.base import Drill, DrillOutcome, Sent, Told, ended
from monitor.store.drills.rows import drill_of, drill_values
from monitor.store.engine import writing
from monitor.store.faults import connected
from monitor.store.statements import Dialect

_RUNNING = DrillOutcome.RUNNING.value
_DETECTOR = "drill"


class SqlDrills:
    """`Drills` over the engine of the daemon, or of a command beside it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._put_alert = Dialect(engine.dialect.name).upsert(schema.alerts)

    def begin(self, drill: Drill) -> None:
        """See `Drills.begin`."""
        with connected(self._writer, "beginning a drill") as connection:
            try:
                connection.execute(insert(schema.drills), drill_values(drill))
            except IntegrityError as error:
                raise ValueError(f"there was a drill {drill.id} before") from error

    def find(self, identifier: str) -> Drill | None:
        """See `Drills.find`."""
        query = select(schema.drills).where(schema.drills.c.id == identifier)
        with connected(self._engine, "reading a drill") as connection:
            row = connection.execute(query).first()
        return None if row is None else drill_of(row)

    def running(self) -> list[Drill]:
        """See `Drills.running`."""
        table = schema.drills.c
        query = (
            select(schema.drills)
            .where(table.outcome == _RUNNING)
            .order_by(table.started_ms, table.id)
        )
        with connected(self._engine, "reading the drills") as connection:
            return [drill_of(row) for row in connection.execute(query)]

    def latest(
        self, *, scheduled: bool | None = None, outcome: DrillOutcome | None = None
    ) -> Drill | None:
        """See `Drills.latest`."""
        table = schema.drills.c
        query = select(schema.drills).order_by(table.started_ms.desc(), table.id).limit(1)
        if scheduled is not None:
            query = query.where(table.scheduled == scheduled)
        if outcome is not None:
            query = query.where(table.outcome == outcome.value)
        with connected(self._engine, "reading the last drill") as connection:
            row = connection.execute(query).first()
        return None if row is None else drill_of(row)

    def sent(self, identifier: str) -> list[Sent]:
        """See `Drills.sent`."""
        table = schema.notifications.c
        query = (
            select(schema.notifications)
            .where(table.group_key == drill_key(identifier))
            .order_by(table.created_ms, table.id)
        )
        with connected(self._engine, "reading what was sent of a drill") as connection:
            return [
                Sent(
                    row.receiver,
                    NotificationStatus(row.status),
                    rows.moment(row.created_ms),
                    rows.optional_moment(row.delivered_ms),
                    row.attempts,
                    row.last_error,
                )
                for row in connection.execute(query)
            ]

    def end(
        self, identifier: str, outcome: DrillOutcome, reason: str, at: datetime, told: Told
    ) -> bool:
        """See `Drills.end`."""
        table = schema.drills.c
        statement = (
            update(schema.drills)
            .where(table.id == identifier, table.outcome == _RUNNING)
            .values(
                outcome=outcome.value,
                reason=reason,
                ended_ms=rows.milliseconds(at),
                evidence="[]",
            )
        )
        with connected(self._writer, "ending a drill") as connection:
            if not connection.execute(statement).rowcount:
                return False
            self._sweep(connection, at, told)
        return True

    def sweep(self, at: datetime, told: Told) -> int:
        """See `Drills.sweep`."""
        with connected(self._engine, "looking for alerts of drills") as connection:
            if connection.execute(_left()).first() is None:
                return 0
        with connected(self._writer, "clearing up behind drills") as connection:
            return self._sweep(connection, at, told)

    def alarm(self) -> Alert | None:
        """See `Drills.alarm`."""
        table = schema.alerts.c
        query = select(schema.alerts).where(
            table.status == AlertStatus.FIRING.value, table.key == DRILL_SCHEDULE
        )
        with connected(self._engine, "reading the alert of the schedule") as connection:
            row = connection.execute(query).first()
        return None if row is None else alert_rows.alert_of(row)

    def put_alarm(self, alert: Alert, at: datetime, told: Told) -> None:
        """See `Drills.put_alarm`."""
        with connected(self._writer, "writing the alert of the schedule") as connection:
            connection.execute(self._put_alert, alert_rows.alert_values(alert))
            self._tell(connection, [alert], at, told)

    def _sweep(self, connection: Connection, at: datetime, told: Told) -> int:
        left = [alert_rows.alert_of(row) for row in connection.execute(_left())]
        if left:
            table = schema.alerts
            connection.execute(delete(table).where(table.c.id.in_([alert.id for alert in left])))
            self._tell(connection, [ended(alert, at) for alert in left], at, told)
        return len(left)

    def _tell(self, connection: Connection, alerts: list[Alert], at: datetime, told: Told) -> None:
        values = [
            {
                "destination": row.destination,
                "payload": row.payload,
                "created_ms": rows.milliseconds(at),
            }
            for alert in alerts
            for row in told(alert)
        ]
        if values:
            connection.execute(insert(schema.outbox).inline(), values)


def _left() -> Select[Any]:
    """The alerts of drills that do not run any more."""
    alerts, drills = schema.alerts.c, schema.drills
    running = exists().where(
        drills.c.outcome == _RUNNING, alerts.key == literal(drill_key("")) + drills.c.id
    )
    return select(schema.alerts).where(
        alerts.status == AlertStatus.FIRING.value,
        alerts.detector == _DETECTOR,
        alerts.key != DRILL_SCHEDULE,
        ~running,
    )
