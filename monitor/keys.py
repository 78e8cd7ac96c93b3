"""The keys of the aggregates: what a document counts for, and how a person would call it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType

from monitor.events import TOPICS, Alert, Kind, Scored

ALL = "all"
_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_OTHERS = {
    "company": "Other companies",
    "name": "Other names",
    "pair": "Other companies by topic",
}
_KINDS = {"kind:news": "All news", "kind:comment": "All comments"}
NAMED = ("company", "name", "pair", "watch")
"""Sorts of keys that documents count for because they name somebody."""
CAPPED = ("company", "name", "pair")
"""Sorts of which there may be any number: beyond a cap they are counted as ``other:<sort>``."""
WHOLE = 3
"""Keys that a document counts for whatever it names: the stream, its kind, its topic. They come
first."""
_SORTS = frozenset({"topic", "company", "name", "watch", "source"})


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


@lru_cache(maxsize=65_536)
def pair_key(topic: int, company: str) -> str:
    """Key of what is said of a company on one topic (index into ``TOPICS``)."""
    return f"pair:{TOPICS[topic]}|{company}"


@lru_cache(maxsize=131_072)
def pair_of(key: str) -> tuple[str, str]:
    """The keys of the topic and the company of a pair."""
    topic, _, company = key.removeprefix("pair:").rpartition("|")  # topics have bars, too
    return topic_key(topic), company


def other_key(sort: str) -> str:
    """Key of all that is not followed one by one of a sort."""
    return f"other:{sort}"


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
        *(
            pair_key(scored.topic, mention.key)
            for mention in scored.mentions
            if is_company(mention.key)
        ),
    )


def is_of(scored: Scored, key: str) -> bool:
    """Whether a document counts for a key, or, for ``other:<sort>``, for any of the sort."""
    sort, _, rest = key.partition(":")
    if sort == "other":
        return any(k.partition(":")[0] == rest for k in keys_of(scored))
    return key in keys_of(scored)


@cache
def keys_for(kind: Kind, topic: int) -> tuple[str, ...]:
    """The keys of a kind and (index into ``TOPICS``) a topic."""
    return (ALL, kind_key(kind), topic_key(TOPICS[topic]))


def sort_of(key: str) -> str:
    """What sort of key it is: all, kind, topic, company, name, watch, pair, other or source.

    Raises ``ValueError`` for anything else.
    """
    sort, _, name = key.partition(":")
    if key == ALL or (name and sort in _SORTS):
        return sort
    if sort == "kind" and name in set(Kind):
        return sort
    if sort == "pair" and is_company(name.rpartition("|")[2]):
        return sort
    if sort == "other" and name in CAPPED:
        return sort
    raise ValueError(
        f"unknown key {key!r}: expected all, kind:<kind>, topic:<topic>, "
        "company:<country>:<symbol>, name:<name>, watch:<item>, pair:<topic>|<company key>, "
        "other:<sort> or source:<name>"
    )


def is_company(key: str) -> bool:
    """Whether it is the key of a listed company."""
    return key.startswith("company:")


def is_pair(key: str) -> bool:
    """Whether it is the key of a company on one topic."""
    return key.startswith("pair:")


def named_by(key: str) -> str:
    """The key that documents name where they count for this one: of a pair its company."""
    return pair_of(key)[1] if is_pair(key) else key


def is_capped(key: str) -> bool:
    """Whether there may be any number of its sort."""
    return key.partition(":")[0] in CAPPED


def is_named(key: str) -> bool:
    """Whether documents count for it because they name it, and not for what they are."""
    return key.partition(":")[0] in (*NAMED, "other")


def name_of(alert: Alert) -> str:
    """What an alert is about as a person would say it, by the names that its texts use."""
    return display_name(alert.key, names_in(alert))


def names_in(alert: Alert) -> Mapping[str, str]:
    """The names that the texts of an alert use, by key."""
    return {subject.key: subject.name for subject in alert.about.named}


def display_name(key: str, names: Mapping[str, str] = _NO_NAMES) -> str:
    """A key as a person would say it; ``names`` has those of companies and watched items."""
    if key == ALL:
        return "Whole stream"
    if (known := names.get(key)) is not None:
        return known
    sort, _, name = key.partition(":")
    if sort == "pair":
        topic, company = pair_of(key)
        return f"{display_name(company, names)} on {display_name(topic)}"
    if sort == "other":
        return _OTHERS.get(name, name)
    if sort == "drill":
        return "Scheduled drill" if key == DRILL_SCHEDULE else f"DRILL {name}"
    if sort == "company":
        country, _, symbol = name.partition(":")
        return f"{symbol} ({country})"
    return _KINDS.get(key, name or sort)
