"""What every ``Store`` promises of its transactions, whichever database is behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from harness.commits import (
    ABC,
    DAY,
    NEWS_0,
    NEWS_1,
    NORTHGATE,
    T0,
    Backend,
    alert,
    full,
    move,
    naming,
    scored,
    source,
    wording,
)

from monitor.errors import FencedError, LeaseError, StoreError
from monitor.events import (
    AlertStatus,
    Bucket,
    DeadLetter,
    Explained,
    Kind,
    Origin,
    Reason,
    Setting,
    SourceState,
    heard_of,
)
from monitor.store.base import Commit, KeyState, Position, Snapshot
from monitor.story.base import Changes, Flip, Rename, Told


def test_a_new_database_is_empty(backend: Backend) -> None:
    empty = Snapshot(
        buckets=[], recent=[], key_states=[], alerts=[], told=[], sources=[], rhythms=[]
    )
    assert empty == backend.store().load(DAY)


def test_what_was_applied_is_found_by_the_next_daemon(backend: Backend) -> None:
    first = backend.store()
    first.load(DAY)
    first.apply(full())

    found = backend.store().load(DAY)

    expected = full()
    assert {m.partition: m.position for m in expected.moves} == found.positions
    assert expected.closed_until == found.closed_until
    assert expected.buckets == found.buckets
    assert expected.key_states == found.key_states
    assert expected.alerts == found.alerts
    assert expected.told == found.told
    sent = [(row.destination, row.payload, row.created_at) for row in backend.outbox().rows(10)]
    assert [(o.destination, o.payload, T0) for o in expected.outgoing] == sent


def test_only_buckets_within_the_lookback_are_loaded(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    buckets = [Bucket("all", start, 1, 0, 0, 0) for start in (8 * DAY, 9 * DAY, 10 * DAY)]
    store.apply(Commit(closed_until=10 * DAY, buckets=buckets))

    assert buckets[1:] == store.load(DAY).buckets
    assert buckets == store.load(2 * DAY).buckets


def test_a_resolved_alert_is_not_loaded(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    pending, firing = alert("a1", AlertStatus.PENDING), alert("a2", AlertStatus.FIRING, 1)
    store.apply(Commit(alerts=[firing, alert("a3", AlertStatus.FIRING), pending]))
    store.apply(Commit(alerts=[alert("a3", AlertStatus.RESOLVED)]))

    assert [pending, firing] == store.load(DAY).alerts


def test_later_values_replace_buckets_key_states_alerts_and_the_closed_time(
    backend: Backend,
) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    bucket = Bucket("all", 10 * DAY, 5, 3, 1, -99, 1)
    state = KeyState("share", "all", "share-2", b"new")
    changed = replace(alert("a1", AlertStatus.FIRING), negative=15, evidence=())
    store.apply(
        Commit(closed_until=10 * DAY + 300, buckets=[bucket], key_states=[state], alerts=[changed])
    )

    found = store.load(DAY)

    assert (10 * DAY + 300, [bucket], [state], [changed]) == (
        found.closed_until,
        found.buckets,
        found.key_states,
        found.alerts,
    )


def test_a_wording_is_replaced_by_its_number(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    later = wording(4, 5_000)._replace(words=b"")
    store.apply(Commit(told=[later, wording(2, 3_000)]))

    assert [wording(2, 3_000), wording(3, 1_000), later] == store.load(DAY).told


def test_wordings_older_than_what_is_to_be_forgotten_are_gone_but_for_those_just_told(
    backend: Backend,
) -> None:
    store = backend.store()
    store.load(DAY)
    at = int(T0.timestamp()) * 1_000
    store.apply(Commit(told=[wording(1, at - 1), wording(2, at), wording(3, at + 1)]))
    late = wording(4, at - 5)
    store.apply(Commit(told=[late], forget_stories_before=T0))

    assert [wording(2, at), wording(3, at + 1), late] == store.load(DAY).told


def test_an_empty_commit_changes_nothing(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    before = store.load(DAY)
    store.apply(Commit())

    assert before == store.load(DAY)


def test_a_known_document_is_left_as_it_is(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(1, 0.9)]))
    store.apply(Commit(documents=[scored(1, 0.1), scored(2, 0.2)]))

    found = store.evidence("all", T0, T0 + timedelta(days=1), 10)

    assert [("d1", 0.9), ("d2", 0.2)] == [(e.document_id, e.negative) for e in found]


def test_a_rejected_record_and_a_gap_may_come_twice(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    again = Commit(dead_letters=full().dead_letters, gaps=full().gaps, now=T0)
    store.apply(again)
    store.apply(again)


def test_any_detail_of_a_dead_letter_can_be_written(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    detail = "lone \ud800 and NUL \x00 in the title"
    store.apply(
        Commit(
            dead_letters=[DeadLetter(Origin("news", 0, 1), Reason.LONE_SURROGATE, detail, b"", T0)]
        )
    )


def test_an_unexpected_offset_is_fenced_and_nothing_of_the_batch_is_written(
    backend: Backend,
) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(moves=[move(NEWS_0, None, 3), move(NEWS_1, None, 7)]))
    before = store.load(DAY)

    stale = replace(full(), moves=[move(NEWS_0, 3, 6), move(NEWS_1, 6, 9)])
    with pytest.raises(FencedError) as raised:
        store.apply(stale)

    assert raised.value.retryable
    assert not isinstance(raised.value, LeaseError)
    assert before == store.load(DAY)
    assert set() == store.known(["d1", "d2"])
    assert [] == list(backend.outbox().rows(10))


def test_a_partition_believed_new_but_stored_is_fenced(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(moves=[move(NEWS_0, None, 3)]))

    with pytest.raises(FencedError):
        store.apply(Commit(moves=[move(NEWS_0, None, 5), move(NEWS_1, None, 5)]))

    assert {NEWS_0: Position(3, T0)} == store.load(DAY).positions


def test_a_partition_believed_stored_but_unknown_is_fenced(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)

    with pytest.raises(FencedError):
        store.apply(Commit(moves=[move(NEWS_0, 3, 5)]))

    assert {} == store.load(DAY).positions


def test_after_a_fence_the_worker_goes_on_from_the_stored_offsets(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full(None, 3))
    with pytest.raises(FencedError):
        store.apply(full(2, 4))
    at = store.load(DAY).positions[NEWS_0].next_offset

    store.apply(full(at, 4))

    assert 4 == store.load(DAY).positions[NEWS_0].next_offset


def test_a_second_daemon_fences_the_first_for_good(backend: Backend) -> None:
    first, second = backend.store(), backend.store()
    first.load(DAY)
    first.apply(full(None, 3))
    second.load(DAY)

    for attempt in (lambda: first.apply(full(3, 4)), lambda: first.load(DAY)):
        with pytest.raises(LeaseError) as raised:
            attempt()
        assert not raised.value.retryable

    second.apply(full(3, 5))
    assert 5 == second.load(DAY).positions[NEWS_0].next_offset


def test_the_lease_comes_before_the_first_apply(backend: Backend) -> None:
    with pytest.raises(RuntimeError, match=r"load\(\)"):
        backend.store().apply(full())


def test_close_may_be_called_twice(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.close()
    store.close()


def test_a_failed_apply_can_be_repeated(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full(None, 3))
    refused = replace(full(3, 4), moves=[move(NEWS_0, 2, 4)])
    with pytest.raises(StoreError):
        store.apply(refused)

    store.apply(full(3, 4))

    assert 4 == store.load(DAY).positions[NEWS_1].next_offset


def test_an_empty_state_deletes_the_one_that_was_there(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    kept = KeyState("volume", "name:x", "v", b"1")
    store.apply(Commit(key_states=[KeyState("share", "name:x", "v", b"1"), kept]))
    store.apply(Commit(key_states=[KeyState("share", "name:x", "v", b"")]))
    assert [kept] == store.load(DAY).key_states


def test_an_alert_keeps_what_surrounds_it(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    setting = Setting(
        expected="results",
        under="all",
        explained=(Explained("topic:Macro", 0.5), Explained("all", 0.25)),
        corrected=(0.5, 0.375, 0.625),
        corrected_baseline=0.125,
    )
    surrounded = replace(alert("a1", AlertStatus.FIRING), setting=setting)
    store.apply(Commit(alerts=[surrounded]))
    assert [surrounded] == store.load(DAY).alerts


def test_a_stored_document_may_turn_out_to_be_a_copy(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(documents=[scored(2), scored(3)]))
    flips = [Flip("d2", Told("d1", "d1")), Flip("no", Told("x", "x"))]
    store.apply(Commit(documents=[scored(1)], changes=Changes(flips, [])))

    assert {"d1": 2, "d3": 1} == store.stories("all", T0, T0 + timedelta(hours=1))
    assert [False, True, False] == [h.copy for h in store.load(DAY).recent]


def test_a_story_may_get_another_first_document(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    copy = scored(3)._replace(story="d2", copy_of="d2")
    store.apply(Commit(documents=[scored(2), copy, scored(4)]))
    store.apply(Commit(documents=[scored(1)], changes=Changes([], [Rename("d2", "d1")])))

    assert {"d1": 3, "d4": 1} == store.stories("all", T0, T0 + timedelta(hours=1))


def test_the_next_daemon_knows_what_was_counted_of_late(backend: Backend) -> None:
    first = backend.store()
    first.load(DAY)
    start = int(T0.timestamp())
    batch = [
        naming(1, 0.9, NORTHGATE, ABC),
        scored(2)._replace(counted=False),
        scored(3, kind=Kind.COMMENT),
        scored(90),
    ]
    first.apply(Commit(documents=batch))
    assert ["d1", "d3", "d90"] == [h.id for h in backend.store().load(0).recent]

    second = backend.store()
    second.load(DAY)
    second.apply(Commit(closed_until=start + 3600))
    found = backend.store().load(3600 - 60).recent

    assert [heard_of(s)._replace(views=()) for s in (batch[0], batch[2], batch[3])] == [
        h._replace(views=()) for h in found
    ]
    assert sorted(heard_of(batch[0]).views) == list(found[0].views)
    assert ["d90"] == [h.id for h in backend.store().load(0).recent]


def test_history_is_added_to_the_buckets_that_are_there(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(Commit(buckets=[Bucket("all", 600, 5, 3, 1, -99, 1, posts=7)]))
    more = [Bucket("all", 600, 2, 1, 0, -1, posts=3), Bucket("name:x", 0, 1, 0, 1, 5, posts=1)]
    store.apply(Commit(history=more))

    added = Bucket("all", 600, 7, 4, 1, -100, 2, posts=10)
    assert [more[1], added] == store.load(DAY).buckets


def test_sources_replace_their_rows_and_are_deleted_with_their_rhythms(backend: Backend) -> None:
    store = backend.store()
    store.load(DAY)
    store.apply(full())
    found = backend.store().load(DAY)
    assert list(full().sources) == list(found.sources)
    assert list(full().rhythms) == list(found.rhythms)
    changed = source("wire", SourceState.SPEAKING, Kind.COMMENT)
    again = backend.store()
    again.load(DAY)
    again.apply(Commit(sources=[changed, source("forum")], gone=[""]))
    assert ["forum", "wire"] == [row.name for row in backend.store().load(DAY).sources]
    last = backend.store()
    assert changed == last.load(DAY).sources[1]
    last.apply(Commit(gone=["wire", "never there"]))
    after = backend.store().load(DAY)
    assert (["forum"], []) == ([row.name for row in after.sources], list(after.rhythms))
