"""The stored documents in the order in which the system came to know them. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, repeat
from sys import intern
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Engine,
    Integer,
    bindparam,
    func,
    select,
    type_coerce,
)

from monitor.events import (
    BUCKET_SECONDS,
    SCORE_SCALE,
    TOPICS,
    Heard,
    Kind,
    Partition,
    View,
)
from monitor.keys import ALL
from monitor.lab.backlog import LAG, Backlog
from monitor.lab.ledger import Outcome, reason
from monitor.lab.reading import Rows, in_order_of_insertion, in_order_of_polls
from monitor.store import alert_rows, schema
from monitor.store.faults import connected
from monitor.tuples import maker

_PAGE = 4_096  # rows fetched at once

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
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


@dataclass(frozen=True, slots=True)
class Page:
    """Polls that followed one another, with their documents, in order."""

    documents: list[Known]
    first: list[int]
    """The first document of each poll; at the end, how many there are."""
    at: Floats
    """Wall time of each poll; seconds since the epoch."""
    appended: Ints
    """Of the newest of its records; milliseconds since the epoch."""
    model_version: list[str]
    """That judged it."""


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

    def backlog(self) -> Backlog:
        """The partitions that were ever read, with what lay there before it was read."""
        table = schema.offsets.c
        with connected(self._engine, "reading what the daemon lagged behind") as connection:
            query = select(table.topic, table.partition).order_by(table.topic, table.partition)
            partitions = [Partition(*row) for row in connection.execute(query)]
            waited = connection.execution_options(yield_per=_PAGE).execute(_WAITED)
            return Backlog(
                partitions,
                ((_partition(topic, number), *times) for topic, number, *times in waited),
            )

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
            found = [alert_rows.alert_of(row) for row in connection.execute(query)]
        return [Outcome(a, a.fired_at if a.sent else None, reason(a)) for a in found]

    def names(self) -> dict[str, str]:
        """Companies and watched items as a person would say them, by key."""
        with connected(self._engine, "reading the names") as connection:
            return {row.key: row.name for row in connection.execute(select(schema.names))}

    def taught(self, start: int) -> frozenset[str]:
        """The documents that were history among those of a bucket (seconds) that are not counted.

        That is not stored with them, but they were added to the sums of the bucket, and the late
        ones were not. Where there are both, those are taken that were older when they came.
        """
        if start not in self._taught:
            self._taught[start] = self._ask_taught(start)
        return self._taught[start]

    def pages(self, texts: bool = False) -> Iterator[Page]:
        """All documents; with their ``texts`` where these are to be matched anew.

        A poll is what came at one moment and was judged by one model.
        """
        documents: list[Known] = []
        at: list[int] = []
        appended: list[int] = []
        versions: list[str] = []
        for part in self._rows(texts):
            more, came, came_in, by = _documents(part, texts)
            at += list(accumulate(came, max, initial=at[-1] if at else 0))[1:]
            documents += more
            appended += came_in
            versions += by
            new = range(1, len(at))
            first = [0]
            first += [i for i in new if at[i] != at[i - 1] or versions[i] != versions[i - 1]]
            last = first[-1]  # it may go on
            if last:
                yield _page(documents[:last], first, at, appended[:last], versions)
                for column in (documents, at, appended, versions):
                    del column[:last]
        if documents:
            yield _page(documents, [0, len(documents)], at, appended, versions)

    def _rows(self, texts: bool) -> Iterator[Rows]:
        columns = [*_COLUMNS, *_TEXTS] if texts else _COLUMNS
        if self._engine.dialect.name == "sqlite":
            yield from in_order_of_insertion(self._engine, columns, _PAGE)
        else:
            yield from in_order_of_polls(self._engine, columns, _PAGE)

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


def _documents(
    rows: Rows, texts: bool
) -> tuple[Iterable[Known], list[int], Sequence[int], Sequence[str]]:
    """What rows tell, column by column: documents, with the times at which each was read and was
    appended (milliseconds), and the model that judged it."""
    # One object for each key: it is looked up many times, and found by what it is.
    keys, towards = list(map(intern, rows.keys)), rows.towards
    views = list(map(_view, zip(keys, *_classified(*towards), strict=True)))
    begins, ends = rows.first[:-1], rows.first[1:]
    of_each = [tuple(views[i:end]) if i < end else () for i, end in zip(begins, ends, strict=True)]
    (
        ids, kinds, sources, published, authors, topics, negative, neutral, positive, by, of_topic,
        numbers, came_in, stories, copies_of, counted, ingested,
    ) = rows.documents[: len(_COLUMNS)]  # fmt: skip
    heard = map(
        _heard,
        zip(
            ids,
            (np.array(published) / 1000).tolist(),
            authors,
            map(_KINDS.__getitem__, kinds),
            map(_TOPICS.__getitem__, topics),
            *_classified(negative, neutral, positive),
            [copy_of is not None for copy_of in copies_of],
            of_each,
            strict=True,
        ),
    )
    contents: Iterable[Content | None] = repeat(None, len(ids))
    if texts:
        sentiments = zip(negative, neutral, positive, strict=True)
        said = list(zip(*towards, strict=True))
        contents = [
            Content(title, text, sentiment, tuple(zip(keys[i:end], said[i:end], strict=True)))
            for title, text, sentiment, i, end in zip(
                *rows.documents[len(_COLUMNS) :], sentiments, begins, ends, strict=True
            )
        ]
    documents = map(
        _known,
        zip(
            heard,
            map(_partition, of_topic, numbers),
            sources,
            stories,
            copies_of,
            map(bool, counted),
            contents,
            strict=True,
        ),
    )
    came = [a if i is None else i for a, i in zip(came_in, ingested, strict=True)]
    return documents, came, came_in, by


def _classified(*sentiments: Sequence[float]) -> tuple[list[int], list[int]]:
    """`most_probable` and `scaled` of many, given by class."""
    shares = np.array(sentiments, dtype=np.float64)
    scores = np.rint((shares[2] - shares[0]) * SCORE_SCALE)
    return shares.argmax(axis=0).tolist(), scores.astype(np.int64).tolist()


def _page(
    documents: list[Known],
    first: list[int],
    at: Sequence[int],
    appended: Sequence[int],
    versions: Sequence[str],
) -> Page:
    begin = first[:-1]
    return Page(
        documents,
        first,
        np.array([at[i] for i in begin]) / 1000,
        np.maximum.reduceat(np.array(appended, dtype=np.int64), begin),
        [versions[i] for i in begin],
    )


_OF = schema.documents.c
_COLUMNS: list[ColumnElement[Any]] = [
    _OF.id, _OF.kind, _OF.source, _OF.published_ms, _OF.author_hash, _OF.topic, _OF.p_negative,
    _OF.p_neutral, _OF.p_positive, _OF.model_version, _OF.kafka_topic, _OF.kafka_partition,
    _OF.appended_ms, _OF.story, _OF.copy_of, type_coerce(_OF.counted, Integer), _OF.ingested_ms,
]  # fmt: skip
_TEXTS: list[ColumnElement[Any]] = [_OF.title, _OF.text]
_partition = cache(Partition)
_view, _heard, _known = maker(View), maker(Heard), maker(Known)
_CAME = func.coalesce(_OF.ingested_ms, _OF.appended_ms)
_WAITED = (
    select(_OF.kafka_topic, _OF.kafka_partition, _CAME, _OF.appended_ms)
    .where(_CAME - _OF.appended_ms > LAG)
    .order_by(_CAME)
)
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
