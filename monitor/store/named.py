"""Read-only questions about companies and stories. Raises ``StoreError``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Engine, cast, func, or_, select

from monitor.store import rows, schema
from monitor.store.faults import connected


@dataclass(frozen=True, slots=True)
class KeySums:
    """What was counted of a key that texts name, over a time."""

    key: str
    name: str
    """As a person would say it."""
    voices: int
    negative: int
    positive: int
    score_sum: int
    """In 1/`SCORE_SCALE`."""
    posts: int


@dataclass(frozen=True, slots=True)
class StorySums:
    """One story, as it was told in a time."""

    story: str
    """Id of its first document."""
    title: str
    """Of that document, else the beginning of its text."""
    posts: int
    voices: int
    """Distinct authors, or sources where nobody signed, that told it."""
    negative: int
    """Negative documents."""
    first_at: datetime
    last_at: datetime
    sources: int


def names(engine: Engine, keys: Collection[str]) -> dict[str, str]:
    """How a person would call these keys; those that nobody has named yet are left out."""
    table = schema.names.c
    with connected(engine, "reading names") as connection:
        found = connection.execute(select(table.key, table.name).where(table.key.in_(sorted(keys))))
        return {row.key: row.name for row in found}


def named_keys(
    engine: Engine,
    since: datetime,
    until: datetime,
    sorts: Collection[str] = ("company", "name", "watch"),
    limit: int = 200,
) -> list[KeySums]:
    """Keys of these sorts in closed buckets that start in this time, most voices first."""
    buckets, known = schema.buckets, schema.names
    voices = func.sum(buckets.c.n)
    sums = [
        # Cast, because PostgreSQL sums BIGINT as NUMERIC, which would arrive as Decimal.
        cast(func.sum(buckets.c[column]), BigInteger).label(column)
        for column in ("n", "negative", "positive", "score_sum", "posts")
    ]
    query = (
        select(buckets.c.key, func.max(known.c.name).label("name"), *sums)
        .select_from(buckets.outerjoin(known, known.c.key == buckets.c.key))
        .where(
            or_(*(buckets.c.key.startswith(f"{sort}:", autoescape=True) for sort in sorts)),
            buckets.c.start >= -(-rows.milliseconds(since) // 1000),
            buckets.c.start < -(-rows.milliseconds(until) // 1000),
        )
        .group_by(buckets.c.key)
        .having(voices > 0)
        .order_by(voices.desc(), buckets.c.key)
        .limit(limit)
    )
    with connected(engine, "reading companies") as connection:
        return [
            KeySums(
                key=row.key,
                name=row.name or row.key.rpartition(":")[2],
                voices=row.n,
                negative=row.negative,
                positive=row.positive,
                score_sum=row.score_sum,
                posts=row.posts,
            )
            for row in connection.execute(query)
        ]


def top_stories(
    engine: Engine, since: datetime, until: datetime, limit: int = 10
) -> list[StorySums]:
    """The stories that most voices told in this time."""
    table = schema.documents.c
    first = schema.documents.alias("first")
    voices = func.count(func.distinct(func.coalesce(table.author_hash, table.source)))
    told = (
        select(
            table.story,
            func.count().label("posts"),
            voices.label("voices"),
            func.count(func.distinct(table.source)).label("sources"),
            func.count().filter(table.sentiment == "negative").label("negative"),
            func.min(table.published_ms).label("first_ms"),
            func.max(table.published_ms).label("last_ms"),
        )
        .where(
            table.published_ms >= rows.milliseconds(since),
            table.published_ms < rows.milliseconds(until),
        )
        .group_by(table.story)
        .order_by(voices.desc(), func.count().desc(), table.story)
        .limit(limit)
        .subquery()
    )
    query = (
        select(told, first.c.title, func.substr(first.c.text, 1, 200).label("head"))
        .select_from(told.outerjoin(first, first.c.id == told.c.story))
        .order_by(told.c.voices.desc(), told.c.posts.desc(), told.c.story)
    )
    with connected(engine, "reading stories") as connection:
        return [
            StorySums(
                story=row.story,
                title=row.title or row.head or "",
                posts=row.posts,
                voices=row.voices,
                negative=row.negative,
                first_at=rows.moment(row.first_ms),
                last_at=rows.moment(row.last_ms),
                sources=row.sources,
            )
            for row in connection.execute(query)
        ]
