"""Polls of feeds as contacts of their sources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitor.heartbeat import Contact
from monitor.store.feeds.base import FeedState
from monitor.store.feeds.heartbeat import FeedHeartbeat

T0 = datetime(2026, 3, 2, tzinfo=UTC)


def state(name: str, failures: int = 0, minutes: int = 0) -> FeedState:
    at = T0 + timedelta(minutes=minutes)
    return FeedState(
        name,
        f"https://wire.example/{name}",
        failures=failures,
        polled_at=at,
        succeeded_at=None if failures else at,
        fault="HTTP 503" if failures else None,
    )


def test_a_source_answers_while_one_of_its_feeds_does() -> None:
    states = {"a": state("a", failures=4, minutes=9), "b": state("b", minutes=5)}
    beat = FeedHeartbeat(lambda: states, {"a": "wire", "b": "wire"})
    assert {"wire": Contact(state("b", 0, 5).succeeded_at, state("a", 4, 9).polled_at, 0, "")} == (
        beat.contacts()
    )


def test_when_all_of_them_fail_so_does_the_source_with_the_reason() -> None:
    states = {"a": state("a", failures=4, minutes=9), "b": state("b", failures=3, minutes=5)}
    (contact,) = FeedHeartbeat(lambda: states, {"a": "wire", "b": "wire"}).contacts().values()
    assert (3, "HTTP 503", None) == (contact.failures, contact.reason, contact.succeeded)


def test_feeds_that_are_configured_no_more_say_nothing() -> None:
    assert {} == FeedHeartbeat(lambda: {"a": state("a")}, {}).contacts()
