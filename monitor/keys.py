"""The keys of the aggregates: what a document counts for, and how a person would call it."""

from __future__ import annotations

from monitor.events import TOPICS, Kind, Scored

ALL = "all"


def kind_key(kind: str) -> str:
    """Key of one kind of source."""
    return f"kind:{kind}"


def topic_key(topic: str) -> str:
    """Key of one topic."""
    return f"topic:{topic}"


def universe() -> tuple[str, ...]:
    """Every key that exists before the first document."""
    return (ALL, *(kind_key(k) for k in Kind), *(topic_key(t) for t in TOPICS))


def keys_of(scored: Scored) -> tuple[str, ...]:
    """The keys that a document counts for."""
    return (ALL, kind_key(scored.document.kind), topic_key(scored.topic_name))


def display_name(key: str) -> str:
    """A key as a person would say it."""
    if key == ALL:
        return "Whole stream"
    group, _, name = key.partition(":")
    return {"kind:news": "News", "kind:comment": "Comments"}.get(key, name or group)
