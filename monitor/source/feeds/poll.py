"""Which items of a poll are new, which are old, and what is published of them: pure.

Nothing becomes news because its date can't be read, because its date was changed, or because the
feed was not known before. Each of these makes history of it: a document that fills baselines and
pages nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from monitor.source.feeds.parse import Item
from monitor.store.feeds.base import TOUCH, Seen

SAME_TEXT = 80
"""From so many characters on, the same title and text are the same item, whatever its guid says."""
REVISIONS = 8
"""Texts that are published of one item at most; some pages change with every look."""


class Verdict(StrEnum):
    """What becomes of an item. Also the label of a metric, so the set is closed."""

    NEW = "new"
    HISTORY = "history"
    UNDATED = "undated"
    """It has no date to rely on: published with the time at which it was first seen."""
    UPDATED = "updated"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as old."""

    interval: timedelta
    """Of the polls: on the first one, what is older is history."""
    old_after: timedelta = timedelta(days=1)
    """An item that is older when it is first seen is history, whatever happened meanwhile."""
    back_dated: timedelta = timedelta(hours=1)
    """How long before the previous poll an item may be dated that this poll shows first: feeds
    are written late, and cached."""
    future: timedelta = timedelta(minutes=5)
    """A date further ahead of the clock is none to rely on."""
    publish_updates: bool = False
    undated_is_news: bool = False
    """Take an undated item, if the previous poll did not show it, for news."""


class Found(NamedTuple):
    """An item and what becomes of it."""

    item: Item
    verdict: Verdict
    id: str
    """Of the document; empty for one that is known."""
    published_at: datetime
    history: bool
    undated: bool


class Decision(NamedTuple):
    """What a poll brought, and what has to be remembered of it."""

    found: list[Found]
    seen: list[Seen]

    @property
    def publish(self) -> list[Found]:
        """Those that become documents."""
        return [found for found in self.found if found.id]


def item_key(item: Item) -> str:
    """What an item is remembered by: a hash of its identity within its feed."""
    return hashlib.sha256(item.key.encode()).hexdigest()[:32]


def text_key(item: Item) -> str | None:
    """What an item is remembered by besides, where its text is long enough to tell it apart: a
    publisher who moves to another system gives everything new guids and dates."""
    if len(item.title) + len(item.text) < SAME_TEXT:
        return None
    return f"text:{item.fingerprint}"


def keys_of(items: Iterable[Item]) -> set[str]:
    """Everything that `decide` looks up."""
    return {key for item in items for key in (item_key(item), text_key(item)) if key}


def document_id(feed: str, key: str, revision: str = "") -> str:
    """The id of an item's document: the same on every poll, in every process."""
    return f"feed:{feed}:{key}" + (f":{revision}" if revision else "")


def decide(
    feed: str,
    items: Iterable[Item],
    known: Mapping[str, Seen],
    previous: datetime | None,
    rules: Rules,
    now: datetime,
) -> Decision:
    """What becomes of the items that ``feed`` shows ``now``.

    ``known`` holds what was seen before of `keys_of` the items; ``previous`` is the last successful
    poll, None on the first.
    """
    decision = Decision([], [])
    texts: dict[str, Seen] = {}
    for item in items:
        key, text = item_key(item), text_key(item)
        before = known.get(key)
        twin = (known.get(text) or texts.get(text)) if text else None
        if before is not None:
            found, after = _again(feed, item, before, rules, now)
            if after is not before:
                decision.seen.append(after)
            if twin is not None and now - twin.last_seen_at >= TOUCH:
                decision.seen.append(twin._replace(last_seen_at=now))
        elif twin is not None:
            found = _known(item, twin)
            decision.seen.append(twin._replace(key=key, first_seen_at=now, last_seen_at=now))
        else:
            found = _first(feed, item, key, previous, rules, now)
            seen = _seen(key, found, now)
            decision.seen.append(seen)
            if text:
                texts[text] = seen._replace(key=text)
        decision.found.append(found)
    decision.seen.extend(texts.values())
    return decision


def _first(
    feed: str, item: Item, key: str, previous: datetime | None, rules: Rules, now: datetime
) -> Found:
    at = item.published
    identity = document_id(feed, key)
    today = item.date_fault == "no time of day" and at is not None and now - at < timedelta(days=1)
    if at is None or at - now > rules.future or today:
        history = previous is None or not rules.undated_is_news
        return Found(item, Verdict.UNDATED, identity, now, history, undated=True)
    if previous is None:
        history = at < now - rules.interval
    else:
        history = at < max(now - rules.old_after, previous - rules.back_dated)
    verdict = Verdict.HISTORY if history else Verdict.NEW
    return Found(item, verdict, identity, at, history, undated=False)


def _again(feed: str, item: Item, before: Seen, rules: Rules, now: datetime) -> tuple[Found, Seen]:
    """Its date is the one it was first seen with, whatever it says now."""
    at = before.published_at
    touched = before
    if now - before.last_seen_at >= TOUCH:
        touched = before._replace(last_seen_at=now)
    text = item.fingerprint
    changed = text not in before.fingerprints and len(before.fingerprints) < REVISIONS
    if not (changed and rules.publish_updates):
        return _known(item, before), touched
    history = before.history or at < now - rules.old_after
    identity = document_id(feed, before.key, text)
    found = Found(item, Verdict.UPDATED, identity, at, history, before.undated)
    fingerprints = (*before.fingerprints, text)
    return found, before._replace(fingerprints=fingerprints, last_seen_at=now)


def _known(item: Item, before: Seen) -> Found:
    return Found(item, Verdict.KNOWN, "", before.published_at, before.history, before.undated)


def _seen(key: str, found: Found, now: datetime) -> Seen:
    fingerprints = (found.item.fingerprint,)
    return Seen(key, fingerprints, found.published_at, found.history, found.undated, now, now)
