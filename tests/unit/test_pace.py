"""How much one poll asks for."""

from __future__ import annotations

from monitor.source.pace import Pace


def after(*passes: tuple[int, float], least: int = 100, most: int = 800) -> int:
    """What the next poll asks for after passes over so many records in so many seconds."""
    pace = Pace(least, most)
    for records, seconds in passes:
        pace.took(records, seconds)
    return pace.records


def test_a_backlog_that_goes_through_quickly_is_taken_in_ever_larger_batches_up_to_the_most() -> (
    None
):
    assert [100, 200, 400, 800, 800] == [
        after(*[(100 << min(n, 3), 0.1) for n in range(passes)]) for passes in range(5)
    ]


def test_without_a_backlog_a_batch_stays_as_it_is() -> None:
    assert 100 == after((99, 0.01), (0, 0.0), (50, 0.01))


def test_a_slow_model_keeps_the_smallest_batch() -> None:
    assert 100 == after(*[(100, 8.0)] * 20)


def test_a_large_batch_that_turned_slow_is_halved_and_never_below_the_least() -> None:
    grown = [(100, 0.1), (200, 0.1)]
    assert 200 == after(*grown, (400, 1.5))
    assert 100 == after(*grown, *[(400, 1.5)] * 9)


def test_in_between_it_neither_grows_nor_shrinks() -> None:
    assert 100 == after((100, 0.7))
    assert 200 == after((100, 0.1), (200, 0.7))


def test_a_most_below_the_least_is_the_least() -> None:
    assert 100 == after((100, 0.1), most=7)
