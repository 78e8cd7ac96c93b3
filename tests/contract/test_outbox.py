"""What every ``Outbox`` promises, whichever database is behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from monitor.store.base import (
    RECEIVERS,
    Commit,
    GroupState,
    Notification,
    NotificationStatus,
    Outbox,
    OutboxChange,
    Outgoing,
    Store,
)

T0 = datetime(2023, 3, 9, 12, 0, tzinfo=UTC)


class Backend(Protocol):
    store: Callable[[], Store]
    outbox: Callable[[], Outbox]


def fill(backend: Backend, *outgoing: Outgoing) -> None:
    store = backend.store()
    store.load(0)
    for each in outgoing:
        store.apply(Commit(outgoing=[each], now=T0))


def notification(number: int, minutes: int = 0) -> Notification:
    return Notification(
        id=f"msg_{number}",
        receiver="desk",
        group_key="topic:Macro",
        body=b'{"version":"4"}',
        created_at=T0,
        next_attempt_at=T0 + timedelta(minutes=minutes),
    )


def test_rows_come_oldest_first_and_only_as_many_as_asked(backend: Backend) -> None:
    fill(backend, *(Outgoing(RECEIVERS, b"%d" % n) for n in range(5)))

    assert [b"0", b"1", b"2"] == [row.payload for row in backend.outbox().rows(3)]


def test_rows_of_a_failing_destination_do_not_fill_the_page(backend: Backend) -> None:
    rows = [Outgoing("scored", b"s"), Outgoing("alerts", b"a"), Outgoing(RECEIVERS, b"r")]
    fill(backend, rows[0], rows[0], *rows)

    found = backend.outbox().rows(2, skip={"scored"})

    assert [("alerts", b"a"), (RECEIVERS, b"r")] == [(r.destination, r.payload) for r in found]


def test_a_deleted_row_does_not_come_back_and_its_id_is_not_used_again(backend: Backend) -> None:
    fill(backend, Outgoing("scored", b"0"))
    outbox = backend.outbox()
    (first,) = outbox.rows(10)
    outbox.save(OutboxChange(delete_rows=[first.id]))
    assert [] == list(outbox.rows(10))

    fill(backend, Outgoing("scored", b"1"))

    (second,) = outbox.rows(10)
    assert (b"1", T0) == (second.payload, second.created_at)
    assert second.id > first.id


def test_deleting_an_unknown_row_or_group_changes_nothing(backend: Backend) -> None:
    fill(backend, Outgoing("scored", b"0"))
    outbox = backend.outbox()
    outbox.save(OutboxChange(delete_rows=[999], delete_groups=[("desk", "nobody")]))

    assert 1 == len(outbox.rows(10))


def test_groups_are_put_replaced_and_deleted(backend: Backend) -> None:
    outbox = backend.outbox()
    kept, gone = GroupState("desk", "a", b"1"), GroupState("desk", "b", b"1")
    outbox.save(OutboxChange(put_groups=[kept, gone, GroupState("mail", "a", b"2")]))
    outbox.save(OutboxChange(put_groups=[replace(kept, state=b"3")], delete_groups=[("desk", "b")]))

    expected = [GroupState("desk", "a", b"3"), GroupState("mail", "a", b"2")]
    assert expected == list(outbox.groups())


def test_a_group_outlives_the_daemon(backend: Backend) -> None:
    group = GroupState("desk", "a", b'{"firing": []}')
    backend.outbox().save(OutboxChange(put_groups=[group]))

    assert [group] == list(backend.outbox().groups())


def test_only_due_notifications_are_given_the_longest_waiting_first(backend: Backend) -> None:
    outbox = backend.outbox()
    early, late, future = notification(1, 1), notification(2, 2), notification(3, 3)
    outbox.save(OutboxChange(put_notifications=[future, late, early]))

    assert [early, late] == list(outbox.due(T0 + timedelta(minutes=2), 10))
    assert [early] == list(outbox.due(T0 + timedelta(minutes=2), 1))
    assert [] == list(outbox.due(T0, 10))


def test_a_failed_attempt_is_remembered(backend: Backend) -> None:
    outbox = backend.outbox()
    outbox.save(OutboxChange(put_notifications=[notification(1)]))
    failed = replace(
        notification(1), attempts=1, next_attempt_at=T0 + timedelta(minutes=9), last_error="503"
    )
    outbox.save(OutboxChange(put_notifications=[failed]))

    assert [] == list(outbox.due(T0 + timedelta(minutes=8), 10))
    assert [failed] == list(outbox.due(T0 + timedelta(minutes=9), 10))


def test_a_finished_notification_is_not_due(backend: Backend) -> None:
    outbox = backend.outbox()
    done = [
        replace(notification(1), status=NotificationStatus.DELIVERED, delivered_at=T0),
        replace(notification(2), status=NotificationStatus.DEAD),
        replace(notification(3), status=NotificationStatus.SUPERSEDED),
    ]
    outbox.save(OutboxChange(put_notifications=[notification(1), notification(2)]))
    outbox.save(OutboxChange(put_notifications=done))

    assert [] == list(outbox.due(T0 + timedelta(days=1), 10))


def test_the_body_of_a_notification_never_changes(backend: Backend) -> None:
    outbox = backend.outbox()
    first = notification(1)
    outbox.save(OutboxChange(put_notifications=[first]))
    other = replace(first, body=b"other", group_key="other", created_at=T0 + timedelta(hours=1))
    outbox.save(OutboxChange(put_notifications=[other]))

    assert [first] == list(outbox.due(T0, 10))


def test_one_step_takes_a_row_and_leaves_its_group_and_notification(backend: Backend) -> None:
    fill(backend, Outgoing(RECEIVERS, b"0"))
    outbox = backend.outbox()
    group = GroupState("desk", "topic:Macro", b"1")
    outbox.save(
        OutboxChange(
            delete_rows=[row.id for row in outbox.rows(1)],
            put_groups=[group],
            put_notifications=[notification(1)],
        )
    )

    found = (list(outbox.rows(9)), list(outbox.groups()), list(outbox.due(T0, 9)))
    assert ([], [group], [notification(1)]) == found


def test_an_empty_change_and_a_second_close_are_harmless(backend: Backend) -> None:
    outbox = backend.outbox()
    outbox.save(OutboxChange())
    outbox.close()
    outbox.close()


def test_what_waits_for_a_slow_receiver_does_not_fill_the_page(backend: Backend) -> None:
    outbox = backend.outbox()
    slow = [replace(notification(n), receiver="slow") for n in range(3)]
    outbox.save(OutboxChange(put_notifications=[*slow, notification(9, 1)]))

    later = T0 + timedelta(minutes=5)
    assert [notification(9, 1)] == list(outbox.due(later, 2, skip={"slow", "other"}))
    assert slow[:2] == list(outbox.due(later, 2))


def test_a_receiver_that_has_come_back_is_sent_what_waits_at_once(backend: Backend) -> None:
    outbox = backend.outbox()
    now = T0 + timedelta(minutes=10)
    soon, late = notification(1, 5), notification(2, 240)
    dead = replace(notification(3, 300), status=NotificationStatus.DEAD)
    other = replace(notification(4, 240), receiver="mail")
    outbox.save(OutboxChange(put_notifications=[soon, late, dead, other]))

    outbox.save(OutboxChange(wake={"desk": now}))

    assert [soon, replace(late, next_attempt_at=now)] == list(outbox.due(now, 10))
    assert [other] == [n for n in outbox.due(T0 + timedelta(days=9), 10) if n.receiver == "mail"]
