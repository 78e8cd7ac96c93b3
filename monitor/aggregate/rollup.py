"""The sums of a batch by key and bucket of event time: pure, associative, integers only."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.events import BUCKET_SECONDS, SCORE_SCALE, SENTIMENTS, Kind, Scored, Sums
from monitor.keys import keys_for

_NEGATIVE, _POSITIVE = SENTIMENTS.index("negative"), SENTIMENTS.index("positive")


def bucket_start(event_time: float) -> int:
    """Start of the tumbling bucket that holds an event time; both in seconds since the epoch."""
    return int(event_time // BUCKET_SECONDS) * BUCKET_SECONDS


def deltas(batch: Iterable[Scored]) -> dict[tuple[str, int], Sums]:
    """Sums of a batch by (key, bucket start)."""
    # First by all that the keys are made of: there are fewer of these than of documents.
    cells: dict[tuple[int, Kind, int], Sums] = {}
    for scored in batch:
        document = scored.document
        cell = (bucket_start(document.published_at.timestamp()), document.kind, scored.topic)
        sums = cells.get(cell)
        if sums is None:
            sums = cells[cell] = Sums()
        index = scored.sentiment_index
        sums.n += 1
        sums.negative += index == _NEGATIVE
        sums.positive += index == _POSITIVE
        sums.score_sum += round((scored.sentiment[2] - scored.sentiment[0]) * SCORE_SCALE)
    result: dict[tuple[str, int], Sums] = {}
    for (start, kind, topic), sums in cells.items():
        for key in keys_for(kind, topic):
            result.setdefault((key, start), Sums()).add(sums)
    return result
