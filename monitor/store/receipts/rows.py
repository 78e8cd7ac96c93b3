"""Between receipts, the documents that they list, and rows of the tables."""

from __future__ import annotations

import hashlib
import zlib
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from monitor.events import TOPICS, Kind, Origin, Scored, content_of
from monitor.keys import is_named
from monitor.store import keyed, rows, schema
from monitor.store.base import KeptReceipt, Listed
from monitor.story.shown import sentiment_towards


def digest_of(title: str, text: str) -> str:
    """SHA-256, in hexadecimal, of what the model reads of a document: `Document.content`."""
    return hashlib.sha256(content_of(title, text).encode(errors="surrogatepass")).hexdigest()


def listed_of(scored: Scored, key: str) -> Listed:
    """A document as the receipt of an alert of this key lists it."""
    document = scored.document
    negative, neutral, positive = map(float, sentiment_towards(scored, key))
    return Listed(
        document.id,
        document.origin,
        rows.moment(rows.milliseconds(document.published_at)),
        document.source,
        document.author,
        document.kind,
        scored.topic,
        (negative, neutral, positive),
        scored.copy_of,
        scored.model_version,
        digest_of(document.title, document.text),
    )


def listing(key: str, since: datetime, until: datetime, limit: int) -> Select[Any]:
    """The query of `Store.listed`, the newest first."""
    table, published = schema.documents.c, keyed.published(key)
    judged = (schema.mentions if is_named(key) else schema.documents).c
    return (
        select(
            table.id,
            table.kafka_topic,
            table.kafka_partition,
            table.kafka_offset,
            table.published_ms,
            table.source,
            table.author_hash,
            table.kind,
            table.topic,
            judged.p_negative,
            judged.p_neutral,
            judged.p_positive,
            table.copy_of,
            table.model_version,
            table.title,
            table.text,
        )
        .select_from(keyed.among(key))
        .where(
            keyed.of_key(key),
            published >= rows.milliseconds(since),
            published < rows.milliseconds(until),
            table.counted,
        )
        .order_by(published.desc(), table.id.desc())
        .limit(limit)
    )


def listed_row(row: Any) -> Listed:
    """A row of `listing`."""
    return Listed(
        row.id,
        Origin(row.kafka_topic, row.kafka_partition, row.kafka_offset),
        rows.moment(row.published_ms),
        row.source,
        row.author_hash,
        Kind(row.kind),
        TOPICS.index(row.topic),
        (row.p_negative, row.p_neutral, row.p_positive),
        row.copy_of,
        row.model_version,
        digest_of(row.title, row.text),
    )


def receipt_values(receipt: KeptReceipt) -> rows.Values:
    return {
        "alert_id": receipt.alert_id,
        "made_ms": rows.milliseconds(receipt.made_at),
        "body": zlib.compress(receipt.body),
    }


def receipt_of(row: Row[Any]) -> KeptReceipt:
    return KeptReceipt(row.alert_id, rows.moment(row.made_ms), zlib.decompress(bytes(row.body)))
