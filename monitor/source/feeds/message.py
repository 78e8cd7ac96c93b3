"""From an item to the message that the daemon reads (docs/message.schema.json)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from monitor.source.contract import Limits
from monitor.source.feeds.poll import Found
from monitor.store.publishing.base import Message

TEXT = 50_000
"""Characters of a text that are published at most."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a feed's messages go, and what they say of themselves."""

    topic: str
    kind: str
    source: str
    language: str = ""
    """Wins over what the feed says."""


def source_of(url: str) -> str:
    """The publisher's name where none is configured: the host, without ``www.``."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def message_of(found: Found, channel: Channel, limits: Limits) -> Message:
    """The message of an item that is to be published; a text too long for the contract is cut."""
    item = found.item
    text = item.text[:TEXT]
    value: dict[str, Any] = {
        "id": found.id,
        "kind": channel.kind,
        "source": channel.source,
        "published_at": found.published_at,
        "title": item.title[: min(limits.title, limits.message_bytes // 10)],
        "text": text,
        "url": item.url or None,
        "author": item.author[: limits.author] or None,
        "lang": channel.language or item.lang or None,
        "history": found.history,
        "undated": found.undated,
    }
    packed = orjson.dumps(value)
    while text and len(packed) > limits.message_bytes:
        text = text[: len(text) * limits.message_bytes // len(packed) - 1]
        packed = orjson.dumps({**value, "text": text})
    return Message(channel.topic, found.id, packed)
