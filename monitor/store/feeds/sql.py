"""The feeds' memory in the database, SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, func, select

from monitor.store import rows, schema
from monitor.store.engine import writing
from monitor.store.faults import connected
from monitor.store.feeds.base import TOUCH, FeedCommit, FeedState, Seen
from monitor.store.publishing.sql import SqlLane
from monitor.store.statements import Dialect


def feed_states(engine: Engine) -> Mapping[str, FeedState]:
    """How every feed does, for whoever only looks. Raises ``StoreError``."""
    with connected(engine, "reading the feeds") as connection:
        return {row.name: _state(row) for row in connection.execute(select(schema.feeds))}


class SqlFeeds:
    """`Feeds` over an engine of ``open_engine`` whose tables ``migrate`` has made. ``lane`` is the
    one whose lease the sender of this process has taken."""

    def __init__(self, engine: Engine, lane: SqlLane) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._lane = lane
        dialect = self._dialect = Dialect(engine.dialect.name)
        items = schema.feed_items
        self._known = select(items).where(dialect.any_of(items.c.key, "keys"))
        self._put_state = dialect.upsert(schema.feeds)
        self._put_item = dialect.upsert(items)

    def states(self) -> Mapping[str, FeedState]:
        """See `Feeds.states`."""
        return feed_states(self._engine)

    def seen(self, feed: str, keys: Collection[str]) -> Mapping[str, Seen]:
        """See `Feeds.seen`."""
        if not keys:
            return {}
        mine = self._known.where(schema.feed_items.c.feed == feed)
        with connected(self._engine, "looking up items of a feed") as connection:
            found = connection.execute(mine, {"keys": self._dialect.many(keys)})
            return {row.key: _seen(row) for row in found}

    def apply(self, commit: FeedCommit) -> None:
        """See `Feeds.apply`."""
        with connected(self._writer, "writing a poll of a feed") as connection:
            self._lane.check(connection)
            connection.execute(self._put_state, _state_values(commit.state))
            if commit.seen:
                name = commit.state.name
                connection.execute(self._put_item, [_item_values(name, s) for s in commit.seen])
            self._lane.put(connection, commit.messages, commit.now)

    def forget(self, feed: str, before: datetime, most: int) -> int:
        """See `Feeds.forget`."""
        items = schema.feed_items.c
        limit = rows.milliseconds(before)
        with connected(self._writer, "forgetting items of a feed") as connection:
            self._lane.check(connection)
            succeeded = connection.scalar(
                select(schema.feeds.c.succeeded_ms).where(schema.feeds.c.name == feed)
            )
            touch = int(TOUCH.total_seconds() * 1000)
            kept = limit if succeeded is None else succeeded - touch
            place = func.row_number().over(order_by=(items.last_seen_ms.desc(), items.key.desc()))
            order = select(items.key, place.label("place")).where(items.feed == feed).subquery()
            surplus = select(order.c.key).where(order.c.place > most)
            old = delete(schema.feed_items).where(
                items.feed == feed,
                items.last_seen_ms < kept,
                (items.last_seen_ms < limit) | items.key.in_(surplus),
            )
            return connection.execute(old).rowcount


def _state(row: Row[Any]) -> FeedState:
    return FeedState(
        name=row.name,
        url=row.url,
        etag=row.etag,
        last_modified=row.last_modified,
        failures=row.failures,
        polled_at=_moment(row.polled_ms),
        succeeded_at=_moment(row.succeeded_ms),
        next_poll_at=_moment(row.next_poll_ms),
        fault=row.fault,
        gone=bool(row.gone),
    )


def _state_values(state: FeedState) -> rows.Values:
    return {
        "name": state.name,
        "url": state.url,
        "etag": state.etag,
        "last_modified": state.last_modified,
        "failures": state.failures,
        "polled_ms": _ms(state.polled_at),
        "succeeded_ms": _ms(state.succeeded_at),
        "next_poll_ms": _ms(state.next_poll_at),
        "fault": state.fault,
        "gone": int(state.gone),
    }


def _seen(row: Row[Any]) -> Seen:
    return Seen(
        row.key,
        tuple(json.loads(row.fingerprints)),
        rows.moment(row.published_ms),
        bool(row.history),
        bool(row.undated),
        rows.moment(row.first_seen_ms),
        rows.moment(row.last_seen_ms),
    )


def _item_values(feed: str, seen: Seen) -> rows.Values:
    return {
        "feed": feed,
        "key": seen.key,
        "fingerprints": json.dumps(seen.fingerprints),
        "published_ms": rows.milliseconds(seen.published_at),
        "history": int(seen.history),
        "undated": int(seen.undated),
        "first_seen_ms": rows.milliseconds(seen.first_seen_at),
        "last_seen_ms": rows.milliseconds(seen.last_seen_at),
    }


def _ms(at: datetime | None) -> int | None:
    return None if at is None else rows.milliseconds(at)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else rows.moment(value)
