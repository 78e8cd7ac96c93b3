"""What every ``Publishing`` promises, whichever database is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from monitor.errors import LeaseError
from monitor.events import Partition
from monitor.store.publishing.base import PAGE_BYTES, Backlog, Message, Publishing

T0 = datetime(2023, 3, 9, 12, 0, tzinfo=UTC)
ENDS = {Partition("news", 0): 17, Partition("news", 1): 4}


class Backend(Protocol):
    publishing: Callable[[str], Publishing]


def some(count: int, topic: str = "news") -> list[Message]:
    return [Message(topic, f"id-{number}", b"%d" % number) for number in range(count)]


def opened(backend: Backend, lane: str = "feeds") -> Publishing:
    publishing = backend.publishing(lane)
    publishing.open()
    return publishing


def ids(publishing: Publishing, limit: int = 10) -> list[str]:
    return [waiting.message.id for waiting in publishing.waiting(limit)]


def rows(publishing: Publishing) -> Sequence[int]:
    return [waiting.row for waiting in publishing.waiting(10)]


def test_messages_wait_in_the_order_in_which_they_came(backend: Backend) -> None:
    publishing = opened(backend)
    publishing.add(some(2), T0)
    publishing.add([Message("comments", "other", b"x")], T0 + timedelta(seconds=1))

    assert ["id-0", "id-1"] == ids(publishing, 2)
    assert Message("comments", "other", b"x") == publishing.waiting(10)[2].message
    assert Backlog(3, T0) == publishing.backlog()


def test_a_message_that_waits_is_not_added_a_second_time(backend: Backend) -> None:
    publishing = opened(backend)
    publishing.add([Message("news", "a", b"first")], T0)
    publishing.add([Message("news", "a", b"second"), Message("comments", "a", b"third")], T0)

    assert [b"first", b"third"] == [w.message.value for w in publishing.waiting(10)]


def test_a_page_ends_where_it_would_be_too_heavy(backend: Backend) -> None:
    publishing = opened(backend)
    heavy = bytes(PAGE_BYTES // 2 + 1)
    publishing.add([Message("news", str(n), heavy) for n in range(3)], T0)

    assert ["0"] == ids(publishing)


def test_nothing_is_in_doubt_before_an_attempt_and_after_it_is_settled(backend: Backend) -> None:
    publishing = opened(backend)
    publishing.add(some(2), T0)
    assert publishing.doubt() is None

    publishing.note(rows(publishing), ENDS)
    doubt = publishing.doubt()
    assert doubt is not None
    assert ENDS == doubt.ends
    assert ["id-0", "id-1"] == [waiting.message.id for waiting in doubt.waiting]

    publishing.settle(rows(publishing))
    assert publishing.doubt() is None
    assert [] == ids(publishing)
    assert Backlog(0, None) == publishing.backlog()


def test_what_of_an_attempt_was_not_sent_waits_again(backend: Backend) -> None:
    publishing = opened(backend)
    publishing.add(some(3), T0)
    first, second, _ = rows(publishing)
    publishing.note([first, second], ENDS)
    publishing.settle([second])

    assert ["id-0", "id-2"] == ids(publishing)
    assert publishing.doubt() is None


def test_a_later_attempt_replaces_the_ends_of_the_one_before(backend: Backend) -> None:
    publishing = opened(backend)
    publishing.add(some(1), T0)
    publishing.note(rows(publishing), ENDS)
    publishing.note(rows(publishing), {Partition("news", 0): 18})

    doubt = publishing.doubt()
    assert doubt is not None
    assert {Partition("news", 0): 18} == doubt.ends


def test_the_doubt_outlives_the_process_and_the_identity_is_the_same(backend: Backend) -> None:
    first = backend.publishing("feeds")
    identity = first.open()
    first.add(some(1), T0)
    first.note(rows(first), ENDS)

    second = backend.publishing("feeds")
    assert identity == second.open()
    assert 16 == len(bytes.fromhex(identity)) * 2
    doubt = second.doubt()
    assert doubt is not None
    assert ENDS == doubt.ends


def test_a_sender_whose_lane_was_taken_can_change_nothing(backend: Backend) -> None:
    first = opened(backend)
    first.add(some(1), T0)
    second = opened(backend)

    changes: list[Callable[[], object]] = [
        lambda: first.note(rows(first), ENDS),
        lambda: first.settle(rows(first)),
        first.doubt,
    ]
    for change in changes:
        with pytest.raises(LeaseError) as error:
            change()
        assert not error.value.retryable
    assert second.doubt() is None
    assert ["id-0"] == ids(second)


def test_the_lanes_of_one_database_know_nothing_of_each_other(backend: Backend) -> None:
    feeds, push = backend.publishing("feeds"), backend.publishing("push")
    assert feeds.open() != push.open()
    feeds.add(some(2), T0)
    push.add([Message("news", "id-0", b"pushed")], T0)
    feeds.note(rows(feeds), ENDS)

    assert push.doubt() is None
    push.settle(rows(push))
    doubt = feeds.doubt()
    assert doubt is not None
    assert ENDS == doubt.ends
    assert ["id-0", "id-1"] == ids(feeds)


def test_anybody_may_add_without_having_the_lane(backend: Backend) -> None:
    sender = opened(backend)
    backend.publishing("feeds").add(some(1), T0)

    assert ["id-0"] == ids(sender)


def test_an_empty_change_and_a_second_close_are_harmless(backend: Backend) -> None:
    publishing = opened(backend)
    publishing.add([], T0)
    publishing.note([], {})
    publishing.settle([])
    publishing.close()
    publishing.close()
