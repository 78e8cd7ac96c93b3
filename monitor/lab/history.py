"""The stored documents in the order in which the system came to know them.

SQLite: the order of insertion, which is that of the polls. PostgreSQL: by the time of the poll, and
within it by place in Kafka. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Engine,
    Integer,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    type_coerce,
)

from monitor.events import (
    BUCKET_SECONDS,
    TOPICS,
    Heard,
    Kind,
    Partition,
    View,
    most_probable,
    scaled,
)
from monitor.keys import ALL
from monitor.lab.ledger import Outcome, reason
from monitor.store import rows, schema
from monitor.store.faults import connected

_PAGE = 4_096  # rows fetched at once

Sentiment = tuple[float, float, float]


class Content(NamedTuple):
    """What it takes to match a document with watched items anew."""

    title: str
    text: str
    sentiment: Sentiment
    """Of the whole text."""
    mentions: tuple[tuple[str, Sentiment], ...]
    """Keys that it names, and what is said of each."""


class Known(NamedTuple):
    """A stored document."""

    heard: Heard
    """``copy`` is as it is stored: what was known of that at the time is `archive`'s."""
    place: Partition
    source: str
    story: str
    copy_of: str | None
    counted: bool
    content: Content | None
    """None: nobody asked for it."""


class Poll(NamedTuple):
    """Documents that came together."""

    at: int
    """Wall time of the poll; milliseconds since the epoch, and so is `appended`."""
    appended: int
    """Of the newest of their records."""
    model_version: str
    documents: list[Known]


class Spell(NamedTuple):
    """A time in which a source was blind, by the daemon's clock of event times; milliseconds."""

    key: str
    """`keys.source_key`, or ``all``."""
    begin: int
    end: int | None
    """None: it still is."""


class History:
    """Questions to the database. Raises ``StoreError``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._taught: dict[int, frozenset[str]] = {}
        self._posts: dict[int, int] | None = None

    def span(self) -> tuple[int, int, int] | None:
        """Documents, first and last event time (milliseconds); None: there are none."""
        table = schema.documents.c
        query = select(func.count(), func.min(table.published_ms), func.max(table.published_ms))
        with connected(self._engine, "reading the span of the documents") as connection:
            count, first, last = connection.execute(query).one()
        return (count, first, last) if count else None

    def partitions(self) -> list[Partition]:
        """Those that were ever read, empty ones among them."""
        table = schema.offsets.c
        with connected(self._engine, "reading the partitions") as connection:
            query = select(table.topic, table.partition).order_by(table.topic, table.partition)
            return [Partition(*row) for row in connection.execute(query)]

    def closed_until(self) -> int | None:
        """How far the daemon has come: seconds since the epoch."""
        table = schema.progress.c
        with connected(self._engine, "reading how far the daemon has come") as connection:
            found: int | None = connection.scalar(
                select(table.value).where(table.name == "closed_until")
            )
        return found

    def spells(self) -> list[Spell]:
        """Who was blind when, by the alerts."""
        table = schema.alerts.c
        query = (
            select(table.key, table.fired_ms, table.resolved_ms)
            .where(table.detector == "blind", table.fired_ms.is_not(None))
            .order_by(table.fired_ms, table.key)
        )
        with connected(self._engine, "reading who was blind") as connection:
            return [Spell(*row) for row in connection.execute(query)]

    def alerts(self) -> list[Outcome]:
        """Those of the detectors, in order of time. When one that was shown under another was told
        is not stored: it is taken for told when it fired."""
        table = schema.alerts.c
        query = (
            select(schema.alerts)
            .where(table.detector.in_(_DETECTORS))
            .order_by(table.started_ms, table.id)
        )
        with connected(self._engine, "reading the alerts") as connection:
            found = [rows.alert_of(row) for row in connection.execute(query)]
        return [Outcome(a, a.fired_at if a.sent else None, reason(a)) for a in found]

    def taught(self, start: int) -> frozenset[str]:
        """The documents that were history among those of a bucket (seconds) that are not counted.

        That is not stored with them, but they were added to the sums of the bucket, and the late
        ones were not. Where there are both, those are taken that were older when they came.
        """
        if start not in self._taught:
            self._taught[start] = self._ask_taught(start)
        return self._taught[start]

    def polls(self, texts: bool = False) -> Iterator[Poll]:
        """All documents; with their ``texts`` where these are to be matched anew."""
        partitions: dict[tuple[str, int], Partition] = {}
        names: dict[str, str] = {}  # sources and authors, each once in memory
        at = appended_of = 0
        version = ""
        documents: list[Known] = []
        last: str | None = None
        content: Content | None = None
        views: list[View] = []
        mentions: list[tuple[str, Sentiment]] = []
        held: tuple[Any, ...] = ()  # of the last document: Heard without views, then Known without

        def made() -> Known:
            heard = Heard._make((*held[:8], tuple(views)))
            matched = content and content._replace(mentions=tuple(mentions))
            return Known._make((heard, *held[8:], matched))

        for row in self._joined(texts):
            (identifier, kind, source, published, author, topic, negative, neutral, positive, by,
             of_topic, number, appended, story, copy_of, counted, ingested, key, toward_negative,
             toward_neutral, toward_positive, *title_and_text) = row  # fmt: skip
            if identifier != last:
                if last is not None:
                    documents.append(made())
                came = max(appended if ingested is None else ingested, at)
                if (came != at or by != version) and documents:
                    yield Poll(at, appended_of, version, documents)
                    documents = []
                if not documents:
                    at, version, appended_of = came, by, appended
                elif appended > appended_of:
                    appended_of = appended
                place = partitions.get((of_topic, number))
                if place is None:
                    place = partitions[of_topic, number] = Partition(of_topic, number)
                sentiment = negative, neutral, positive
                last, views = identifier, []
                held = (
                    identifier,
                    published / 1000,
                    author and names.setdefault(author, author),
                    _KINDS[kind],
                    _TOPICS[topic],
                    most_probable(sentiment),
                    scaled(sentiment),
                    copy_of is not None,
                    place,
                    names.setdefault(source, source),
                    story,
                    copy_of,
                    bool(counted),
                )
                if texts:
                    mentions = []
                    content = Content._make((*title_and_text, sentiment, ()))
            if key is not None:
                towards = toward_negative, toward_neutral, toward_positive
                key = names.setdefault(key, key)
                views.append(View(key, most_probable(towards), scaled(towards)))
                if texts:
                    mentions.append((key, towards))
        if last is not None:
            documents.append(made())
            yield Poll(at, appended_of, version, documents)

    def _joined(self, texts: bool) -> Iterator[Any]:
        documents, mentions = schema.documents.c, schema.mentions.c
        columns: list[ColumnElement[Any]] = [
            documents.id, documents.kind, documents.source, documents.published_ms,
            documents.author_hash, documents.topic, documents.p_negative, documents.p_neutral,
            documents.p_positive, documents.model_version, documents.kafka_topic,
            documents.kafka_partition, documents.appended_ms, documents.story, documents.copy_of,
            type_coerce(documents.counted, Integer), documents.ingested_ms,
            mentions.key, mentions.p_negative, mentions.p_neutral, mentions.p_positive,
        ]  # fmt: skip
        if texts:
            columns += [documents.title, documents.text]
        named = schema.documents.outerjoin(schema.mentions, mentions.document_id == documents.id)
        query: Select[Any] = select(*columns).select_from(named).order_by(*self._order())
        with connected(self._engine, "reading the documents") as connection:
            stream = connection.execution_options(stream_results=True).execute(query)
            for page in stream.partitions(_PAGE):
                yield from page

    def _order(self) -> list[ColumnElement[Any]]:
        documents = schema.documents.c
        if self._engine.dialect.name == "sqlite":
            return [literal_column("documents.rowid")]
        came: ColumnElement[Any] = func.coalesce(documents.ingested_ms, documents.appended_ms)
        return [
            came,
            documents.kafka_topic,
            documents.kafka_partition,
            documents.kafka_offset,
        ]

    def _ask_taught(self, start: int) -> frozenset[str]:
        if self._posts is None:
            self._posts = self._ask_posts()
        posts = self._posts.get(start, 0)
        if not posts:
            return frozenset()
        within = {"since": start * 1000, "until": (start + BUCKET_SECONDS) * 1000}
        with connected(self._engine, "telling history from what was late") as connection:
            more = posts - (connection.scalar(_COUNTED, within) or 0)
            if more <= 0:
                return frozenset()
            return frozenset(connection.scalars(_UNCOUNTED, {**within, "most": more}))

    def _ask_posts(self) -> dict[int, int]:
        """All documents of the stream by bucket, history among them."""
        table = schema.buckets.c
        query = select(table.start, table.posts).where(table.key == ALL)
        with connected(self._engine, "reading the stream's buckets") as connection:
            return {row.start: row.posts for row in connection.execute(query)}


_WITHIN = (
    schema.documents.c.published_ms >= bindparam("since"),
    schema.documents.c.published_ms < bindparam("until"),
)
_COUNTED = select(func.count()).where(*_WITHIN, schema.documents.c.counted)
_UNCOUNTED = (
    select(schema.documents.c.id)
    .where(*_WITHIN, schema.documents.c.counted.is_(False))
    .order_by(
        (schema.documents.c.appended_ms - schema.documents.c.published_ms).desc(),
        schema.documents.c.id,
    )
    .limit(bindparam("most"))
)
_DETECTORS = ("share", "volume")
_KINDS = {kind.value: kind for kind in Kind}
_TOPICS = {topic: index for index, topic in enumerate(TOPICS)}
