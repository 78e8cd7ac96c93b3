"""Which items are news: the whole point of the feeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import Document, Kind, Origin, Record
from monitor.source.contract import Limits
from monitor.source.decode import Decoder
from monitor.source.feeds.message import TEXT, Channel, message_of, source_of
from monitor.source.feeds.parse import Item
from monitor.source.feeds.poll import (
    REVISIONS,
    SAME_TEXT,
    Decision,
    Found,
    Rules,
    Verdict,
    decide,
    keys_of,
)
from monitor.store.feeds.base import TOUCH, Seen

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = Rules(interval=timedelta(minutes=10))
LONG = "The bank has halted withdrawals until further notice, its board said. " * 2


def item(key: str = "1", at: datetime | None = T0, text: str = "", fault: str = "") -> Item:
    fault = fault or ("" if at else "missing")
    return Item(key, f"title {key}", text, "", "", "", at, fault)


def ago(**span: float) -> datetime:
    return T0 - timedelta(**span)


class Memory:
    """What polls remember, as the store does it."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.known: dict[str, Seen] = {}
        self.previous: datetime | None = None

    def poll(self, items: Sequence[Item], now: datetime) -> Decision:
        known = {key: self.known[key] for key in keys_of(items) if key in self.known}
        decision = decide("wire", items, known, self.previous, self.rules, now)
        self.known.update((seen.key, seen) for seen in decision.seen)
        self.previous = now
        return decision

    def one(self, given: Item, now: datetime) -> Found:
        (found,) = self.poll([given], now).found
        return found


def after_one_poll(rules: Rules = RULES) -> Memory:
    memory = Memory(rules)
    memory.poll([], ago(minutes=10))
    return memory


def test_on_the_first_poll_only_what_is_younger_than_an_interval_is_news() -> None:
    items = [item("new", ago(minutes=9)), item("old", ago(minutes=11)), item("undated", None)]
    found = Memory().poll(items, T0).found

    assert [Verdict.NEW, Verdict.HISTORY, Verdict.UNDATED] == [f.verdict for f in found]
    assert [False, True, True] == [f.history for f in found]


def test_a_new_item_is_news_with_its_own_date() -> None:
    found = after_one_poll().one(item(at=ago(minutes=3)), T0)
    assert (Verdict.NEW, ago(minutes=3), False, False) == (
        found.verdict,
        found.published_at,
        found.history,
        found.undated,
    )


def test_what_is_shown_again_is_known() -> None:
    memory = after_one_poll()
    memory.one(item(), T0)
    again = memory.poll([item()], T0 + timedelta(minutes=10))

    assert [Verdict.KNOWN] == [f.verdict for f in again.found]
    assert not again.publish
    assert not again.seen


@pytest.mark.parametrize("at", [None, ago(days=400), T0 + timedelta(days=2), ago(seconds=-600)])
def test_a_changed_date_alone_never_fires(at: datetime | None) -> None:
    memory = after_one_poll(replace(RULES, publish_updates=True))
    memory.one(item(text="a"), T0)
    later = T0 + timedelta(minutes=10)

    assert not memory.poll([item(at=at, text="a")], later).publish


def test_a_back_dated_item_is_history_with_its_real_date() -> None:
    found = after_one_poll().one(item(at=ago(hours=2)), T0)
    assert (Verdict.HISTORY, ago(hours=2), True) == (
        found.verdict,
        found.published_at,
        found.history,
    )


def test_a_feed_that_is_written_late_still_brings_news() -> None:
    assert Verdict.NEW == after_one_poll().one(item(at=ago(minutes=65)), T0).verdict


def test_what_was_published_while_the_feed_was_away_is_news_up_to_a_day() -> None:
    memory = Memory()
    memory.poll([], ago(days=3))
    found = memory.poll([item("a", ago(hours=23)), item("b", ago(hours=25))], T0).found

    assert [False, True] == [f.history for f in found]


@pytest.mark.parametrize(
    "undated",
    [
        item(at=None, fault="missing"),
        item(at=None, fault="unreadable"),
        item(at=T0 + timedelta(hours=3)),
        item(at=T0.replace(hour=0), fault="no time of day"),
    ],
    ids=lambda i: i.date_fault or "future",
)
def test_an_item_without_a_usable_date_is_marked_and_never_fires(undated: Item) -> None:
    found = after_one_poll().one(undated, T0)
    assert (Verdict.UNDATED, T0, True, True) == (
        found.verdict,
        found.published_at,
        found.history,
        found.undated,
    )


def test_who_trusts_a_feed_may_take_undated_items_for_news_but_not_on_the_first_poll() -> None:
    memory = Memory(replace(RULES, undated_is_news=True))
    first = memory.one(item("a", None), T0)
    second = memory.one(item("b", None), T0 + timedelta(minutes=10))

    assert (True, True) == (first.history, first.undated)
    assert (False, True) == (second.history, second.undated)


def test_an_undated_item_that_gets_a_date_later_stays_what_it_was() -> None:
    memory = after_one_poll()
    memory.one(item(at=None), T0)
    assert not memory.poll([item(at=T0)], T0 + timedelta(minutes=10)).publish


def test_a_date_of_another_day_needs_no_time_of_day() -> None:
    found = after_one_poll().one(item(at=ago(days=9), fault="no time of day"), T0)
    assert (Verdict.HISTORY, ago(days=9)) == (found.verdict, found.published_at)


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    assert Verdict.NEW == after_one_poll().one(item(at=ago(minutes=-4)), T0).verdict


def test_a_changed_text_is_published_again_only_where_it_is_asked_for() -> None:
    for publish, verdict in ((False, Verdict.KNOWN), (True, Verdict.UPDATED)):
        memory = after_one_poll(replace(RULES, publish_updates=publish))
        first = memory.one(item(text="a"), T0)
        second = memory.one(item(at=T0 + timedelta(minutes=9), text="b"), ago(minutes=-10))
        assert verdict == second.verdict
        assert publish == bool(second.id)
        assert first.id != second.id
        assert T0 == second.published_at  # not the edited date


def test_a_text_that_flaps_is_published_once_for_each_text_and_not_for_ever() -> None:
    memory = after_one_poll(replace(RULES, publish_updates=True))
    ids = [
        found.id
        for turn in range(40)
        for text in (f"t{turn % 2}", f"other {turn}")
        for found in memory.poll([item(text=text)], T0).publish
    ]
    assert REVISIONS == len(ids) == len(set(ids))


def test_an_update_of_history_is_history() -> None:
    memory = Memory(replace(RULES, publish_updates=True))
    memory.one(item(at=ago(days=2), text="a"), T0)
    again = memory.one(item(at=ago(days=2), text="b"), T0 + timedelta(minutes=10))
    assert (Verdict.UPDATED, True) == (again.verdict, again.history)


def test_an_update_of_an_undated_item_is_undated() -> None:
    memory = after_one_poll(replace(RULES, publish_updates=True, undated_is_news=True))
    memory.one(item(at=None, text="a"), T0)
    again = memory.one(item(at=None, text="b"), T0 + timedelta(minutes=10))
    assert (Verdict.UPDATED, T0, True, False) == (
        again.verdict,
        again.published_at,
        again.undated,
        again.history,
    )


def test_an_old_item_that_was_news_once_is_history_when_it_is_updated() -> None:
    memory = after_one_poll(replace(RULES, publish_updates=True))
    memory.one(item(text="a"), T0)
    again = memory.one(item(text="b"), T0 + timedelta(days=2))
    assert again.history


def test_a_long_text_under_a_new_guid_and_date_is_the_same_item() -> None:
    memory = after_one_poll()
    memory.one(Item("a", "t", LONG, "", "", "", T0, ""), T0)
    moved = Item("b", "t", LONG, "", "", "", T0 + timedelta(hours=5), "")

    assert Verdict.KNOWN == memory.one(moved, T0 + timedelta(hours=5)).verdict
    assert Verdict.KNOWN == memory.one(moved, T0 + timedelta(hours=6)).verdict


def test_a_short_text_may_come_again() -> None:
    memory = after_one_poll()
    memory.one(Item("a", "Weekly update", "", "", "", "", T0, ""), T0)
    next_week = T0 + timedelta(days=7)
    memory.poll([], next_week - timedelta(minutes=10))

    found = memory.one(Item("b", "Weekly update", "", "", "", "", next_week, ""), next_week)
    assert Verdict.NEW == found.verdict
    assert len("Weekly update") < SAME_TEXT


def test_twins_within_one_poll_are_one_document() -> None:
    twins = [Item(key, "t", LONG, "", "", "", T0, "") for key in "ab"]
    assert 1 == len(after_one_poll().poll(twins, T0).publish)


def test_an_item_that_stays_in_the_feed_is_remembered_anew_once_a_day() -> None:
    memory = after_one_poll()
    memory.one(Item("a", "t", LONG, "", "", "", T0, ""), T0)
    assert not memory.poll([Item("a", "t", LONG, "", "", "", T0, "")], ago(hours=-23)).seen

    touched = memory.poll([Item("a", "t", LONG, "", "", "", T0, "")], T0 + TOUCH).seen
    assert {T0 + TOUCH} == {seen.last_seen_at for seen in touched}
    assert 2 == len(touched)


DATES = st.one_of(
    st.none(),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@given(st.lists(st.tuples(st.sampled_from("abc"), DATES), min_size=1, max_size=30))
def test_however_dates_are_edited_an_item_is_published_once(
    shown: list[tuple[str, datetime | None]],
) -> None:
    memory, now, ids = Memory(), T0, []
    for key, at in shown:
        now += timedelta(minutes=10)
        ids += [found.id for found in memory.poll([item(key, at)], now).publish]
    assert len(ids) == len(set(ids)) == len({key for key, _ in shown})


@given(DATES, st.booleans())
def test_nothing_older_than_a_day_and_nothing_undated_is_ever_news(
    at: datetime | None, first: bool
) -> None:
    memory = Memory() if first else after_one_poll()
    found = memory.one(item(at=at), T0)
    if not found.history:
        assert at is not None
        assert ago(days=1) <= at <= T0 + RULES.future
        assert at == found.published_at


def decoded(found: Found, channel: Channel, limits: Limits) -> Document:
    message = message_of(found, channel, limits)
    record = Record(Origin(message.topic, 0, 0), message.value, message.id.encode(), T0)
    decoder = Decoder(limits, {"news": Kind.NEWS}, lambda name: name)
    made = decoder.decode(record, now=T0, rejected_at=T0)
    assert isinstance(made, Document), made
    return made


def test_the_message_is_what_the_daemon_reads() -> None:
    given = Item("1", "t", "x", "https://wire.example/1", "Ann", "de", ago(days=3), "")
    (found,) = Memory().poll([given], T0).publish
    document = decoded(found, Channel("news", "comment", "The Wire"), Limits())

    assert (found.id, Kind.COMMENT, "The Wire") == (document.id, document.kind, document.source)
    assert (ago(days=3), True, False) == (
        document.published_at,
        document.history,
        document.undated,
    )
    assert ("t", "x", "https://wire.example/1", "Ann", "de") == (
        document.title,
        document.text,
        document.url,
        document.author,
        document.lang,
    )


def test_a_configured_language_wins() -> None:
    (found,) = Memory().poll([item()], T0).publish
    value = message_of(found, Channel("news", "news", "s", "fr"), Limits()).value
    assert "fr" == json.loads(value)["lang"]


@pytest.mark.parametrize("letter", ["x", '"', "\\", "é", "金", "😀", "a\n"])
@pytest.mark.parametrize("message_bytes", [8 * 1024, 64 * 1024, 256 * 1024])
def test_however_long_an_item_is_its_message_fits_the_contract(
    letter: str, message_bytes: int
) -> None:
    limits = Limits(message_bytes=message_bytes)
    huge = Item("k" * 10_000, letter * 10_000, letter * 200_000, "", letter * 9_000, "", T0, "")
    (found,) = Memory().poll([huge], T0).publish
    assert len(message_of(found, Channel("news", "news", "s"), limits).id) <= limits.id
    assert len(decoded(found, Channel("news", "news", "s" * 256), limits).text) <= TEXT


def test_the_source_is_the_host() -> None:
    assert "example.com" == source_of("https://www.Example.com:8443/rss?x")
