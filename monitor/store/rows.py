"""Between events and rows of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from monitor.events import (
    SENTIMENTS,
    TOPICS,
    Bucket,
    DeadLetter,
    Gap,
    Heard,
    Kind,
    Partition,
    Scored,
    View,
    most_probable,
    scaled,
)
from monitor.store.base import (
    GroupState,
    Journey,
    KeyState,
    Notification,
    NotificationStatus,
    OutboxRow,
    Position,
)

Values = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    """Since the epoch, rounded down: exact, unlike ``timestamp() * 1000``."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(value: int) -> datetime:
    """The inverse of ``milliseconds``, in UTC."""
    return _EPOCH + timedelta(milliseconds=value)


def optional_ms(at: datetime | None) -> int | None:
    """``milliseconds`` of what may be missing."""
    return None if at is None else milliseconds(at)


def optional_moment(value: int | None) -> datetime | None:
    """``moment`` of what may be missing."""
    return None if value is None else moment(value)


@lru_cache(maxsize=4096)  # the same few come again and again; uncached, a quarter of a row
def _ticker_list(tickers: tuple[str, ...]) -> str:
    return json.dumps(tickers)


def document_rows(batch: Iterable[Scored], ingested_ms: int) -> list[tuple[Any, ...]]:
    """The rows of a batch that was polled at ``ingested_ms``, in the order of the columns of
    ``documents``."""
    made = []
    appended = scored_at = _EPOCH
    appended_ms = scored_ms = 0
    for scored in batch:
        document = scored.document
        origin = document.origin
        negative, neutral, positive = scored.sentiment
        if scored.scored_at is not scored_at:  # one for a whole micro-batch
            scored_at = scored.scored_at
            scored_ms = milliseconds(scored_at)
        if document.appended_at is not appended:  # one for a producer's batch
            appended = document.appended_at
            appended_ms = milliseconds(appended)
        made.append(
            (
                document.id,
                str(document.kind),  # a third of the time of its `value`
                document.source,
                (document.published_at - _EPOCH) // _MILLISECOND,
                document.title,
                document.url,
                document.author,
                document.lang,
                _ticker_list(document.tickers) if document.tickers else "[]",
                TOPICS[scored.topic],
                float(scored.topic_confidence),
                SENTIMENTS[most_probable(scored.sentiment)],
                float(negative),
                float(neutral),
                float(positive),
                scored.model_version,
                origin.topic,
                origin.partition,
                origin.offset,
                appended_ms,
                scored_ms,
                scored.story or document.id,
                scored.copy_of,
                scored.counted,
                document.text,
                ingested_ms,
            )
        )
    return made


def mention_rows(batch: Iterable[Scored]) -> list[tuple[Any, ...]]:
    """The rows of all that the documents of a batch name, in the order of ``mentions``."""
    return [
        (
            scored.document.id,
            mention.key,
            milliseconds(scored.document.published_at),
            mention.surface,
            *map(float, mention.sentiment),
        )
        for scored in batch
        for mention in scored.mentions
    ]


def name_rows(batch: Iterable[Scored]) -> list[tuple[str, str]]:
    """(key, name) of all that the documents of a batch name, each key once."""
    return sorted({m.key: m.name for scored in batch for m in scored.mentions}.items())


def stored_heard(row: Mapping[Any, Any], views: tuple[View, ...]) -> Heard:
    """What was counted of a stored document; ``views`` are those of its mentions."""
    sentiment = row["p_negative"], row["p_neutral"], row["p_positive"]
    return Heard(
        row["id"],
        moment(row["published_ms"]).timestamp(),
        row["author_hash"],
        Kind(row["kind"]),
        TOPICS.index(row["topic"]),
        most_probable(sentiment),
        scaled(sentiment),
        row["copy_of"] is not None,
        views,
    )


def view_of(row: Row[Any]) -> View:
    """What a stored document says for a key that it names."""
    sentiment = row.p_negative, row.p_neutral, row.p_positive
    return View(row.key, most_probable(sentiment), scaled(sentiment))


def dead_letter_values(letter: DeadLetter) -> Values:
    # A detail may quote the very bytes that no database takes; the letter must go in all the same.
    detail = (
        letter.detail.encode("utf-8", "replace")
        .decode()
        .replace("\x00", "\N{REPLACEMENT CHARACTER}")
    )
    return {
        "kafka_topic": letter.origin.topic,
        "kafka_partition": letter.origin.partition,
        "kafka_offset": letter.origin.offset,
        "reason": letter.reason.value,
        "detail": detail,
        "value": letter.value,
        "rejected_ms": milliseconds(letter.rejected_at),
    }


def gap_values(gap: Gap, now_ms: int) -> Values:
    return {
        "kafka_topic": gap.partition.topic,
        "kafka_partition": gap.partition.number,
        "expected": gap.expected,
        "resumed": gap.resumed,
        "found_ms": now_ms,
    }


def bucket_rows(buckets: Iterable[Bucket]) -> list[tuple[Any, ...]]:
    """The rows, in the order of the columns of ``buckets``."""
    return [
        (b.key, b.start, b.n, b.negative, b.positive, b.score_sum, b.revision, b.posts)
        for b in buckets
    ]


def bucket_of(row: Row[Any]) -> Bucket:
    return Bucket(
        key=row.key,
        start=row.start,
        n=row.n,
        negative=row.negative,
        positive=row.positive,
        score_sum=row.score_sum,
        revision=row.revision,
        posts=row.posts,
    )


def key_state_values(state: KeyState) -> Values:
    return {
        "detector": state.detector,
        "key": state.key,
        "version": state.version,
        "state": state.state,
    }


def key_state_of(row: Row[Any]) -> KeyState:
    return KeyState(detector=row.detector, key=row.key, version=row.version, state=bytes(row.state))


def position_of(row: Row[Any]) -> tuple[Partition, Position]:
    return (
        Partition(row.topic, row.partition),
        Position(row.next_offset, optional_moment(row.max_event_ms)),
    )


def position_values(position: Position, now_ms: int) -> Values:
    return {
        "next_offset": position.next_offset,
        "max_event_ms": optional_ms(position.max_event_time),
        "updated_ms": now_ms,
    }


def journey_of(row: Any) -> Journey:
    """The times of a document."""
    return Journey(
        moment(row.published_ms),
        moment(row.appended_ms),
        optional_moment(row.ingested_ms),
        moment(row.scored_ms),
    )


def outbox_row_of(row: Row[Any]) -> OutboxRow:
    return OutboxRow(
        id=row.id,
        destination=row.destination,
        payload=bytes(row.payload),
        created_at=moment(row.created_ms),
    )


def group_values(group: GroupState) -> Values:
    return {"receiver": group.receiver, "group_key": group.group_key, "state": group.state}


def group_of(row: Row[Any]) -> GroupState:
    return GroupState(receiver=row.receiver, group_key=row.group_key, state=bytes(row.state))


def notification_values(notification: Notification) -> Values:
    return {
        "id": notification.id,
        "receiver": notification.receiver,
        "group_key": notification.group_key,
        "body": notification.body,
        "status": notification.status.value,
        "attempts": notification.attempts,
        "created_ms": milliseconds(notification.created_at),
        "next_attempt_ms": milliseconds(notification.next_attempt_at),
        "delivered_ms": optional_ms(notification.delivered_at),
        "last_error": notification.last_error,
    }


def notification_of(row: Row[Any]) -> Notification:
    return Notification(
        id=row.id,
        receiver=row.receiver,
        group_key=row.group_key,
        body=bytes(row.body),
        created_at=moment(row.created_ms),
        next_attempt_at=moment(row.next_attempt_ms),
        status=NotificationStatus(row.status),
        attempts=row.attempts,
        delivered_at=optional_moment(row.delivered_ms),
        last_error=row.last_error,
    )
