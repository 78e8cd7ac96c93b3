"""Read-only questions of the dashboard, the summary of a run and the API.

Imports neither the model nor the broker's client. Moments are zone-aware in UTC; the frames' time
columns are ``datetime64[ms, UTC]``. Every method raises ``StoreError``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from sqlalchemy import BigInteger, Engine, Select, cast, func, select

from monitor.events import SCORE_SCALE, Alert, AlertStatus
from monitor.store import keyed, rows, schema
from monitor.store.alerted import Alerted
from monitor.store.base import NotificationStatus, SourceRow
from monitor.store.faults import connected
from monitor.store.listened import VISIBLE, source_of

Resolution = Literal["5m", "15m", "1h", "1d"]
RESOLUTIONS: Final[Mapping[Resolution, int]] = {"5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
"""Seconds of one point of the mood; days begin at midnight UTC."""
Order = Literal["newest", "negative"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of everything."""

    documents: int
    dead_letters: Mapping[str, int]
    """By reason; those that never occurred are missing."""
    alerts: Mapping[str, int]
    """By status."""
    notifications: Mapping[str, int]
    """By status."""
    outbox: int
    """Rows not yet taken by the delivery loop."""
    gaps: int
    """Records that retention deleted before they were read."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind the last documents were scored."""

    documents: int
    """Scored in the time looked at."""
    p50: float | None
    """Median of scored − appended, in seconds; None without documents."""
    p95: float | None
    newest_published_at: datetime | None
    """Event time of the newest document of all."""
    newest_scored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification on its way, or there."""

    id: str
    receiver: str
    group_key: str
    status: NotificationStatus
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None
    last_error: str | None
    alert_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """How the news that an alert fires came to one receiver: the first message that said so. Both
    in wall time."""

    receiver: str
    queued_at: datetime
    """The message was made, after the group's wait."""
    delivered_at: datetime | None
    """None: not taken yet."""


class Reads:
    """Queries over an engine of ``open_reader`` (or, within the daemon, its own). Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._alerted = Alerted(engine)

    def close(self) -> None:
        """Close the idle connections. Idempotent."""
        self._engine.dispose()

    def mood(
        self,
        keys: Collection[str],
        since: datetime,
        until: datetime,
        resolution: Resolution = "1h",
    ) -> pd.DataFrame:
        """The closed buckets of these keys with ``since`` <= start < ``until``, summed.

        Columns: key, start, n (voices), negative, positive, neutral, posts (copies included),
        negative_share (of n), mean_score (mean of P(positive) − P(negative)); by key and start. A
        time without documents has no row.
        """
        table, step = schema.buckets.c, RESOLUTIONS[resolution]
        start = (table.start - table.start % step).label("start")
        query = (
            select(table.key, start, *_sums())
            .where(table.key.in_(sorted(keys)), *_within(since, until))
            .group_by(table.key, start)
            .order_by(table.key, start)
        )
        frame = self._frame(query, "reading the mood", seconds=("start",))
        return _shares(frame, ["key", "start"])

    def keys(self, since: datetime, until: datetime) -> pd.DataFrame:
        """Every key with documents in closed buckets of that time, the busiest first.

        Columns: key, n, negative, positive, neutral, posts, negative_share, mean_score, last (start
        of its newest bucket).
        """
        table = schema.buckets.c
        query = (
            select(table.key, *_sums(), func.max(table.start).label("last"))
            .where(*_within(since, until))
            .group_by(table.key)
            .order_by(_sums()[0].desc(), table.key)
        )
        frame = self._frame(query, "reading the keys", seconds=("last",))
        return _shares(frame, ["key"], ["last"])

    def alerts(self, limit: int, status: AlertStatus | None = None) -> list[Alert]:
        """See ``Alerted.latest``."""
        return self._alerted.latest(limit, status)

    def alert(self, identifier: str) -> Alert | None:
        """See ``Alerted.one``."""
        return self._alerted.one(identifier)

    def span(self) -> tuple[datetime, datetime] | None:
        """Event times of the oldest and of the newest document; None without documents."""
        published = schema.documents.c.published_ms
        # Two subqueries: SQLite takes one from an index only when it stands alone.
        query = select(
            select(func.min(published)).scalar_subquery().label("oldest"),
            select(func.max(published)).scalar_subquery().label("newest"),
        )
        with connected(self._engine, "reading the time range") as connection:
            row = connection.execute(query).one()
        return None if row.newest is None else (rows.moment(row.oldest), rows.moment(row.newest))

    def documents(
        self,
        key: str,
        since: datetime,
        until: datetime,
        sentiment: str | None = None,
        limit: int = 100,
        order: Order = "newest",
    ) -> pd.DataFrame:
        """Documents of a key with ``since`` <= published < ``until``, in this order.

        Columns: id, published, kind, source, title, text, url, lang, tickers (tuple), topic,
        topic_confidence, sentiment, p_negative, p_neutral, p_positive, model_version, scored.
        ``key`` as in ``Store.evidence``.
        """
        table, published = schema.documents.c, keyed.published(key)
        newest = published.desc(), table.id
        query = (
            select(
                table.id,
                table.published_ms.label("published"),
                table.kind,
                table.source,
                table.title,
                table.text,
                table.url,
                table.lang,
                table.tickers,
                table.topic,
                table.topic_confidence,
                table.sentiment,
                table.p_negative,
                table.p_neutral,
                table.p_positive,
                table.model_version,
                table.scored_ms.label("scored"),
            )
            .select_from(keyed.among(key))
            .where(
                keyed.of_key(key),
                published >= rows.milliseconds(since),
                published < rows.milliseconds(until),
            )
            .order_by(*((keyed.negativity(key).desc(), *newest) if order == "negative" else newest))
            .limit(limit)
        )
        if sentiment is not None:
            query = query.where(table.sentiment == sentiment)
        frame = self._frame(query, "reading documents", milliseconds=("published", "scored"))
        frame["tickers"] = [tuple(json.loads(tickers)) for tickers in frame["tickers"]]
        return frame

    def throughput(self, now: datetime, minutes: int = 60, slices: int = 60) -> pd.DataFrame:
        """Documents scored in each slice of the last ``minutes`` of wall time before ``now``.

        Columns: start, documents, per_second; ``slices`` rows, oldest first, also where nothing was
        scored: a standstill has to show.
        """
        scored = schema.documents.c.scored_ms
        step = minutes * 60_000 // slices
        until = rows.milliseconds(now)
        since = until - step * slices
        number = ((scored - since) // step).label("slice")
        query = (
            select(number, func.count().label("documents"))
            .where(scored >= since, scored < until)
            .group_by(number)
        )
        counted = np.zeros(slices, dtype=np.int64)
        with connected(self._engine, "reading the throughput") as connection:
            for row in connection.execute(query):
                counted[int(row.slice)] = row.documents
        starts = since + step * np.arange(slices, dtype=np.int64)
        return pd.DataFrame(
            {
                "start": _times(starts),
                "documents": counted,
                "per_second": counted / (step / 1000),
            }
        )

    def lag(self, now: datetime, minutes: int = 60) -> Lag:
        """The time from published to scored of the documents scored in the last ``minutes``."""
        table = schema.documents.c
        since = rows.milliseconds(now - timedelta(minutes=minutes))
        waits = select(table.scored_ms - table.appended_ms).where(table.scored_ms >= since)
        newest = select(
            select(func.max(table.published_ms)).scalar_subquery().label("published"),
            select(func.max(table.scored_ms)).scalar_subquery().label("scored"),
        )
        with connected(self._engine, "reading the lag") as connection:
            seconds = np.array(connection.scalars(waits).all(), dtype=np.float64) / 1000
            row = connection.execute(newest).one()
        p50, p95 = np.percentile(seconds, [50, 95]).tolist() if len(seconds) else (None, None)
        return Lag(
            documents=len(seconds),
            p50=p50,
            p95=p95,
            newest_published_at=None if row.published is None else rows.moment(row.published),
            newest_scored_at=None if row.scored is None else rows.moment(row.scored),
        )

    def counts(self) -> Counts:
        """How much there is of everything."""
        gaps = schema.gaps.c
        with connected(self._engine, "counting") as connection:

            def by(column: Any) -> dict[str, int]:
                grouped = select(column, func.count()).group_by(column).order_by(column)
                return {name: int(n) for name, n in connection.execute(grouped)}

            def total(query: Select[Any]) -> int:
                return int(connection.scalar(query) or 0)

            return Counts(
                documents=total(select(func.count()).select_from(schema.documents)),
                dead_letters=by(schema.dead_letters.c.reason),
                alerts=by(schema.alerts.c.status),
                notifications=by(schema.notifications.c.status),
                outbox=total(select(func.count()).select_from(schema.outbox)),
                gaps=total(select(func.sum(gaps.resumed - gaps.expected))),
            )

    def deliveries(self, limit: int) -> list[Delivery]:
        """The last notifications, the newest first."""
        table = schema.notifications.c
        query = (
            select(schema.notifications).order_by(table.created_ms.desc(), table.id).limit(limit)
        )
        with connected(self._engine, "reading the deliveries") as connection:
            found = [rows.notification_of(row) for row in connection.execute(query)]
        return [
            Delivery(
                id=notification.id,
                receiver=notification.receiver,
                group_key=notification.group_key,
                status=notification.status,
                attempts=notification.attempts,
                created_at=notification.created_at,
                next_attempt_at=notification.next_attempt_at,
                delivered_at=notification.delivered_at,
                last_error=notification.last_error,
                alert_ids=tuple(identifier for identifier, _ in _listed(notification.body)),
            )
            for notification in found
        ]

    def receipts(self, limit: int) -> dict[str, list[Receipt]]:
        """By alert, how the last ``limit`` notifications told that it fires, in the order of the
        receivers' names. One that was given up or overtaken does not hide a later one."""
        table = schema.notifications.c
        query = (
            select(table.receiver, table.created_ms, table.delivered_ms, table.body)
            .order_by(table.created_ms.desc(), table.id)
            .limit(limit)
        )
        found: dict[str, dict[str, Receipt]] = {}
        with connected(self._engine, "reading the receipts") as connection:
            latest = connection.execute(query).all()
        for row in reversed(latest):
            delivered = None if row.delivered_ms is None else rows.moment(row.delivered_ms)
            receipt = Receipt(row.receiver, rows.moment(row.created_ms), delivered)
            for identifier, status in _listed(bytes(row.body)):
                of = found.setdefault(identifier, {})
                known = of.get(row.receiver)
                if status == AlertStatus.FIRING.value and (
                    known is None or (known.delivered_at is None and delivered is not None)
                ):
                    of[row.receiver] = receipt
        return {name: [of[r] for r in sorted(of)] for name, of in found.items() if of}

    def alert_latency(self, since: datetime | None = None) -> pd.DataFrame:
        """From the record that made an alert fire to its first delivery, for each receiver.

        Columns: alert_id, key, receiver, appended, delivered, seconds; in the order of delivery.
        Only firing alerts count, delivered at or after ``since``.
        """
        told, alerts = schema.notifications.c, schema.alerts.c
        query = (
            select(told.receiver, told.delivered_ms, told.body)
            .where(told.status == NotificationStatus.DELIVERED.value)
            .order_by(told.delivered_ms)
        )
        if since is not None:
            query = query.where(told.delivered_ms >= rows.milliseconds(since))
        first: dict[tuple[str, str], int] = {}
        with connected(self._engine, "reading the latency of alerts") as connection:
            for row in connection.execute(query):
                for identifier, status in _listed(bytes(row.body)):
                    if status == AlertStatus.FIRING.value:
                        first.setdefault((identifier, row.receiver), row.delivered_ms)
            published = {
                row.id: row
                for row in connection.execute(select(alerts.id, alerts.key, alerts.appended_ms))
            }
        found = [
            (identifier, alert.key, receiver, alert.appended_ms, delivered)
            for (identifier, receiver), delivered in first.items()
            if (alert := published.get(identifier)) is not None
        ]
        columns = ["alert_id", "key", "receiver", "appended", "delivered"]
        frame = pd.DataFrame.from_records(found, columns=columns)
        seconds = (frame["delivered"] - frame["appended"]).astype("float64") / 1000
        for name in ("appended", "delivered"):
            frame[name] = _times(frame[name])
        frame["seconds"] = seconds
        return frame

    def sources(self) -> list[SourceRow]:
        """Every source, and under an empty name the whole stream, by name; without its memory."""
        query = select(*VISIBLE).order_by(schema.sources.c.name)
        with connected(self._engine, "reading the sources") as connection:
            return [source_of(row) for row in connection.execute(query)]

    def offsets(self) -> pd.DataFrame:
        """Where each partition is read next: topic, partition, next_offset, max_event, updated."""
        table = schema.offsets.c
        query = select(
            table.topic,
            table.partition,
            table.next_offset,
            table.max_event_ms.label("max_event"),
            table.updated_ms.label("updated"),
        ).order_by(table.topic, table.partition)
        return self._frame(query, "reading the offsets", milliseconds=("max_event", "updated"))

    def _frame(
        self,
        query: Select[Any],
        doing: str,
        *,
        seconds: Iterable[str] = (),
        milliseconds: Iterable[str] = (),
    ) -> pd.DataFrame:
        with connected(self._engine, doing) as connection:
            result = connection.execute(query)
            frame = pd.DataFrame.from_records(
                [tuple(row) for row in result], columns=list(result.keys())
            )
        for name in seconds:
            frame[name] = _times(frame[name] * 1000)
        for name in milliseconds:
            frame[name] = _times(frame[name])
        return frame


def _times(values: Any) -> pd.Series[Any]:
    """Milliseconds since the epoch (missing ones allowed) as moments in UTC."""
    numbers = pd.to_numeric(pd.Series(values)).astype("Int64")
    return pd.to_datetime(numbers, unit="ms", utc=True).astype("datetime64[ms, UTC]")


def _within(since: datetime, until: datetime) -> tuple[Any, Any]:
    """The condition on the start of a bucket; rounded up to whole seconds, as starts are whole."""
    start = schema.buckets.c.start
    return (
        start >= -(-rows.milliseconds(since) // 1000),
        start < -(-rows.milliseconds(until) // 1000),
    )


def _sums() -> list[Any]:
    table = schema.buckets.c
    # Cast, because PostgreSQL sums BIGINT as NUMERIC, which would arrive as Decimal.
    return [
        cast(func.sum(column), BigInteger).label(column.name)
        for column in (table.n, table.negative, table.positive, table.score_sum, table.posts)
    ]


def _shares(frame: pd.DataFrame, before: list[str], after: Iterable[str] = ()) -> pd.DataFrame:
    """Add what follows from the sums; a bucket that was corrected down to nothing has NaN."""
    n = frame["n"].where(frame["n"] > 0)
    frame["neutral"] = frame["n"] - frame["negative"] - frame["positive"]
    frame["negative_share"] = (frame["negative"] / n).astype("float64")
    frame["mean_score"] = (frame["score_sum"] / (n * SCORE_SCALE)).astype("float64")
    counts = ["n", "negative", "positive", "neutral", "posts"]
    frame[counts] = frame[counts].astype("int64")
    return frame[[*before, *counts, "negative_share", "mean_score", *after]]


def _listed(body: bytes) -> list[tuple[str, str]]:
    """(alert id, status) of each alert in an Alertmanager body; none in a body of another form."""
    try:
        alerts = json.loads(body)["alerts"]
        return [(alert["labels"]["alert_id"], alert["status"]) for alert in alerts]
    except (ValueError, KeyError, TypeError):
        return []
