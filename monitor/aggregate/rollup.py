"""The sums of a batch by key and bucket of event time: pure, associative, integers only."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.events import BUCKET_SECONDS, SCORE_SCALE, Scored, Sums
from monitor.keys import keys_of


def bucket_start(event_time: float) -> int:
    """Start of the tumbling bucket that holds an event time; both in seconds since the epoch."""
    return int(event_time // BUCKET_SECONDS) * BUCKET_SECONDS


def deltas(batch: Iterable[Scored]) -> dict[tuple[str, int], Sums]:
    """Sums of a batch by (key, bucket start)."""
    result: dict[tuple[str, int], Sums] = {}
    for scored in batch:
        start = bucket_start(scored.document.published_at.timestamp())
        index = scored.sentiment_index
        one = Sums(
            n=1,
            negative=int(index == 0),
            positive=int(index == 2),
            score_sum=round((scored.sentiment[2] - scored.sentiment[0]) * SCORE_SCALE),
        )
        for key in keys_of(scored):
            result.setdefault((key, start), Sums()).add(one)
    return result
