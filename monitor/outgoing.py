"""The rows of the outbox: what goes out on Kafka and to the receivers, as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitor.alert.codec import alert_to_json
from monitor.events import SENTIMENTS, Alert, DeadLetter, Scored
from monitor.store.base import RECEIVERS, Outgoing


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
) -> Iterator[Outgoing]:
    """What one batch sends: one row per topic, one for each change of an alert."""
    if scored:
        yield Outgoing(topics.scored, _lines((s.document.id, scored_message(s)) for s in scored))
    if dead_letters:
        yield Outgoing(
            topics.dead_letters, _lines((None, dead_letter_message(d)) for d in dead_letters)
        )
    for alert in alerts:
        # A pending alert has paged nobody, so its end is nobody's business either.
        if alert.fired_at is not None:
            payload = alert_to_json(alert)
            yield Outgoing(RECEIVERS, payload)
            yield Outgoing(topics.alerts, _lines([(alert.id, json.loads(payload))]))


def scored_message(scored: Scored) -> dict[str, object]:
    """A message of the topic ``scored``."""
    document = scored.document
    probabilities = (round(p, 5) for p in scored.sentiment)
    return {
        "id": document.id,
        "kind": document.kind,
        "source": document.source,
        "published_at": document.published_at.isoformat(),
        "title": document.title,
        "url": document.url,
        "tickers": document.tickers,
        "sentiment": scored.label,
        "probabilities": dict(zip(SENTIMENTS, probabilities, strict=True)),
        "topic": scored.topic_name,
        "topic_confidence": round(scored.topic_confidence, 5),
        "model_version": scored.model_version,
        "scored_at": scored.scored_at.isoformat(),
        "origin": {
            "topic": document.origin.topic,
            "partition": document.origin.partition,
            "offset": document.origin.offset,
        },
    }


def dead_letter_message(letter: DeadLetter) -> dict[str, object]:
    """A message of the topic ``dead-letters``: the reason, the place and the original bytes."""
    return {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "rejected_at": letter.rejected_at.isoformat(),
        "value_base64": None if letter.value is None else b64encode(letter.value).decode(),
    }


def _lines(messages: Iterable[tuple[str | None, object]]) -> bytes:
    return b"\n".join(
        json.dumps({"key": key, "value": value}, ensure_ascii=False, separators=(",", ":")).encode()
        for key, value in messages
    )
