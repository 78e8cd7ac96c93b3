"""One of twelve partitions falls silent: how long the buckets of the whole stream stay open."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from harness.flow import START, make_flow, message

from monitor.events import BUCKET_SECONDS

HALF = 6
"""Partitions of each of the two topics."""


@pytest.mark.parametrize(
    ("silent_from", "delay"), [(BUCKET_SECONDS, 60), (BUCKET_SECONDS + 60, 119)]
)
def test_a_bucket_is_closed_within_120_seconds_of_its_end(silent_from: int, delay: int) -> None:
    """Every partition brings a document a second, as it is published, up to that second. The worst
    moment is the last one before the watermark would have passed the bucket."""
    flow = make_flow(partitions=HALF)
    begin = int(START.timestamp())
    closed: int | None = None
    for now in range(BUCKET_SECONDS - 30, BUCKET_SECONDS + 121):
        at = START + timedelta(seconds=now)
        for place in range(2 * HALF):
            if place or now < silent_from:
                topic, number = ("news", "comments")[place % 2], place // 2
                value = json.dumps(message(12 * now + place, at)).encode()
                flow.log.append(topic, None, value, number)
        flow.pipeline.step(flow.stop)
        if closed is None and (flow.database.closed_until or 0) - begin == BUCKET_SECONDS:
            closed = now
        flow.clock.advance(1)

    assert closed is not None
    assert delay <= closed - BUCKET_SECONDS <= 120
    late = [s for s in flow.database.documents.values() if not s.counted]
    assert not late, "nothing that came in its time was too late"
