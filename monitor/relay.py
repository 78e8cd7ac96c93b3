"""The outbox rows that go to Kafka topics: published in order, each topic failing on its own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.alert.codec import compact_json
from monitor.alert.lane import Lane
from monitor.source.base import Publisher
from monitor.store.base import OutboxRow

Message = tuple[bytes | None, bytes]

_LINE = {"key", "value"}
_KEYLESS = b'{"key":null,"value":{'
_KEYED = b'{"key":"'
_VALUE = b',"value":{'

DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds until a topic that failed is tried again; the last one is repeated for ever."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of the rows of one topic. ``error`` None: the broker acknowledged them all."""

    topic: str
    rows: tuple[OutboxRow, ...]
    messages: int
    error: Exception | None = None


@dataclass(slots=True)
class _Topic:
    failures: int = 0
    retry_at: datetime | None = None
    oldest: datetime | None = None  # row that is in flight or waits for retry_at


class Relay:
    """Publishes outbox rows, one submission at a time. Owned by the delivery loop's thread."""

    def __init__(self, publisher: Publisher, lane: Lane) -> None:
        self._publisher = publisher
        self._lane = lane
        self._topics: defaultdict[str, _Topic] = defaultdict(_Topic)
        self._future: Future[list[Published]] | None = None

    @property
    def future(self) -> Future[list[Published]] | None:
        """The submission in flight."""
        return self._future

    def held(self, now: datetime) -> frozenset[str]:
        """The topics whose rows can't be taken now: one is in flight, or the topic has failed."""
        if self._future is not None:
            return frozenset(self._topics)
        return frozenset(
            name for name, topic in self._topics.items() if topic.retry_at and topic.retry_at > now
        )

    def oldest(self) -> datetime | None:
        """When the oldest row in flight, or waiting for a topic that failed, was written."""
        return min((t.oldest for t in self._topics.values() if t.oldest), default=None)

    def publish(self, rows: Sequence[OutboxRow]) -> list[tuple[OutboxRow, str]]:
        """Submit these rows, unless others are in flight. Returns the rows that can't be read."""
        parsed: defaultdict[str, list[tuple[OutboxRow, list[Message]]]] = defaultdict(list)
        unreadable: list[tuple[OutboxRow, str]] = []
        for row in rows:
            self._topics[row.destination]  # known from now on: `held` names it
            try:
                parsed[row.destination].append((row, messages_of(row.payload)))
            except ValueError as error:
                unreadable.append((row, str(error)))
        if self._future is None and parsed:
            for name, items in parsed.items():
                self._topics[name].oldest = items[0][0].created_at
            self._future = self._lane.submit(lambda: self._publish(dict(parsed)))
        return unreadable

    def collect(self, now: datetime) -> list[Published]:
        """What has come of the submission, once; empty while it is in flight."""
        if self._future is None or not self._future.done():
            return []
        done = self._future.result()
        self._future = None
        for outcome in done:
            topic = self._topics[outcome.topic]
            if outcome.error is None:
                topic.failures, topic.retry_at, topic.oldest = 0, None, None
            else:
                delay = DELAYS[min(topic.failures, len(DELAYS) - 1)]
                topic.failures += 1
                topic.retry_at = now + timedelta(seconds=delay)
        return done

    def close(self) -> None:
        """Take no more rows. The publisher stays its owner's."""
        self._lane.close()

    def _publish(self, topics: dict[str, list[tuple[OutboxRow, list[Message]]]]) -> list[Published]:
        outcomes = []
        for topic, items in topics.items():
            rows = tuple(row for row, _ in items)
            messages = [message for _, batch in items for message in batch]
            error: Exception | None = None
            try:
                self._publisher.publish(topic, messages)
            except Exception as caught:  # noqa: BLE001 - another topic may still go through
                error = caught
            outcomes.append(Published(topic, rows, len(messages), error))
        return outcomes


def messages_of(payload: bytes) -> list[Message]:
    """The Kafka messages of one outbox row; raises ``ValueError`` naming the line that is wrong."""
    messages: list[Message] = []
    for number, line in enumerate(payload.splitlines(), start=1):
        try:
            messages.append(_as_written(line) or _strictly(line))
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from None
    return messages


def _as_written(line: bytes) -> Message | None:
    """The message of a line as `monitor.outgoing` writes nearly all, without reading its value: the
    row was written in the transaction of what it tells."""
    if not line.endswith(b"}}"):
        return None
    if line.startswith(_KEYED):
        end = line.find(b'"', len(_KEYED))
        key = line[len(_KEYED) : end]
        if line.startswith(_VALUE, end + 1) and b"\\" not in key:
            return key, line[end + len(_VALUE) : -1]
    elif line.startswith(_KEYLESS):
        return None, line[len(_KEYLESS) - 1 : -1]
    return None


def _strictly(line: bytes) -> Message:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(item, dict) or item.keys() != _LINE:
        raise ValueError("is not an object of key and value")
    key, value = item["key"], item["value"]
    if not isinstance(value, dict) or not (key is None or isinstance(key, str)):
        raise ValueError("does not hold a string or null as the key and an object as the value")
    return None if key is None else key.encode(), compact_json(value)
