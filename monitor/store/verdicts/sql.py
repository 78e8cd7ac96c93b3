"""The verdicts in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, func, insert, select

from monitor.store import rows, schema
from monitor.store.engine import writing
from monitor.store.faults import connected
from monitor.store.verdicts.base import Fired, Judgement, Verdict

_DRILL = "drill"  # the detector whose alerts nobody has to judge


class SqlVerdicts:
    """`Verdicts` over the engine of the daemon, or of the dashboard."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def give(self, verdict: Verdict) -> bool:
        """See `Verdicts.give`."""
        alerts = schema.alerts.c
        known = select(alerts.id).where(alerts.id == verdict.alert_id, alerts.detector != _DRILL)
        values = {
            "alert_id": verdict.alert_id,
            "verdict": verdict.judgement.value,
            "who": verdict.who,
            "note": verdict.note,
            "at_ms": rows.milliseconds(verdict.at),
        }
        with connected(self._writer, "noting a verdict") as connection:
            if connection.execute(known).first() is None:
                return False
            connection.execute(insert(schema.verdicts).inline(), values)
        return True

    def summary(self, alert_id: str) -> str | None:
        """See `Verdicts.summary`."""
        alerts = schema.alerts.c
        known = select(alerts.summary).where(alerts.id == alert_id, alerts.detector != _DRILL)
        with connected(self._engine, "reading an alert") as connection:
            return connection.scalar(known)

    def of(self, alert_id: str) -> list[Verdict] | None:
        """See `Verdicts.of`."""
        table, alerts = schema.verdicts.c, schema.alerts.c
        given = select(schema.verdicts).where(table.alert_id == alert_id).order_by(table.id.desc())
        with connected(self._engine, "reading the verdicts") as connection:
            found = [_verdict(row) for row in connection.execute(given)]
            known = select(alerts.id).where(alerts.id == alert_id)
            if not found and connection.execute(known).first() is None:
                return None
        return found

    def last(self, alert_ids: Sequence[str]) -> dict[str, Verdict]:
        """See `Verdicts.last`."""
        table = schema.verdicts.c
        newest = _newest().where(table.alert_id.in_(sorted(alert_ids)))
        query = select(schema.verdicts).where(table.id.in_(newest))
        with connected(self._engine, "reading the last verdicts") as connection:
            return {row.alert_id: _verdict(row) for row in connection.execute(query)}

    def fired(self, since: datetime | None = None) -> list[Fired]:
        """See `Verdicts.fired`."""
        alerts, table = schema.alerts.c, schema.verdicts
        last = select(table.c.alert_id, table.c.verdict).where(table.c.id.in_(_newest())).subquery()
        query = (
            select(
                alerts.id,
                alerts.detector,
                alerts.key,
                alerts.fired_ms,
                alerts.evalue,
                alerts.threshold,
                last.c.verdict,
            )
            .select_from(schema.alerts.outerjoin(last, last.c.alert_id == alerts.id))
            .where(alerts.fired_ms.is_not(None), alerts.detector != _DRILL)
            .order_by(alerts.fired_ms, alerts.id)
        )
        if since is not None:
            query = query.where(alerts.fired_ms >= rows.milliseconds(since))
        with connected(self._engine, "reading what fired") as connection:
            return [
                Fired(
                    row.id,
                    row.detector,
                    row.key,
                    rows.moment(row.fired_ms),
                    row.evalue,
                    row.threshold,
                    None if row.verdict is None else Judgement(row.verdict),
                )
                for row in connection.execute(query)
            ]


def _newest() -> Any:
    """The ids of the last verdict on each alert."""
    table = schema.verdicts.c
    return select(func.max(table.id)).group_by(table.alert_id)


def _verdict(row: Row[Any]) -> Verdict:
    return Verdict(row.alert_id, Judgement(row.verdict), row.who, row.note, rows.moment(row.at_ms))
