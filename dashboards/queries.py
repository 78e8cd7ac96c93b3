"""What the page reads, cached for seconds and shared by everybody who looks at it.

Nothing here returns more rows than its arguments say, however large the database is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import streamlit as st
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from dashboards.frames import Span, finest
from dashboards.health import Pulse
from dashboards.words import duration
from monitor.alert.standing import Standing, standing
from monitor.errors import StoreError
from monitor.events import TOPICS, Alert, AlertStatus, Evidence, Severity
from monitor.keys import ALL, topic_key
from monitor.store import schema
from monitor.store.base import SourceRow
from monitor.store.engine import open_engine, open_reader
from monitor.store.faults import connected, place
from monitor.store.muting.base import Muted
from monitor.store.muting.sql import SqlMuting
from monitor.store.named import KeySums, StorySums, named_keys, names, top_stories
from monitor.store.reads import RESOLUTIONS, Counts, Delivery, Reads, Receipt
from monitor.store.verdicts.base import Judgement, Verdict
from monitor.store.verdicts.sql import SqlVerdicts
from monitor.story.shown import excerpt
from monitor.verdict import precision
from monitor.verdict.precision import Rule

ALERTS = 12
"""Listed at most …"""
LIVE = 500
"""… and counted."""
_FIRST = (Standing.FIRING, Standing.EXPECTED, Standing.UNDER, Standing.INSUFFICIENT)
"""Alerts that the page shows at most; those that fire come first."""
SLICES = 60
"""Steps of the charts of throughput and lag."""
_KEYS = (ALL, *map(topic_key, TOPICS))
_NO_DATABASE = StoreError("no database was named; start with -- --database sqlite:///monitor.db")


@dataclass(frozen=True, slots=True)
class Target:
    """Which database, and which of the files that lay there one after the other."""

    url: str
    file: int
    """The inode of SQLite's file: a new file under the old name needs a new connection."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The last record that was rejected."""

    place: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the header and the figures on top need."""

    pulse: Pulse
    oldest_event: datetime | None
    counts: Counts
    per_second: float
    """Documents scored a second over the last minute of wall time."""
    lag_p50: float | None
    lag_p95: float | None
    partitions: int
    offsets: int
    """Sum of the partitions' next offsets."""
    last_rejected: Rejection | None


def target(url: str | None) -> Target:
    """The database as it lies there now. Raises ``StoreError`` where there is none yet."""
    if not url:
        raise _NO_DATABASE
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.get_backend_name() != "sqlite":
        open_reader(url).dispose()  # raises for what can't be used
        return Target(url, 0)
    try:
        return Target(url, Path(parsed.database or "").stat().st_ino)
    except OSError:
        open_reader(url).dispose()
        raise


def shown_place(url: str | None) -> str:
    """Where the database is, without a password."""
    try:
        return place(make_url(url or ""))
    except (ArgumentError, ValueError):
        return "no database named"


@st.cache_resource(max_entries=2, show_spinner=False)
def _engine(at: Target) -> Engine:
    return open_reader(at.url, busy_timeout=3.0)


def _reads(at: Target) -> Reads:
    return Reads(_engine(at))


@st.cache_data(ttl=3, max_entries=4, show_spinner=False)
def vitals(at: Target) -> Vitals:
    """The signs of life, and how much there is of everything."""
    reads, now = _reads(at), datetime.now(UTC)
    offsets, counts, span = reads.offsets(), reads.counts(), reads.span()
    lag = reads.lag(now, minutes=5)
    minute = reads.throughput(now, minutes=1, slices=1)
    written = offsets["updated"].max() if len(offsets) else None
    return Vitals(
        pulse=Pulse(
            written_at=None if written is None else written.to_pydatetime(),
            newest_event=lag.newest_published_at,
            documents=counts.documents,
            rejected=sum(counts.dead_letters.values()),
        ),
        oldest_event=None if span is None else span[0],
        counts=counts,
        per_second=float(minute["per_second"].iloc[-1]),
        lag_p50=lag.p50,
        lag_p95=lag.p95,
        partitions=len(offsets),
        offsets=int(offsets["next_offset"].sum()),
        last_rejected=_last_rejected(_engine(at)),
    )


def _last_rejected(engine: Engine) -> Rejection | None:
    """By way of the primary key: the time of rejection lies behind the bytes and has no index."""
    table = schema.dead_letters.c
    newest = (
        select(table.kafka_topic, table.kafka_partition, func.max(table.kafka_offset).label("top"))
        .group_by(table.kafka_topic, table.kafka_partition)
        .subquery()
    )
    query = (
        select(
            table.kafka_topic, table.kafka_partition, table.kafka_offset, table.reason, table.detail
        )
        .join(
            newest,
            (table.kafka_topic == newest.c.kafka_topic)
            & (table.kafka_partition == newest.c.kafka_partition)
            & (table.kafka_offset == newest.c.top),
        )
        .order_by(table.rejected_ms.desc())
        .limit(1)
    )
    with connected(engine, "reading the last rejected record") as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    at = f"{row.kafka_topic}[{row.kafka_partition}] offset {row.kafka_offset:,}"
    return Rejection(at, row.reason, row.detail)


@st.cache_data(ttl=8, max_entries=12, show_spinner=False)
def buckets(at: Target, span: Span) -> pd.DataFrame:
    """The sums of the whole stream and of every topic: key, start, n, negative, score_sum.

    At the widest stored resolution that still divides the narrowest step the window is drawn in.
    """
    return _sums(at, _KEYS, span)


def _sums(at: Target, keys: Sequence[str], span: Span) -> pd.DataFrame:
    step = finest(span)
    fitting = [name for name, size in RESOLUTIONS.items() if step % size == 0]
    resolution = max(fitting, key=RESOLUTIONS.__getitem__)
    frame = _reads(at).mood(keys, _moment(span.since), _moment(span.until), resolution)
    return pd.DataFrame(
        {
            "key": frame["key"],
            "start": frame["start"].astype("int64") // 1000,  # datetime64[ms]
            "n": frame["n"],
            "negative": frame["negative"],
            "score_sum": (frame["mean_score"] * frame["n"]).fillna(0.0),
        }
    )


@st.cache_data(ttl=15, max_entries=12, show_spinner=False)
def companies(at: Target, span: Span, sorts: tuple[str, ...], limit: int) -> list[KeySums]:
    """Companies and whatever else texts name, by voices."""
    return named_keys(_engine(at), _moment(span.since), _moment(span.until), sorts, limit)


@st.cache_data(ttl=15, max_entries=12, show_spinner=False)
def stories(at: Target, span: Span, limit: int) -> list[StorySums]:
    """The stories that most voices told."""
    return top_stories(_engine(at), _moment(span.since), _moment(span.until), limit)


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def key_names(at: Target, keys: tuple[str, ...]) -> dict[str, str]:
    """How a person would call these keys."""
    return names(_engine(at), keys)


@st.cache_data(ttl=8, max_entries=12, show_spinner=False)
def buckets_of(at: Target, key: str, span: Span) -> pd.DataFrame:
    """The sums of one key, as `buckets`."""
    return _sums(at, (key,), span)


@st.cache_data(ttl=30, max_entries=12, show_spinner=False)
def before(at: Target, span: Span) -> tuple[int, int]:
    """Documents and negative ones of the whole stream in the window before this one."""
    since = _moment(span.since - span.seconds)
    frame = _reads(at).mood((ALL,), since, _moment(span.since), "1h")
    return int(frame["n"].sum()), int(frame["negative"].sum())


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def alerts(at: Target, wanted: str = "") -> list[Alert]:
    """The ``wanted`` one; those that fire, then those that others tell of and those that wait, the
    critical first, then the latest of the others."""
    reads = _reads(at)
    found = reads.alert(wanted) if wanted else None
    first = [] if found is None else [found]
    return [*first, *(a for a in _latest(reads) if a.id != wanted)]


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def standings(at: Target) -> Counter[Standing]:
    """How many alerts that are not over stand where."""
    reads = _reads(at)
    return Counter(
        standing(alert)
        for status in (AlertStatus.FIRING, AlertStatus.PENDING)
        for alert in reads.alerts(LIVE, status)
    )


def _latest(reads: Reads) -> list[Alert]:
    live = [
        *reads.alerts(LIVE, AlertStatus.FIRING),
        *reads.alerts(ALERTS, AlertStatus.PENDING),
    ]
    known = {alert.id for alert in live}
    live.sort(key=lambda a: (_FIRST.index(standing(a)), a.severity is Severity.WARNING))
    return [*live, *(a for a in reads.alerts(ALERTS) if a.id not in known)][:ALERTS]


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def sources(at: Target) -> list[SourceRow]:
    """Every source, and under an empty name the whole stream."""
    return _reads(at).sources()


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def deliveries(at: Target) -> dict[str, str]:
    """What became of each alert's last notification, in words, by the alert's id."""
    now = datetime.now(UTC)
    words: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()
    for delivery in _reads(at).deliveries(200):
        for alert in delivery.alert_ids:
            if (alert, delivery.receiver) not in seen:
                seen.add((alert, delivery.receiver))
                words.setdefault(alert, []).append(_delivery(delivery, now))
    return {alert: "; ".join(parts) for alert, parts in words.items()}


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def receipts(at: Target) -> dict[str, list[Receipt]]:
    """By alert, how the news that it fires came to each receiver."""
    return _reads(at).receipts(200)


@st.cache_resource(max_entries=2, show_spinner=False)
def _writer(at: Target) -> SqlVerdicts:
    """The only thing that the page writes."""
    return SqlVerdicts(open_engine(at.url, busy_timeout=3.0))


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def verdicts(at: Target, alert_ids: tuple[str, ...]) -> dict[str, Verdict]:
    """The last word on each of these alerts."""
    return SqlVerdicts(_engine(at)).last(alert_ids)


@st.cache_data(ttl=4, max_entries=4, show_spinner=False)
def muted(at: Target) -> Muted:
    """Silences and acknowledgements that are not over."""
    return SqlMuting(_engine(at)).muted(datetime.now(UTC))


@st.cache_data(ttl=15, max_entries=4, show_spinner=False)
def rules(at: Target) -> list[Rule]:
    """How often each rule was right."""
    span = _reads(at).span()
    return precision.rules(SqlVerdicts(_engine(at)).fired(), span[1] if span else None)


def judge(at: Target, alert_id: str, judgement: Judgement) -> None:
    """Note what somebody at the page says of an alert. Raises ``StoreError``."""
    _writer(at).give(Verdict(alert_id, judgement, "dashboard", "", datetime.now(UTC)))
    verdicts.clear()
    rules.clear()


def _delivery(delivery: Delivery, now: datetime) -> str:
    to = delivery.receiver
    if delivery.delivered_at is not None:
        return f"delivered to {to} at {delivery.delivered_at:%Y-%m-%d %H:%M:%S}"
    error = f" ({delivery.last_error})" if delivery.last_error else ""
    if delivery.status.value == "dead":
        return f"given up for {to} after {delivery.attempts} attempts{error}"
    if delivery.attempts == 0:
        return f"on its way to {to}"
    wait = (delivery.next_attempt_at - now).total_seconds()
    following = f"next in {duration(wait)}" if wait > 0 else "next one due"
    return f"{to} not reached in {delivery.attempts} attempts, {following}{error}"


@st.cache_data(ttl=8, max_entries=12, show_spinner=False)
def documents(
    at: Target, key: str, since: datetime, until: datetime, sentiment: str | None, limit: int
) -> pd.DataFrame:
    """The newest documents of a key.

    Columns: published, topic, sentiment, p_negative, title, source, url.
    """
    frame = _reads(at).documents(key, since, until, sentiment, limit)
    frame["title"] = frame["title"].where(frame["title"].str.strip() != "", frame["text"])
    frame["title"] = frame["title"].str.slice(0, 200)
    columns = ["published", "topic", "sentiment", "p_negative", "title", "source", "url"]
    return frame[columns]


@st.cache_data(ttl=8, max_entries=12, show_spinner=False)
def pieces(at: Target, key: str, since: datetime, until: datetime, limit: int) -> list[Evidence]:
    """The newest documents of a key, as an alert would show them."""
    frame = _reads(at).documents(key, since, until, None, limit)
    return [
        Evidence(
            document_id=row["id"],
            published_at=row["published"],
            source=row["source"],
            title=row["title"],
            url=row["url"],
            negative=row["p_negative"],
            excerpt=excerpt(row["text"]),
        )
        for row in frame.to_dict("records")
    ]


@st.cache_data(ttl=5, max_entries=4, show_spinner=False)
def flow(at: Target, minutes: int) -> pd.DataFrame:
    """Documents scored and their lag in each of ``SLICES`` steps of wall time up to now.

    Columns: start, end, when, n, words, mean, worst (seconds from published in Kafka to scored,
    null where nothing was scored), lag_words.
    """
    now = datetime.now(UTC)
    step = timedelta(minutes=minutes) / SLICES
    width = int(step.total_seconds())
    until = int(now.timestamp()) // width * width
    starts = [until - width * (SLICES - i) for i in range(SLICES)]
    table = schema.documents.c
    number = ((table.scored_ms - starts[0] * 1000) // (width * 1000)).label("slice")
    waited = table.scored_ms - table.appended_ms
    query = (
        select(number, func.count().label("n"), func.avg(waited), func.max(waited))
        .where(table.scored_ms >= starts[0] * 1000, table.scored_ms < until * 1000)
        .group_by(number)
    )
    with connected(_engine(at), "reading throughput and lag") as connection:
        found = {
            int(i): (int(n), float(a) / 1000, float(b) / 1000)
            for i, n, a, b in connection.execute(query)
        }
    rows = [found.get(i, (0, None, None)) for i in range(SLICES)]
    frame = pd.DataFrame(rows, columns=["n", "mean", "worst"])
    frame = frame.astype({"mean": "float64", "worst": "float64"})
    start = pd.to_datetime(pd.Series(starts), unit="s", utc=True)
    return frame.assign(
        start=start,
        end=start + pd.Timedelta(seconds=width),
        when=start.dt.strftime("%H:%M:%S"),
        words=[f"{n:,} documents, {n / width:.1f} a second" for n in frame["n"]],
        lag_words=_lag_words(frame["mean"], frame["worst"]),
    )


def _lag_words(mean: Sequence[float] | pd.Series, worst: Sequence[float] | pd.Series) -> list[str]:
    return [
        "nothing scored" if pd.isna(m) else f"mean {duration(m)}, worst {duration(w)}"
        for m, w in zip(mean, worst, strict=True)
    ]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def url_from(arguments: Sequence[str]) -> str | None:
    """The database from ``--database URL`` behind Streamlit's ``--``, else from the environment."""
    for i, argument in enumerate(arguments):
        if argument == "--database" and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith("--database="):
            return argument.partition("=")[2]
    return os.environ.get("MONITOR_DATABASE_URL")
