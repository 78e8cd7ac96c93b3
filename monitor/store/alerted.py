"""Reading alerts: for the dashboard and the API. Raises ``StoreError``."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from monitor.events import Alert, AlertStatus
from monitor.store import alert_rows, schema
from monitor.store.faults import connected


class Alerted:
    """Alerts with their evidence. Any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def latest(self, limit: int, status: AlertStatus | None = None) -> list[Alert]:
        """The last to fire (else to start) first."""
        table = schema.alerts.c
        query = select(schema.alerts)
        if status is not None:
            query = query.where(table.status == status.value)
        fired = func.coalesce(table.fired_ms, table.started_ms)
        query = query.order_by(fired.desc(), table.updated_ms.desc(), table.id).limit(limit)
        with connected(self._engine, "reading the alerts") as connection:
            return [alert_rows.alert_of(row) for row in connection.execute(query)]

    def one(self, identifier: str) -> Alert | None:
        """By its id; None: there is none."""
        query = select(schema.alerts).where(schema.alerts.c.id == identifier)
        with connected(self._engine, "reading an alert") as connection:
            row = connection.execute(query).first()
        return None if row is None else alert_rows.alert_of(row)
