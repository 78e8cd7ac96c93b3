"""Deletes what is older than its keep, in chunks, so that no transaction holds the writer up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, Table, delete, select, tuple_

from monitor.store import schema
from monitor.store.engine import writing
from monitor.store.faults import connected
from monitor.store.rows import milliseconds

CHUNK = 1_000
REQUESTS = timedelta(days=1)
"""How long a request with an Idempotency-Key is remembered."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each kind of row is kept."""

    texts: timedelta
    buckets: timedelta
    dead_letters: timedelta


def prune(engine: Engine, event_now: datetime, wall: datetime, keep: Keep) -> dict[str, int]:
    """Delete the rows that are too old; returns how many, by table.

    Documents, buckets and alerts age by event time, dead letters and ended notifications (kept as
    long, as are the ids of documents that were handed in) by the wall clock. Alerts are kept as
    long as buckets, and each receipt as long as its alert, which outlives the documents. Raises
    ``StoreError``; the chunks deleted before it stay deleted.
    """
    texts, buckets = milliseconds(event_now - keep.texts), milliseconds(event_now - keep.buckets)
    letters = milliseconds(wall - keep.dead_letters)
    s = schema
    old: list[tuple[Table, ColumnElement[bool]]] = [
        (s.documents, s.documents.c.published_ms < texts),
        (s.mentions, s.mentions.c.published_ms < texts),
        (s.buckets, s.buckets.c.start < buckets // 1000),
        (s.alerts, (s.alerts.c.status == "resolved") & (s.alerts.c.resolved_ms < buckets)),
        (s.receipts, s.receipts.c.alert_id.not_in(select(s.alerts.c.id))),
        (s.verdicts, s.verdicts.c.alert_id.not_in(select(s.alerts.c.id))),
        (s.dead_letters, s.dead_letters.c.rejected_ms < letters),
        (
            s.notifications,
            (s.notifications.c.status != "pending") & (s.notifications.c.created_ms < letters),
        ),
        (s.drills, (s.drills.c.outcome != "running") & (s.drills.c.started_ms < letters)),
        (s.silences, s.silences.c.ends_ms < letters),
        (s.acknowledgements, s.acknowledgements.c.until_ms < letters),
        (s.handed_in, s.handed_in.c.received_ms < letters),
        (s.push_requests, s.push_requests.c.received_ms < milliseconds(wall - REQUESTS)),
    ]
    return {table.name: _delete(engine, table, condition) for table, condition in old}


def _delete(engine: Engine, table: Table, condition: ColumnElement[bool]) -> int:
    key = tuple(table.primary_key.columns)
    chunk = select(*key).where(condition).limit(CHUNK)
    which = key[0].in_(chunk) if len(key) == 1 else tuple_(*key).in_(chunk)
    statement = delete(table).where(which)
    deleted = 0
    while True:
        with connected(writing(engine), "deleting what is too old") as connection:
            count = connection.execute(statement).rowcount
        deleted += count
        if count < CHUNK:
            return deleted
