"""What documents say, summed by key and bucket of event time: pure, associative, integers only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from monitor.events import (
    BUCKET_SECONDS,
    SENTIMENTS,
    Heard,
    Kind,
    Sums,
    View,
)
from monitor.keys import is_company, keys_for, pair_key

NEGATIVE, POSITIVE = SENTIMENTS.index("negative"), SENTIMENTS.index("positive")

Place = tuple[str, int]
"""A key and the start of a bucket."""


def bucket_start(event_time: float) -> int:
    """Start of the tumbling bucket that holds an event time; both in seconds since the epoch."""
    return int(event_time // BUCKET_SECONDS) * BUCKET_SECONDS


def views_of(heard: Heard) -> Iterable[View]:
    """What a document says for every key that it counts for."""
    for key in keys_for(heard.kind, heard.topic):
        yield View(key, heard.sentiment, heard.score)
    yield from named(heard)


def named(heard: Heard) -> Iterator[View]:
    """What a document says for the keys that it names, and for its companies on its topic."""
    for view in heard.views:
        yield view
        if is_company(view.key):
            yield View(pair_key(heard.topic, view.key), view.sentiment, view.score)


def add(sums: dict[Place, Sums], view: View, start: int, sign: int) -> None:
    """Add one voice (``sign`` 1), or take it back (−1)."""
    of = sums.get((view.key, start))
    if of is None:
        of = sums[view.key, start] = Sums()
    of.n += sign
    of.negative += sign * (view.sentiment == NEGATIVE)
    of.positive += sign * (view.sentiment == POSITIVE)
    of.score_sum += sign * view.score


def deltas(posts: Sequence[Heard], voices: Iterable[Heard]) -> dict[Place, Sums]:
    """What these documents change, by (key, bucket start), where each of ``voices`` is one."""
    sums = spoken(voices)
    for place, more in posted(posts).items():
        if (of := sums.get(place)) is None:
            sums[place] = more
        else:
            of.posts += more.posts
    return sums


def posted(batch: Iterable[Heard]) -> dict[Place, Sums]:
    """All documents of a batch by (key, bucket start), as posts alone."""
    cells: dict[tuple[int, Kind, int], int] = {}
    result: dict[Place, Sums] = {}
    for heard in batch:
        start = bucket_start(heard.at)
        cell = (start, heard.kind, heard.topic)
        cells[cell] = cells.get(cell, 0) + 1
        for view in named(heard) if heard.views else ():
            if (of := result.get((view.key, start))) is None:
                of = result[view.key, start] = Sums()
            of.posts += 1
    for (start, kind, topic), posts in cells.items():
        for key in keys_for(kind, topic):
            result.setdefault((key, start), Sums()).posts += posts
    return result


def spoken(batch: Iterable[Heard]) -> dict[Place, Sums]:
    """The voices of a batch by (key, bucket start): each of its documents is one."""
    # First by all that the keys are made of: there are fewer of these than of documents.
    cells: dict[tuple[int, Kind, int], Sums] = {}
    result: dict[Place, Sums] = {}
    for heard in batch:
        start = bucket_start(heard.at)
        cell = (start, heard.kind, heard.topic)
        sums = cells.get(cell)
        if sums is None:
            sums = cells[cell] = Sums()
        sums.n += 1
        sums.negative += heard.sentiment == NEGATIVE
        sums.positive += heard.sentiment == POSITIVE
        sums.score_sum += heard.score
        for view in named(heard) if heard.views else ():
            add(result, view, start, 1)
    for (start, kind, topic), sums in cells.items():
        for key in keys_for(kind, topic):
            result.setdefault((key, start), Sums()).add(sums)
    return result
