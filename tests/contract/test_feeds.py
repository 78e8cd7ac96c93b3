"""What every ``Feeds`` promises, whichever database is behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from monitor.errors import LeaseError
from monitor.store.feeds.base import TOUCH, FeedCommit, Feeds, FeedState, Seen
from monitor.store.publishing.base import Message, Publishing

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STATE = FeedState("wire", "https://wire.example/rss")


class Backend(Protocol):
    feeds: Callable[[], tuple[Publishing, Feeds]]


def opened(backend: Backend) -> tuple[Publishing, Feeds]:
    publishing, feeds = backend.feeds()
    publishing.open()
    return publishing, feeds


def seen(key: str, last: datetime = T0, *fingerprints: str) -> Seen:
    return Seen(key, fingerprints or ("f",), T0 - timedelta(hours=1), False, True, T0, last)


def test_a_feed_that_was_never_polled_is_unknown(backend: Backend) -> None:
    _, feeds = opened(backend)
    assert {} == feeds.states()
    assert {} == feeds.seen("wire", ["a"])
    assert {} == feeds.seen("wire", [])


def test_state_items_and_messages_of_a_poll_are_stored_together(backend: Backend) -> None:
    publishing, feeds = opened(backend)
    state = replace(
        STATE,
        etag='"v1"',
        last_modified="Mon, 02 Mar 2026 09:00:00 GMT",
        failures=2,
        polled_at=T0,
        succeeded_at=T0 - timedelta(hours=1),
        next_poll_at=T0 + timedelta(minutes=10),
        fault="it is not there",
        gone=True,
    )
    message = Message("news", "feed:wire:a", b"{}")
    feeds.apply(FeedCommit(state, [seen("a"), seen("b")], [message], now=T0))

    assert {"wire": state} == feeds.states()
    assert {"a": seen("a"), "b": seen("b")} == feeds.seen("wire", ["a", "b", "c"])
    assert [message] == [waiting.message for waiting in publishing.waiting(10)]


def test_an_item_is_replaced_and_belongs_to_its_feed_alone(backend: Backend) -> None:
    _, feeds = opened(backend)
    later = seen("a", T0 + timedelta(hours=1), "f", "g")._replace(history=True)
    feeds.apply(FeedCommit(STATE, [seen("a")], now=T0))
    feeds.apply(FeedCommit(replace(STATE, name="other"), [seen("a")], now=T0))
    feeds.apply(FeedCommit(STATE, [later], now=T0))

    assert {"a": later} == feeds.seen("wire", ["a"])
    assert {"a": seen("a")} == feeds.seen("other", ["a"])


def test_many_items_are_looked_up_at_once(backend: Backend) -> None:
    _, feeds = opened(backend)
    many = [seen(f"k{number}") for number in range(3_000)]
    feeds.apply(FeedCommit(STATE, many, now=T0))

    assert 3_000 == len(feeds.seen("wire", [s.key for s in many]))


def test_what_another_process_has_taken_over_is_not_written(backend: Backend) -> None:
    _, old = opened(backend)
    publishing, new = opened(backend)
    for change in (
        lambda: old.apply(FeedCommit(STATE, [seen("a")], [Message("news", "a", b"")], now=T0)),
        lambda: old.forget("wire", T0, 1),
    ):
        with pytest.raises(LeaseError):
            change()

    assert {} == new.states()
    assert {} == new.seen("wire", ["a"])
    assert [] == list(publishing.waiting(10))


def test_what_a_feed_shows_no_more_is_forgotten_by_age(backend: Backend) -> None:
    _, feeds = opened(backend)
    items = [seen(f"d{days}", T0 - timedelta(days=days)) for days in (1, 5, 100)]
    feeds.apply(FeedCommit(replace(STATE, succeeded_at=T0), items, now=T0))

    assert 1 == feeds.forget("wire", T0 - timedelta(days=90), 100)
    assert {"d1", "d5"} == set(feeds.seen("wire", ["d1", "d5", "d100"]))


def test_what_a_feed_shows_no_more_is_forgotten_by_count_the_longest_unseen_first(
    backend: Backend,
) -> None:
    _, feeds = opened(backend)
    items = [seen(f"d{days}", T0 - timedelta(days=days)) for days in range(2, 7)]
    feeds.apply(FeedCommit(replace(STATE, succeeded_at=T0), items, now=T0))

    assert 3 == feeds.forget("wire", T0 - timedelta(days=90), 2)
    assert {"d2", "d3"} == set(feeds.seen("wire", [f"d{days}" for days in range(2, 7)]))


def test_what_a_feed_still_shows_is_never_forgotten(backend: Backend) -> None:
    _, feeds = opened(backend)
    long_ago = T0 - timedelta(days=400)  # the feed has been away since
    items = [seen("a", long_ago), seen("b", long_ago - TOUCH / 2), seen("c", long_ago - 2 * TOUCH)]
    feeds.apply(FeedCommit(replace(STATE, succeeded_at=long_ago), items, now=T0))

    assert 1 == feeds.forget("wire", T0 - timedelta(days=90), 1)
    assert {"a", "b"} == set(feeds.seen("wire", ["a", "b", "c"]))


def test_forgetting_in_a_feed_leaves_others_alone(backend: Backend) -> None:
    _, feeds = opened(backend)
    old = seen("a", T0 - timedelta(days=100))
    for name in ("wire", "other"):
        feeds.apply(FeedCommit(replace(STATE, name=name, succeeded_at=T0), [old], now=T0))
    feeds.forget("wire", T0 - timedelta(days=90), 100)

    assert {"a": old} == feeds.seen("other", ["a"])
