"""How far event time is complete: the minimum over the partitions that are not idle."""

from __future__ import annotations

from harness.samples import moment, scored

from monitor.aggregate.watermark import Watermarks
from monitor.events import BUCKET_SECONDS, Origin, Partition

A, B = Partition("news", 0), Partition("comments", 0)


def watermarks(a: float | None, b: float | None) -> Watermarks:
    """Two partitions with these largest event times, last read at monotonic 0."""
    w = Watermarks(out_of_orderness=60, idle_after=60)
    w.assign({A: a, B: b}, monotonic=0)
    return w


def test_without_partitions_there_is_no_watermark() -> None:
    assert Watermarks().current(monotonic=0) is None


def test_the_slowest_partition_rules() -> None:
    assert 1000 - 60 == watermarks(1000, 5000).current(monotonic=0)


def test_a_partition_of_unknown_time_blocks() -> None:
    w = watermarks(1000, None)
    assert w.current(monotonic=0) is None
    assert w.current(monotonic=10_000) is None


def test_a_partition_of_unknown_time_that_is_idle_does_not_block() -> None:
    w = watermarks(1000, None)
    w.observe(A, 1000, monotonic=60)
    w.reached_end({B})
    assert 1000 - 60 == w.current(monotonic=60)


def test_an_older_record_does_not_move_the_watermark_back() -> None:
    w = watermarks(1000, 2000)
    w.observe(A, 900, monotonic=1)
    assert 1000 - 60 == w.current(monotonic=1)
    assert 1000 == w.max_event_time(A)


def test_silence_alone_is_not_idleness_because_a_broker_may_be_out() -> None:
    w = watermarks(1000, 5000)
    w.reached_end(set())
    assert 1000 - 60 == w.current(monotonic=100_000)


def test_who_holds_the_watermark_back_is_told() -> None:
    w = watermarks(1000, None)
    assert [A, B] == w.holding(941, monotonic=0)
    assert [B] == w.holding(940, monotonic=0)
    w.observe(B, 999, monotonic=1)
    assert [] == w.holding(939, monotonic=1)
    assert w.current(monotonic=1) == 939


def test_an_idle_partition_holds_nothing_back() -> None:
    w = watermarks(1000, 5000)
    w.reached_end({A, B})
    w.observe(B, 5000, monotonic=59)
    assert [A] == w.holding(4000, monotonic=59.9)
    assert [] == w.holding(4000, monotonic=60)


def test_the_end_of_the_log_alone_is_not_idleness() -> None:
    w = watermarks(1000, 5000)
    w.reached_end({A, B})
    assert 1000 - 60 == w.current(monotonic=59.9)


def test_end_and_silence_together_are_idleness() -> None:
    w = watermarks(1000, 5000)
    w.observe(B, 5000, monotonic=30)
    w.reached_end({A, B})
    assert 5000 - 60 == w.current(monotonic=60)


def test_a_partition_that_speaks_again_is_waited_for_again() -> None:
    w = watermarks(1000, 5000)
    w.observe(B, 5000, monotonic=30)
    w.reached_end({A, B})
    w.observe(A, 3000, monotonic=61)
    assert 3000 - 60 == w.current(monotonic=61)


def test_a_record_after_a_silence_of_all_makes_each_partition_be_waited_for_anew() -> None:
    """A backlog came into all at once: that B was at its end is what was known before it."""
    w = watermarks(1000, 1200)
    w.reached_end({A, B})
    w.observe(A, 90_000, monotonic=500)
    w.reached_end({A, B})
    assert 1200 - 60 == w.current(monotonic=500)
    w.observe(B, 90_100, monotonic=500.1)
    assert 90_000 - 60 == w.current(monotonic=500.1)


def test_a_stream_that_wakes_does_not_wait_longer_than_for_any_silence() -> None:
    w = watermarks(1000, 1200)
    w.reached_end({A, B})
    w.observe(A, 90_000, monotonic=500)
    w.observe(A, 90_050, monotonic=550)
    w.reached_end({A, B})
    assert 1200 - 60 == w.current(monotonic=559)
    assert 90_050 - 60 == w.current(monotonic=560)


def test_a_partition_that_is_no_longer_at_its_end_is_waited_for() -> None:
    w = watermarks(1000, 5000)
    w.observe(B, 5000, monotonic=30)
    w.reached_end({A, B})
    w.reached_end({B})
    assert 1000 - 60 == w.current(monotonic=1000)


def test_when_all_are_idle_the_furthest_rules() -> None:
    w = watermarks(1000, 5000)
    w.reached_end({A, B})
    assert 5000 - 60 == w.current(monotonic=60)


def test_when_all_are_idle_and_none_has_a_time_there_is_no_watermark() -> None:
    w = watermarks(None, None)
    w.reached_end({A, B})
    assert w.current(monotonic=60) is None


def test_stored_times_count_from_the_first_moment() -> None:
    w = Watermarks(out_of_orderness=60)
    w.assign({A: 7000.0, B: 6000.0}, monotonic=500)
    assert 6000 - 60 == w.current(monotonic=500)
    assert 7000 == w.max_event_time(A)


def test_a_partition_that_stays_keeps_what_it_has_seen() -> None:
    w = watermarks(1000, 1000)
    w.observe(A, 4000, monotonic=1)
    w.assign({A: 1000.0}, monotonic=2)
    assert 4000 - 60 == w.current(monotonic=2)
    assert w.max_event_time(B) is None


def test_a_partition_taken_away_holds_nobody_up() -> None:
    w = watermarks(1000, 5000)
    w.assign({B: 5000.0}, monotonic=1)
    assert 5000 - 60 == w.current(monotonic=1)


def test_with_one_of_twelve_partitions_silent_a_bucket_closes_within_120_seconds() -> None:
    """Moments of falling silent all over two buckets; event time is the arrival time here."""
    delays: list[int] = []
    for silent_from in range(0, 2 * BUCKET_SECONDS, 23):
        w = Watermarks(out_of_orderness=60, idle_after=60)
        partitions = [Partition("news", i) for i in range(12)]
        w.assign(dict.fromkeys(partitions, 0.0), monotonic=0)
        closed: dict[int, int] = {}
        for now in range(4 * BUCKET_SECONDS):
            for p in partitions:
                if p.number or now <= silent_from:
                    w.observe(p, now, monotonic=now)
            w.reached_end(set(partitions))
            mark = w.current(monotonic=now)
            assert mark is not None
            for end in range(BUCKET_SECONDS, int(mark) + 1, BUCKET_SECONDS):
                closed.setdefault(end, now - end)
        delays += closed.values()
    assert 120 >= max(delays) > 60


def test_a_batch_is_observed_as_its_documents_one_by_one() -> None:
    places = [(B, 300), (A, 1500), (A, 900), (B, 4000), (A, 1200)]
    one_by_one, at_once = watermarks(1000, None), watermarks(1000, None)
    for w in (one_by_one, at_once):
        w.reached_end({A, B})
    for partition, at in places:
        one_by_one.observe(partition, at, monotonic=70)
    at_once.observe_all(
        (
            scored(at=at).document._replace(origin=Origin(p.topic, p.number, n))
            for n, (p, at) in enumerate(places)
        ),
        monotonic=70,
    )
    assert moment(1500).timestamp() == at_once.max_event_time(A)
    for partition in (A, B):
        assert one_by_one.max_event_time(partition) == at_once.max_event_time(partition)
    assert one_by_one.current(monotonic=71) == at_once.current(monotonic=71) == 1500 - 60


def test_the_next_to_fall_idle_is_the_one_that_was_read_longest_ago() -> None:
    w = watermarks(1000, 5000)
    assert w.next_idle(after=0) is None  # nobody is at the end
    w.reached_end({A, B})
    w.observe(A, 1000, monotonic=20)
    assert [60, 80, None] == [w.next_idle(after=at) for at in (0, 60, 80)]
