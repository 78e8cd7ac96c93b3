"""What documents say, summed by key and bucket of event time: pure, associative, integers only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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


def deltas(posts: Iterable[tuple[Heard, bool]]) -> dict[Place, Sums]:
    """What these documents change, by (key, bucket start); with each whether it is a voice for all
    that it counts for."""
    # First by all that the keys are made of: there are fewer of these than of documents.
    cells: dict[tuple[int, bool, int], Sums] = {}
    result: dict[Place, Sums] = {}
    for (_, at, _, kind, topic, sentiment, score, _, views), voice in posts:
        start = int(at // BUCKET_SECONDS) * BUCKET_SECONDS
        cell = start, kind is Kind.COMMENT, topic
        if (of := cells.get(cell)) is None:
            of = cells[cell] = Sums()
        _post(of, sentiment, score, voice)
        for key, towards, how_much in views:
            place = key, start
            if (of := result.get(place)) is None:
                of = result[place] = Sums()
            _post(of, towards, how_much, voice)
            if is_company(key):
                place = pair_key(topic, key), start
                if (of := result.get(place)) is None:
                    of = result[place] = Sums()
                _post(of, towards, how_much, voice)
    for (start, comment, topic), sums in cells.items():
        for key in keys_for(Kind.COMMENT if comment else Kind.NEWS, topic):
            if (of := result.get((key, start))) is None:
                of = result[key, start] = Sums()
            of.add(sums)
    return result


def _post(sums: Sums, sentiment: int, score: int, voice: bool) -> None:
    sums.posts += 1
    if voice:
        sums.n += 1
        sums.score_sum += score
        if sentiment == NEGATIVE:
            sums.negative += 1
        elif sentiment == POSITIVE:
            sums.positive += 1
