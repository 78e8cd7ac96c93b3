"""What the intake tells of the partitions that it polls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from monitor.clock import SystemClock
from monitor.events import Partition
from monitor.inflight import InFlight
from monitor.intake import Intake
from monitor.metrics import Metrics
from monitor.source.base import Batch


def test_the_gauge_follows_the_partitions_that_cannot_be_read() -> None:
    damaged = frozenset({Partition("news", 0), Partition("news", 3)})
    batches = iter((Batch(unreadable=damaged), Batch()))

    class Source:
        def poll(self, timeout: float, limit: int) -> Batch:
            return next(batches)

    registry = CollectorRegistry()
    source: Any = Source()
    nobody: Any = None
    intake = Intake(
        source,
        nobody,
        nobody,
        InFlight(),
        Metrics(registry),
        SystemClock(),
        lambda: datetime(2026, 3, 2, tzinfo=UTC),
    )
    seen = []
    for _ in range(2):
        intake.poll(0.0, 10, paused=False)
        seen.append(registry.get_sample_value("monitor_partitions_unreadable"))

    assert [2, 0] == seen
