"""The names of the metrics: one prefix, base units, closed sets of labels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from monitor.events import SENTIMENTS, AlertStatus, Kind, Reason, SourceState
from monitor.metrics import CODES, DRILLS, FILES, OUTCOMES, RESULTS, STAGES, Metrics
from monitor.source.feeds.fetch import Fault
from monitor.source.feeds.metrics import FeedMetrics
from monitor.source.feeds.poll import Verdict

UNITS = (
    "seconds",
    "total",
    "records",
    "tokens",
    "ratio",
    "info",
    "assigned",
    "unreadable",
    "firing",
    "up",
    "sources",
)
"""Seconds for times, ``_total`` for counters, and what is counted for gauges."""
CLOSED = {
    "kind": set(Kind),
    "sentiment": set(SENTIMENTS),
    "reason": set(Reason),
    "stage": set(STAGES),
    "status": set(AlertStatus),
    "outcome": {*OUTCOMES, *DRILLS},
    "code": set(CODES),
    "result": set(RESULTS),
    "file": set(FILES),
    "fault": set(Fault),
    "verdict": set(Verdict),
    "feed": {"wire"},
    "state": set(SourceState),
}
CONFIGURED = {"topic", "receiver", "destination", "retryable", "version", "device"}
"""Labels whose values the operator chooses: topics, receivers, the model, its devices."""


def ours() -> Iterator[Metric]:
    """Every family that is not the process's or Python's own."""
    for each in (Metrics(CollectorRegistry()), FeedMetrics(CollectorRegistry(), ["wire"])):
        for family in each.registry.collect():
            if not family.name.startswith(("process_", "python_")):
                yield family


FAMILIES = list(ours())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_every_metric_has_the_prefix_a_base_unit_and_a_sentence(family: Metric) -> None:
    assert family.name.startswith("monitor_")
    name = f"{family.name}_total" if family.type == "counter" else family.name
    assert name.endswith(UNITS)
    assert not any(unit in name for unit in ("millis", "minutes", "bytes_k", "percent"))
    assert family.documentation.endswith(".")


def test_every_series_of_a_closed_set_exists_from_the_start() -> None:
    found: dict[str, set[str]] = {}
    for family in FAMILIES:
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    found.pop("le")
    assert CLOSED == found


def test_no_label_can_grow_with_the_data() -> None:
    every = (Metrics(CollectorRegistry()), FeedMetrics(CollectorRegistry(), []))
    labels = {
        label
        for metrics in every
        for metric in vars(metrics).values()
        for label in getattr(metric, "_labelnames", ())
    }
    assert labels <= set(CLOSED) | CONFIGURED
