"""The keys of the aggregates: what a document counts for, and how a person would call it."""

from __future__ import annotations

from functools import cache

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
    return keys_for(scored.document.kind, scored.topic)


@cache
def keys_for(kind: Kind, topic: int) -> tuple[str, ...]:
    """The keys of a kind and (index into ``TOPICS``) a topic."""
    return (ALL, kind_key(kind), topic_key(TOPICS[topic]))


def display_name(key: str) -> str:
    """A key as a person would say it."""
    if key == ALL:
        return "Whole stream"
    group, _, name = key.partition(":")
    return {"kind:news": "News", "kind:comment": "Comments"}.get(key, name or group)
