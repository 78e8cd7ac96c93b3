"""The rows of the outbox: what goes out on Kafka and to the receivers, as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from monitor.alert.codec import alert_to_json
from monitor.events import (
    SENTIMENTS,
    TOPICS,
    Alert,
    DeadLetter,
    Mention,
    Reason,
    Scored,
    most_probable,
)
from monitor.store.base import RECEIVERS, Outgoing

_SCALE = 100_000  # five digits of a probability; `round` takes four times as long
ROW = 512
"""Messages in one row: the delivery loop holds some hundred rows at a time."""


@dataclass(frozen=True, slots=True)
class OutTopics:
    """Names of the Kafka topics that the daemon writes."""

    scored: str = "scored"
    alerts: str = "alerts"
    dead_letters: str = "dead-letters"


def outgoing(
    topics: OutTopics,
    scored: Sequence[Scored],
    dead_letters: Sequence[DeadLetter],
    alerts: Sequence[Alert],
    unpaged: bool = False,
) -> Iterator[Outgoing]:
    """What one batch sends: rows of at most ``ROW`` messages for each topic, one for each change
    of an alert. ``unpaged``: somebody has a digest, which has what paged nobody, too."""
    for first in range(0, len(scored), ROW):
        part = scored[first : first + ROW]
        yield Outgoing(topics.scored, _lines([(s.document.id, scored_message(s)) for s in part]))
    for first in range(0, len(dead_letters), ROW):
        rejected = dead_letters[first : first + ROW]
        yield Outgoing(
            topics.dead_letters, _lines([(None, dead_letter_message(d)) for d in rejected])
        )
    for alert in alerts:
        # A pending alert has paged nobody, so its end is nobody's business either.
        if alert.fired_at is None and not unpaged:
            continue
        payload = alert_to_json(alert)
        if alert.sent or unpaged:
            yield Outgoing(RECEIVERS, payload)
        if alert.fired_at is not None:
            yield Outgoing(topics.alerts, _lines([(alert.id, json.loads(payload))]))


def scored_message(scored: Scored) -> dict[str, object]:
    """A message of the topic ``scored``."""
    document, sentiment = scored.document, scored.sentiment
    topic, partition, offset = document.origin
    return {
        "id": document.id,
        "kind": document.kind,
        "source": document.source,
        "published_at": document.published_at,
        "title": document.title,
        "url": document.url,
        "tickers": document.tickers,
        "sentiment": SENTIMENTS[most_probable(sentiment)],
        "probabilities": _probabilities(sentiment),
        "topic": TOPICS[scored.topic],
        "topic_confidence": int(scored.topic_confidence * _SCALE + 0.5) / _SCALE,
        "story": scored.story or document.id,
        "copy_of": scored.copy_of,
        "mentions": [_mention(mention) for mention in scored.mentions] if scored.mentions else (),
        "model_version": scored.model_version,
        "scored_at": scored.scored_at,
        "origin": {"topic": topic, "partition": partition, "offset": offset},
    }


def _mention(mention: Mention) -> dict[str, object]:
    key, name, surface, sentiment = mention
    return {
        "key": key,
        "name": name,
        "surface": surface,
        "sentiment": SENTIMENTS[most_probable(sentiment)],
        "probabilities": _probabilities(sentiment),
    }


def _probabilities(sentiment: tuple[float, float, float]) -> dict[str, float]:
    negative, neutral, positive = sentiment
    return {
        "negative": int(negative * _SCALE + 0.5) / _SCALE,
        "neutral": int(neutral * _SCALE + 0.5) / _SCALE,
        "positive": int(positive * _SCALE + 0.5) / _SCALE,
    }


def dead_letter_message(letter: DeadLetter) -> dict[str, object]:
    """A message of the topic ``dead-letters``: the reason, the place and the original bytes."""
    return {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "rejected_at": letter.rejected_at,
        "value_base64": None if letter.value is None else b64encode(letter.value).decode(),
    }


def bad_row_message(
    reason: Reason, detail: str, file: str, row: int, value: bytes | None, rejected_at: datetime
) -> dict[str, object]:
    """A message of the topic ``dead-letters`` for a row of a file, which is its place."""
    return {
        "reason": reason,
        "detail": detail,
        "topic": None,
        "partition": None,
        "offset": None,
        "file": file,
        "row": row,
        "rejected_at": rejected_at,
        "value_base64": None if value is None else b64encode(value).decode(),
    }


def _lines(messages: Sequence[tuple[str | None, dict[str, object]]]) -> bytes:
    items = [{"key": key, "value": value} for key, value in messages]
    try:
        return b"\n".join(map(orjson.dumps, items))
    except orjson.JSONEncodeError:  # a lone surrogate, in what a scorer said of a text
        return "\n".join(json.dumps(i, default=datetime.isoformat) for i in items).encode()
