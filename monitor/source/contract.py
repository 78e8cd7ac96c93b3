"""The contract of a message: its limits and patterns in one place, and their JSON Schema.

The decoder checks by hand what the schema says, because a validator costs a hundred times as much
as parsing. A test holds both, and docs/message.schema.json, to the same examples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.events import Kind

CONTROL = "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f"
"""Unicode's Cc but tab, line feed and carriage return. C1 (0x80–0x9f) is among them: in practice it
is Windows-1252 read as Latin-1, so the text is already damaged."""
SURROGATE = "\\ud800-\\udfff"

FIELDS = (
    *("id", "kind", "source", "published_at", "title", "text", "url", "author", "lang"),
    "tickers",
)
"""Every field of a message that holds text; all but ``tickers`` are strings."""
FLAGS = ("history", "undated")
"""The fields that are true or false."""
DRILL = r"(?!schedule$)[a-z0-9][a-z0-9-]{0,47}"
"""The id of a drill, the one field beside them; ``schedule`` is the key of its own alert."""

PUBLISHED_AT = (
    r"(?:19[7-9]\d|[2-9]\d{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    r"[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)
"""RFC 3339 date-time, section 5.6, from 1970 on."""
LANG = r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*"
"""The shape of BCP 47 (RFC 5646), and the underscore that many feeds write."""
URL = r"[Hh][Tt][Tt][Pp][Ss]?://\S+"
"""Only the web: a ``javascript:`` address would become a link on the dashboard."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much: bytes of the record's value, characters of a field (before stripping)."""

    message_bytes: int = 256 * 1024
    id: int = 256
    source: int = 256
    title: int = 4_000
    url: int = 4_096
    author: int = 512
    lang: int = 35
    tickers: int = 64
    """Items of the list."""
    ticker: int = 32
    future: timedelta = timedelta(minutes=10)
    """How far ahead of the clock ``published_at`` may lie: clocks of feeds are not exact."""


def message_schema(limits: Limits | None = None) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one message.

    Stricter than it in the decoder alone: the size in bytes, the days of a month, a leap second
    that is not at 23:59 UTC, a moment before 1970 in UTC or after 9999, ``published_at`` ahead of
    the clock, control characters and lone surrogates where a validator's regular expressions
    cannot see them.
    """
    limits = Limits() if limits is None else limits
    clean = f"^[^{CONTROL}{SURROGATE}]*$"
    optional = ["string", "null"]

    def blank_or(pattern: str) -> str:
        return rf"^\s*(?:{pattern})?\s*$"

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Message",
        "description": (
            "One news item or comment: the value of a Kafka record, a JSON object in UTF-8 of at "
            f"most {limits.message_bytes:,} bytes. Unknown fields are ignored, of a repeated field "
            "the last counts, null and blank strings count as absent. Control characters (Unicode "
            "Cc but tab, line feed, carriage return) and lone surrogates are rejected."
        ),
        "type": "object",
        "required": ["source", "published_at"],
        "anyOf": [
            {"required": [name], "properties": {name: {"type": "string", "pattern": r"\S"}}}
            for name in ("title", "text")
        ],
        "additionalProperties": True,
        "properties": {
            "id": {
                "description": "Unique over all sources and stable over re-publication. Without "
                "it: a hash of source, url and title; without a title, of text and published_at "
                "too, or else all comments under one page would be one document.",
                "type": optional,
                "maxLength": limits.id,
                "pattern": clean,
            },
            "kind": {
                "description": "Without it the topic decides.",
                "enum": [*(kind.value for kind in Kind), None],
            },
            "source": {
                "description": "Who published it: a host name, a forum.",
                "type": "string",
                "maxLength": limits.source,
                "pattern": clean,
                "allOf": [{"pattern": r"\S"}],
            },
            "published_at": {
                "description": "RFC 3339 with a zone, from 1970 on; not more than a few minutes "
                "ahead of the clock.",
                "type": "string",
                "pattern": f"^{PUBLISHED_AT}$",
            },
            "title": {"type": optional, "maxLength": limits.title, "pattern": clean},
            "text": {"type": optional, "pattern": clean},
            "url": {
                "type": optional,
                "maxLength": limits.url,
                "pattern": blank_or(URL),
                "allOf": [{"pattern": clean}],
            },
            "author": {
                "description": "Kept only as a keyed hash.",
                "type": optional,
                "maxLength": limits.author,
                "pattern": clean,
            },
            "lang": {
                "description": "A BCP 47 tag.",
                "type": optional,
                "maxLength": limits.lang,
                "pattern": blank_or(LANG),
            },
            "tickers": {
                "type": ["array", "null"],
                "maxItems": limits.tickers,
                "items": {
                    "type": "string",
                    "maxLength": limits.ticker,
                    "pattern": clean,
                    "allOf": [{"pattern": r"\S"}],
                },
            },
            "history": {
                "description": "Known to be old: an archive, an item that its feed held before it "
                "was first read. It fills baselines and pages nobody. Without it: false.",
                "type": ["boolean", "null"],
            },
            "undated": {
                "description": "The source gave no usable date: published_at is when the item was "
                "first seen. Without it: false.",
                "type": ["boolean", "null"],
            },
            "drill": {
                "description": "The id of the drill that this document belongs to (docs/drill.md): "
                "it is scored, and is part of no aggregate, baseline, story or history.",
                "type": optional,
                "pattern": f"^{DRILL}$",
            },
        },
    }


unclean = re.compile(f"[{CONTROL}{SURROGATE}]").search
