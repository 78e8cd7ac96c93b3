"""What metrics and log say of a batch that is in the database."""

from __future__ import annotations

import logging
from datetime import datetime

from monitor.inflight import Flight
from monitor.metrics import Metrics

log = logging.getLogger(__name__)


def report(flight: Flight, firing: int, metrics: Metrics, now: datetime, done: datetime) -> None:
    """``firing``: alerts that fire now; ``now``: on the daemon's clock of event times; ``done``:
    wall time of the transaction."""
    metrics.batch(
        records=len(flight.batch.records),
        scored=flight.scored,
        dead_letters=flight.dead_letters,
        alerts=flight.alerts,
        gaps=flight.batch.gaps,
        done=done,
    )
    for gap in flight.batch.gaps:
        log.error(
            "%s/%d: offsets %d to %d were deleted by retention before they were read",
            gap.partition.topic,
            gap.partition.number,
            gap.expected,
            gap.resumed - 1,
        )
    for alert in flight.alerts:
        if alert.fired_at is not None:
            log.warning("alert %s: %s", alert.status, alert.summary)
    metrics.firing.set(firing)
    if flight.scored:
        newest = max([s.document.published_at for s in flight.scored])
        metrics.event_lag.set((now - newest).total_seconds())
    ends = flight.batch.ends
    behind = [max(ends[p] - o, 0) for p, o in flight.batch.positions.items() if p in ends]
    metrics.offset_lag.set(sum(behind))
