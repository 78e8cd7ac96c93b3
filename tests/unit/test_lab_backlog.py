"""What waited to be read at a moment of the rerun."""

from __future__ import annotations

from math import inf

from monitor.events import Partition
from monitor.lab.backlog import Backlog

NEWS, COMMENTS, EMPTY = Partition("news", 0), Partition("comments", 0), Partition("comments", 1)


def test_a_record_waits_from_when_it_was_appended_until_it_is_read() -> None:
    backlog = Backlog([NEWS, COMMENTS], [(NEWS, 9_000, 5_000), (COMMENTS, 9_500, 4_000)])
    assert [NEWS, COMMENTS] == backlog.at_end(3.9)
    assert [NEWS] == backlog.at_end(4.0)
    assert [] == backlog.at_end(5.0)
    assert [NEWS] == backlog.at_end(9.0)
    assert [NEWS, COMMENTS] == backlog.at_end(9.5)


def test_nothing_waits_longer_than_the_oldest_record_that_is_still_to_be_read() -> None:
    """Producers that set the time have clocks of their own: what is behind may be older."""
    backlog = Backlog([NEWS, COMMENTS], [(NEWS, 9_000, 8_000), (NEWS, 20_000, 7_000)])
    assert [7.0, 7.0, inf] == [backlog.since(at) for at in (1.0, 9.0, 20.0)]


def test_where_nothing_ever_waited_all_are_at_their_ends() -> None:
    backlog = Backlog([NEWS, EMPTY], [])
    assert {NEWS, EMPTY} == set(backlog.partitions)
    assert [NEWS, EMPTY] == backlog.at_end(1.0)
    assert inf == backlog.since(0.0)


def test_without_partitions_nothing_waits() -> None:
    assert inf == Backlog([], []).since(0.0)
