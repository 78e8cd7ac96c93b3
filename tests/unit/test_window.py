"""Buckets of event time: whatever the order and the batches, the same buckets close."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.aggregate.window import MAX_SILENCE, Window
from monitor.events import BUCKET_SECONDS, Bucket, Sums

OUT_OF_ORDERNESS = 60
T = 900_000
"""The start of a bucket."""

Event = tuple[int, str, int]
"""Event time, key, negative (0 or 1)."""
Row = tuple[int, tuple[tuple[str, int, int, int, int], ...]]


def deltas(events: Iterable[Event]) -> dict[tuple[str, int], Sums]:
    """Sums of a batch, as the pipeline hands them over."""
    found: dict[tuple[str, int], Sums] = {}
    for at, key, negative in events:
        start = at // BUCKET_SECONDS * BUCKET_SECONDS
        found.setdefault((key, start), Sums()).add(Sums(1, negative, 1 - negative, at % 97))
    return found


def close(window: Window, watermark: float | None) -> list[Row]:
    """Close, and freeze what was closed."""
    return [
        (c.start, tuple(sorted((k, s.n, s.negative, s.positive, s.score_sum)
                               for k, s in c.sums.items())))
        for c in window.close(watermark)
    ]  # fmt: skip


def one(window: Window, at: int, watermark: float | None = None) -> list[Row]:
    """Add one document of key ``k``, then close."""
    window.add(deltas([(at, "k", 1)]))
    return close(window, watermark)


def run(
    events: Sequence[Event], cuts: Iterable[int], restarts: frozenset[int] = frozenset()
) -> tuple[list[Row], dict[tuple[str, int], Bucket]]:
    """Feed the events in batches, under a watermark of bounded out-of-orderness, then close all.

    After the batches numbered in ``restarts`` a new window goes on from what was drained.
    """
    window, stored, closed, newest = Window(), dict[tuple[str, int], Bucket](), list[Row](), 0
    edges = [0, *sorted(cuts), len(events)]
    for number, (begin, end) in enumerate(pairwise(edges)):
        batch = events[begin:end]
        newest = max([newest, *(at for at, _, _ in batch)])
        window.add(deltas(batch))
        closed += close(window, newest - OUT_OF_ORDERNESS if newest else None)
        stored |= {(b.key, b.start): b for b in window.drain()}
        if number in restarts:
            until, window = window.closed_until, Window()
            window.restore(
                [b for b in stored.values() if until is None or b.start >= until - window.lookback],
                until,
            )
    closed += close(window, newest + BUCKET_SECONDS)
    return closed, stored


arrivals = st.lists(
    st.tuples(
        st.integers(0, 5_000),  # event time
        st.sampled_from("ab"),
        st.integers(0, 1),
        st.integers(0, OUT_OF_ORDERNESS - 1),  # delay of the arrival
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    arrivals,
    st.lists(st.integers(0, 30), max_size=6),
    st.frozensets(st.integers(0, 6), max_size=3),
)
def test_order_batches_and_restarts_change_no_closed_bucket(
    drawn: list[tuple[int, str, int, int]], cuts: list[int], restarts: frozenset[int]
) -> None:
    in_order = [(T + at, key, x) for at, key, x, _ in sorted(drawn)]
    arrived = [(T + at, key, x) for at, key, x, _ in sorted(drawn, key=lambda e: (e[0] + e[3], e))]
    expected, expected_rows = run(in_order, [])
    actual, actual_rows = run(arrived, [min(c, len(arrived)) for c in cuts], restarts)
    assert expected == actual
    assert expected_rows == actual_rows


@settings(max_examples=40, deadline=None)
@given(
    arrivals,
    arrivals,
    st.sampled_from([MAX_SILENCE - 600, MAX_SILENCE, MAX_SILENCE + 300, 400 * 86_400]),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_batches_do_not_change_how_a_long_silence_is_walked_through(
    before: list[tuple[int, str, int, int]],
    after: list[tuple[int, str, int, int]],
    silence: int,
    cuts: list[int],
) -> None:
    events = [(T + at, key, x) for at, key, x, _ in sorted(before)]
    again = events[-1][0] + silence
    events += [(again + at, key, x) for at, key, x, _ in sorted(after)]
    assert run(events, [])[0] == run(events, [min(c, len(events)) for c in cuts])[0]


def test_a_bucket_closes_when_the_watermark_passes_its_end() -> None:
    window = Window()
    assert [] == one(window, T + 10, T + 299.9)
    assert [(T, (("k", 1, 1, 0, (T + 10) % 97),))] == close(window, T + 300)
    assert T + 300 == window.closed_until
    assert [] == close(window, T + 300)


def test_without_a_watermark_nothing_closes() -> None:
    assert [] == one(Window(), T, None)


def test_a_watermark_that_goes_back_opens_nothing_again() -> None:
    window = Window()
    one(window, T, T + 600)
    assert [] == close(window, T)
    assert T + 600 == window.closed_until


def test_empty_buckets_between_two_documents_close_too() -> None:
    window = Window()
    window.add(deltas([(T, "k", 0), (T + 900, "k", 0)]))
    assert [T, T + 300, T + 600, T + 900] == [start for start, _ in close(window, T + 1200)]


def test_a_correction_within_the_lateness_is_one_revision_for_each_drain() -> None:
    window = Window(allowed_lateness=600)
    one(window, T, T + 300)
    assert [0] == [b.revision for b in window.drain()]
    one(window, T + 1)
    one(window, T + 2)
    (corrected,) = window.drain()
    assert (3, 1) == (corrected.n, corrected.revision)
    one(window, T + 3)
    assert [(4, 2)] == [(b.n, b.revision) for b in window.drain()]


def test_a_bucket_that_nobody_spoke_in_is_corrected_from_nought() -> None:
    window = Window()
    window.add(deltas([(T, "k", 0), (T + 600, "k", 0)]))
    close(window, T + 900)
    window.drain()
    one(window, T + 300)
    assert [Bucket("k", T + 300, 1, 1, 0, (T + 300) % 97, revision=1)] == window.drain()


def test_what_comes_after_the_lateness_is_late() -> None:
    window = Window(allowed_lateness=600)
    assert not window.is_late(T)
    one(window, T, T + 900)
    assert not window.is_late(T + 300)
    assert window.is_late(T)
    assert not window.is_late(T + 900)


@pytest.mark.parametrize("lateness", [0, 299, 300, 450, 600])
def test_the_first_bucket_that_is_open_is_the_first_that_is_not_late(lateness: int) -> None:
    window = Window(allowed_lateness=lateness)
    assert window.open_since < T - 86_400
    one(window, T, T + 900)
    starts = range(T - 3000, T + 3000, 300)
    assert next(s for s in starts if not window.is_late(s)) == window.open_since


def test_a_drain_gives_absolute_values_of_what_changed_in_a_fixed_order() -> None:
    window = Window()
    window.add(deltas([(T + 300, "b", 0), (T, "b", 0), (T, "a", 1)]))
    assert [("a", T), ("b", T), ("b", T + 300)] == [(b.key, b.start) for b in window.drain()]
    assert [] == window.drain()
    window.add(deltas([(T, "a", 1)]))
    assert [Bucket("a", T, 2, 2, 0, 2 * (T % 97))] == window.drain()


def test_buckets_beyond_correction_are_forgotten_after_the_drain() -> None:
    window = Window(allowed_lateness=600)
    for i in range(100):
        one(window, T + 300 * i, T + 300 * i)
        window.drain()
    assert 100 * 300 > window.lookback
    assert 3 == len(window._sums)  # the open one, and two that may still be corrected
    assert not window._revisions


def test_a_year_of_silence_is_a_week_of_empty_buckets() -> None:
    window = Window()
    one(window, T, T + 300)
    later = T + 365 * 86_400
    closed = one(window, later, later + 300)
    assert MAX_SILENCE // BUCKET_SECONDS + 1 == len(closed)
    assert later == closed[-1][0]
    assert later + 300 == window.closed_until


def test_a_document_just_after_a_long_silence_closes_the_same_buckets_alone_or_in_company() -> None:
    later = T + 8 * 86_400
    events = [(T, "a", 0), (later + 10, "a", 0), (later + 3000, "a", 0)]
    assert run(events, [])[0] == run(events, [1, 2])[0]


def test_a_restored_window_goes_on_as_if_nothing_had_happened() -> None:
    events = [(T + 100 * i, "ab"[i % 2], i % 2) for i in range(30)]
    whole, rows = run(events, range(0, 30, 3))
    for restart in range(10):
        assert (whole, rows) == run(events, range(0, 30, 3), frozenset({restart}))


def test_a_restore_forgets_what_was_in_memory() -> None:
    window = Window()
    one(window, T, T + 300)
    window.restore([], None)
    assert window.closed_until is None
    assert [] == window.drain()
    assert [] == close(window, T + 3000)
