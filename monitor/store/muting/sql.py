"""Silences and acknowledgements in the database of the daemon."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Engine, delete, select, update

from monitor.events import AlertStatus
from monitor.matchers import Matcher
from monitor.store import schema
from monitor.store.engine import writing
from monitor.store.faults import connected
from monitor.store.muting.base import Acknowledgement, Muted, Silence
from monitor.store.rows import milliseconds, moment
from monitor.store.statements import Dialect


class SqlMuting:
    """``Muting`` over an engine that others use as well."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        dialect = Dialect(engine.dialect.name)
        self._put_silence = dialect.upsert(schema.silences)
        self._put_taken = dialect.upsert(schema.acknowledgements)

    def muted(self, now: datetime) -> Muted:
        """See ``Muting.muted``."""
        at = milliseconds(now)
        s, a = schema.silences, schema.acknowledgements
        silences = select(s).where(s.c.ends_ms > at).order_by(s.c.created_ms, s.c.id)
        taken = select(a).where(a.c.until_ms > at).order_by(a.c.created_ms, a.c.alert_id)
        with connected(self._engine, "reading the silences") as connection:
            return Muted(
                tuple(
                    Silence(
                        row.id,
                        tuple(Matcher(*parts) for parts in json.loads(row.matchers)),
                        moment(row.starts_ms),
                        moment(row.ends_ms),
                        row.created_by,
                        row.comment,
                        moment(row.created_ms),
                    )
                    for row in connection.execute(silences)
                ),
                tuple(
                    Acknowledgement(
                        row.alert_id,
                        row.owner,
                        row.note,
                        moment(row.until_ms),
                        moment(row.created_ms),
                    )
                    for row in connection.execute(taken)
                ),
            )

    def silence(self, silence: Silence) -> None:
        """See ``Muting.silence``."""
        matchers = [[m.name, m.operator, m.value] for m in silence.matchers]
        values = {
            "id": silence.id,
            "matchers": json.dumps(matchers),
            "starts_ms": milliseconds(silence.starts),
            "ends_ms": milliseconds(silence.ends),
            "created_by": silence.created_by,
            "comment": silence.comment,
            "created_ms": milliseconds(silence.created_at),
        }
        with connected(self._writer, "writing a silence") as connection:
            connection.execute(self._put_silence, [values])

    def expire(self, silence_id: str, now: datetime) -> bool:
        """See ``Muting.expire``."""
        table, at = schema.silences, milliseconds(now)
        ending = (
            update(table).where(table.c.id == silence_id, table.c.ends_ms > at).values(ends_ms=at)
        )
        with connected(self._writer, "ending a silence") as connection:
            return connection.execute(ending).rowcount > 0

    def acknowledge(self, taken: Acknowledgement) -> None:
        """See ``Muting.acknowledge``."""
        values = {
            "alert_id": taken.alert_id,
            "owner": taken.owner,
            "note": taken.note,
            "until_ms": milliseconds(taken.until),
            "created_ms": milliseconds(taken.created_at),
        }
        with connected(self._writer, "writing an acknowledgement") as connection:
            connection.execute(self._put_taken, [values])

    def withdraw(self, alert_id: str) -> bool:
        """See ``Muting.withdraw``."""
        table = schema.acknowledgements
        gone = delete(table).where(table.c.alert_id == alert_id)
        with connected(self._writer, "withdrawing an acknowledgement") as connection:
            return connection.execute(gone).rowcount > 0

    def firing(self, alert_id: str) -> bool:
        """See ``Muting.firing``."""
        table = schema.alerts.c
        found = select(table.id).where(
            table.id == alert_id, table.status != AlertStatus.RESOLVED.value
        )
        with connected(self._engine, "looking for an alert") as connection:
            return connection.execute(found).first() is not None
