"""Between events and rows of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Row, Select, select, true

from monitor.events import (
    SENTIMENTS,
    TOPICS,
    About,
    Alert,
    AlertStatus,
    Bucket,
    DeadLetter,
    Evidence,
    Explained,
    Gap,
    Heard,
    Kind,
    Partition,
    Scored,
    Setting,
    Severity,
    Subject,
    Term,
    View,
    Waterfall,
    most_probable,
    scaled,
)
from monitor.keys import is_named, pair_of, sort_of
from monitor.store import schema
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


def alert_values(alert: Alert) -> Values:
    return {
        "id": alert.id,
        "key": alert.key,
        "detector": alert.detector,
        "detector_version": alert.detector_version,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "started_ms": milliseconds(alert.started_at),
        "fired_ms": optional_ms(alert.fired_at),
        "resolved_ms": optional_ms(alert.resolved_at),
        "value": float(alert.value),
        "baseline": float(alert.baseline),
        "evalue": float(alert.evalue),
        "threshold": float(alert.threshold),
        "documents": alert.documents,
        "negative": alert.negative,
        "window_start_ms": milliseconds(alert.window_start),
        "window_end_ms": milliseconds(alert.window_end),
        "summary": alert.summary,
        "model_version": alert.model_version,
        "appended_ms": milliseconds(alert.appended_at),
        "updated_ms": milliseconds(alert.updated_at),
        "evidence": evidence_text(alert.evidence),
        "posts": alert.posts,
        "stories": alert.stories,
        "largest_story": alert.largest_story,
        "setting": json.dumps(asdict(alert.setting)),
        "waterfall": alert.waterfall and json.dumps(_waterfall_values(alert.waterfall)),
        "receipt": alert.receipt,
        "about": None if alert.about == About() else json.dumps(asdict(alert.about)),
    }


def alert_of(row: Row[Any]) -> Alert:
    return Alert(
        id=row.id,
        key=row.key,
        detector=row.detector,
        detector_version=row.detector_version,
        status=AlertStatus(row.status),
        severity=Severity(row.severity),
        started_at=moment(row.started_ms),
        fired_at=optional_moment(row.fired_ms),
        resolved_at=optional_moment(row.resolved_ms),
        value=row.value,
        baseline=row.baseline,
        evalue=row.evalue,
        threshold=row.threshold,
        documents=row.documents,
        negative=row.negative,
        window_start=moment(row.window_start_ms),
        window_end=moment(row.window_end_ms),
        summary=row.summary,
        model_version=row.model_version,
        appended_at=moment(row.appended_ms),
        updated_at=moment(row.updated_ms),
        evidence=evidence_of_text(row.evidence),
        posts=row.posts,
        stories=row.stories,
        largest_story=row.largest_story,
        setting=_setting_of(json.loads(row.setting)),
        waterfall=None if row.waterfall is None else _waterfall_of(json.loads(row.waterfall)),
        receipt=row.receipt,
        about=About() if row.about is None else _about_of(json.loads(row.about)),
    )


def _waterfall_values(waterfall: Waterfall) -> Values:
    return {
        "published_ms": milliseconds(waterfall.published_at),
        "appended_ms": milliseconds(waterfall.appended_at),
        "ingested_ms": optional_ms(waterfall.ingested_at),
        "scored_ms": milliseconds(waterfall.scored_at),
        "fired_ms": milliseconds(waterfall.fired_at),
    }


def _waterfall_of(values: Values) -> Waterfall:
    return Waterfall(
        published_at=moment(values["published_ms"]),
        appended_at=moment(values["appended_ms"]),
        ingested_at=optional_moment(values["ingested_ms"]),
        scored_at=moment(values["scored_ms"]),
        fired_at=moment(values["fired_ms"]),
    )


def journey_of(row: Any) -> Journey:
    """The times of a document."""
    return Journey(
        moment(row.published_ms),
        moment(row.appended_ms),
        optional_moment(row.ingested_ms),
        moment(row.scored_ms),
    )


def evidence_text(evidence: Iterable[Evidence]) -> str:
    """Evidence as a JSON list."""
    return json.dumps([_evidence_values(piece) for piece in evidence])


def evidence_of_text(text: str) -> tuple[Evidence, ...]:
    """The inverse of ``evidence_text``."""
    return tuple(_evidence_of(values) for values in json.loads(text))


def _evidence_values(piece: Evidence) -> Values:
    return {
        "document_id": piece.document_id,
        "published_ms": milliseconds(piece.published_at),
        "source": piece.source,
        "title": piece.title,
        "url": piece.url,
        "negative": float(piece.negative),
        "topic": piece.topic,
        "excerpt": piece.excerpt,
        "story": piece.story,
        "copies": piece.copies,
    }


def _evidence_of(values: Values) -> Evidence:
    return Evidence(
        document_id=values["document_id"],
        published_at=moment(values["published_ms"]),
        source=values["source"],
        title=values["title"],
        url=values["url"],
        negative=values["negative"],
        topic=values["topic"],
        excerpt=values["excerpt"],
        # Earlier versions wrote neither.
        story=values.get("story", ""),
        copies=values.get("copies", 0),
    )


def _setting_of(values: Values) -> Setting:
    corrected, rate = values.get("corrected"), values.get("rate")
    return Setting(
        **{
            **values,
            "explained": tuple(Explained(*pair) for pair in values.get("explained", ())),
            "corrected": None if corrected is None else tuple(corrected),
            "rate": None if rate is None else tuple(rate),
        }
    )


def _about_of(values: Values) -> About:
    return About(
        values["voices"],
        tuple(Term(*term) for term in values["terms"]),
        tuple(Subject(*subject) for subject in values["named"]),
        tuple(Subject(*subject) for subject in values["topics"]),
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


def of_key(key: str) -> ColumnElement[bool]:
    """The documents of a key, as a condition; those that name it: joined with ``mentions``.

    Raises ``ValueError`` for a key of an unknown sort.
    """
    sort, name = sort_of(key), key.partition(":")[2]
    documents, mentions = schema.documents.c, schema.mentions.c
    if sort == "all":
        return true()
    if sort == "pair":
        topic, company = pair_of(key)
        return (mentions.key == company) & (documents.topic == topic.partition(":")[2])
    if sort == "other":
        named = "company" if name == "pair" else name
        return mentions.key.startswith(f"{named}:", autoescape=True)
    if is_named(key):
        return mentions.key == key
    if sort == "source":
        return documents.source == name
    return (documents.topic if sort == "topic" else documents.kind) == name


def among(key: str) -> FromClause:
    """Where to look for the documents of a key."""
    documents, mentions = schema.documents, schema.mentions
    if is_named(key):
        return mentions.join(documents, documents.c.id == mentions.c.document_id)
    return documents


def published(key: str) -> Column[int]:
    """The column of event times that goes with the index of a key."""
    return (schema.mentions if is_named(key) else schema.documents).c.published_ms


def first_of_slice(key: str, begin: int, end: int, look: int) -> Select[tuple[str]]:
    """Ids of the first ``look`` documents between two times (milliseconds) that an index finds for
    a key; `beside_the_index` says which of them are the key's."""
    documents, mentions = schema.documents.c, schema.mentions.c
    sort, name = sort_of(key), key.partition(":")[2]
    narrowed: list[ColumnElement[bool]] = []
    if is_named(key):
        identifier, at = mentions.document_id, mentions.published_ms
        if sort != "other":
            narrowed.append(mentions.key == (pair_of(key)[1] if sort == "pair" else key))
    else:
        identifier, at = documents.id, documents.published_ms
        if sort == "topic":
            narrowed.append(documents.topic == name)
    return (
        select(identifier)
        .where(at >= begin, at < end, *narrowed)
        .order_by(at, identifier)
        .limit(look)
    )


def beside_the_index(key: str) -> ColumnElement[bool]:
    """Whether a document of `first_of_slice` is the key's."""
    documents, name = schema.documents.c, key.partition(":")[2]
    match sort_of(key):
        case "kind":
            return documents.kind == name
        case "source":
            return documents.source == name
        case "pair":
            return documents.topic == pair_of(key)[0].partition(":")[2]
    return true()


def negativity(key: str) -> Column[float]:
    """P(negative) towards what a key stands for."""
    return (schema.mentions if is_named(key) else schema.documents).c.p_negative
