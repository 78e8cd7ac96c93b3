"""The keys of the aggregates: what a document counts for, and how a person would call it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from monitor.events import TOPICS, Kind, Scored

ALL = "all"
_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_KINDS = {"kind:news": "News", "kind:comment": "Comments"}
_WHOLE_TEXT = frozenset({ALL, "kind", "topic"})
_NAMED = frozenset({"company", "name", "watch"})
_SORTS = frozenset({"topic", "source"}) | _NAMED


def kind_key(kind: str) -> str:
    """Key of one kind of source."""
    return f"kind:{kind}"


def topic_key(topic: str) -> str:
    """Key of one topic."""
    return f"topic:{topic}"


def company_key(country: str, symbol: str) -> str:
    """Key of a listed company: ISO 3166 code of the country, symbol of its first listing there."""
    return f"company:{country}:{symbol}"


def name_key(name: str) -> str:
    """Key of an organisation that no list has; ``name`` is normalised."""
    return f"name:{name}"


def watch_key(item: str) -> str:
    """Key of an item of the watch lists."""
    return f"watch:{item}"


def drill_key(drill: str) -> str:
    """Key of a drill's own alert, and of nothing else: no document counts for it."""
    return f"drill:{drill}"


DRILL_SCHEDULE = drill_key("schedule")
"""Key of the alert that a scheduled drill failed or was missed; no drill has this id."""


def source_key(name: str) -> str:
    """Key of a source of documents: of its alerts, not of the aggregates."""
    return f"source:{name}"


def universe() -> tuple[str, ...]:
    """Every key that exists before the first document."""
    return (ALL, *(kind_key(k) for k in Kind), *(topic_key(t) for t in TOPICS))


def keys_of(scored: Scored) -> tuple[str, ...]:
    """The keys that a document counts for."""
    return (
        *keys_for(scored.document.kind, scored.topic),
        *(mention.key for mention in scored.mentions),
    )


@cache
def keys_for(kind: Kind, topic: int) -> tuple[str, ...]:
    """The keys of a kind and (index into ``TOPICS``) a topic."""
    return (ALL, kind_key(kind), topic_key(TOPICS[topic]))


def sort_of(key: str) -> str:
    """What sort of key it is: all, kind, topic, company, name, watch or source.

    Raises ``ValueError`` for anything else.
    """
    sort, _, name = key.partition(":")
    if key == ALL or (name and sort in _SORTS):
        return sort
    if sort == "kind" and name in set(Kind):
        return sort
    raise ValueError(
        f"unknown key {key!r}: expected all, kind:<kind>, topic:<topic>, "
        "company:<country>:<symbol>, name:<name>, watch:<item> or source:<name>"
    )


def is_named(key: str) -> bool:
    """Whether documents count for it because they name it, and not for what they are."""
    return key.partition(":")[0] in _NAMED


def is_detected(key: str) -> bool:
    """Whether the detectors follow it."""
    sort = key.partition(":")[0]
    return sort in _WHOLE_TEXT or sort == "watch"


def display_name(key: str, names: Mapping[str, str] = _NO_NAMES) -> str:
    """A key as a person would say it; ``names`` has those of companies and watched items."""
    if key == ALL:
        return "Whole stream"
    if (known := names.get(key)) is not None:
        return known
    sort, _, name = key.partition(":")
    if sort == "drill":
        return "Scheduled drill" if key == DRILL_SCHEDULE else f"DRILL {name}"
    if sort == "company":
        country, _, symbol = name.partition(":")
        return f"{symbol} ({country})"
    return _KINDS.get(key, name or sort)
