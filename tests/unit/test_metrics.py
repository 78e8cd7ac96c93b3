"""What one batch and one delivery add to the metrics."""

from __future__ import annotations

import pytest
from harness.samples import MONDAY, alert, dead_letter, moment, scored
from prometheus_client import CollectorRegistry, Histogram

from monitor.events import AlertStatus, Gap, Kind, Partition
from monitor.metrics import (
    LAG_BUCKETS,
    BatchHistogram,
    DeliveryCounters,
    Metrics,
    ScoringCounters,
)


@pytest.fixture
def metrics() -> Metrics:
    """Fresh ones in a registry of their own."""
    return Metrics(CollectorRegistry())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample."""
    return metrics.registry.get_sample_value(f"monitor_{name}", labels)


def test_a_batch_is_counted_by_kind_sentiment_reason_and_status(metrics: Metrics) -> None:
    metrics.batch(
        records=5,
        scored=[scored(1), scored(2), scored(3, sentiment=(0, 0, 1), kind=Kind.COMMENT)],
        dead_letters=[dead_letter()],
        alerts=[alert(), alert(AlertStatus.RESOLVED)],
        gaps=[Gap(Partition("news", 0), 10, 25)],
        done=moment(MONDAY + 4),
    )
    assert 5 == value(metrics, "records_total")
    assert 2 == value(metrics, "documents_scored_total", kind="news", sentiment="negative")
    assert 1 == value(metrics, "documents_scored_total", kind="comment", sentiment="positive")
    assert 0 == value(metrics, "documents_scored_total", kind="comment", sentiment="negative")
    assert 1 == value(metrics, "documents_rejected_total", reason="not_utf8")
    assert 1 == value(metrics, "alert_transitions_total", status="firing")
    assert 15 == value(metrics, "records_lost_total")
    assert (3, 9) == (
        value(metrics, "ingest_lag_seconds_count"),
        value(metrics, "ingest_lag_seconds_sum"),
    )


def test_a_producer_whose_clock_is_ahead_makes_no_negative_lag(metrics: Metrics) -> None:
    metrics.batch(
        records=1, scored=[scored()], dead_letters=[], alerts=[], gaps=[], done=moment(MONDAY)
    )
    assert 0 == value(metrics, "ingest_lag_seconds_sum")


def test_a_forward_pass_counts_its_texts_and_padded_tokens(metrics: Metrics) -> None:
    counters = ScoringCounters(metrics)
    counters.micro_batch(8, 256, 0.25, 0.002)
    counters.micro_batch(1, 64, 0.0625, 0.5)
    names = ("micro_batches_total", "micro_batch_texts_total", "micro_batch_tokens_total")
    assert [2, 9, 320] == [value(metrics, name) for name in names]
    assert 0.3125 == value(metrics, "micro_batch_fill_ratio_sum")
    assert 0.502 == value(metrics, "score_wait_seconds_sum")


def test_the_queue_and_the_devices_are_told(metrics: Metrics) -> None:
    counters = ScoringCounters(metrics)
    counters.waiting(900)
    counters.waiting(300)
    counters.capped(2)
    for name in ("cuda:0", "cuda:1"):
        counters.device(name, up=True)
    counters.device("cuda:1", up=False)
    counters.busy("cuda:0", 1.5)
    assert 300 == value(metrics, "score_queue_tokens")
    assert 2 == value(metrics, "capped_texts_total")
    assert [1, 0] == [value(metrics, "device_up", device=f"cuda:{n}") for n in (0, 1)]
    assert 1.5 == value(metrics, "device_busy_seconds_total", device="cuda:0")


def test_deliveries_are_counted_by_receiver_and_topic(metrics: Metrics) -> None:
    counters = DeliveryCounters(metrics)
    counters.published("scored", 40)
    counters.delivered("desk", 2.5)
    counters.failed("desk", retryable=True)
    counters.failed("scored", retryable=False)
    counters.dead("desk")
    counters.lag(7.0)
    assert 40 == value(metrics, "messages_published_total", topic="scored")
    assert 1 == value(metrics, "notifications_delivered_total", receiver="desk")
    assert 2.5 == value(metrics, "delivery_lag_seconds_sum")
    assert 1 == value(metrics, "delivery_failures_total", destination="desk", retryable="true")
    assert 1 == value(metrics, "delivery_failures_total", destination="scored", retryable="false")
    assert 1 == value(metrics, "notifications_dead_total", receiver="desk")
    assert 7 == value(metrics, "outbox_lag_seconds")


def test_two_daemons_in_one_process_share_nothing() -> None:
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.late.inc()
    assert (1, 0) == (value(one, "documents_late_total"), value(other, "documents_late_total"))


def test_a_histogram_of_batches_says_what_the_librarys_own_does() -> None:
    values = [0.0, 0.3, 1.0, 1.0001, 2.0, 59.9, 60.0, 3600.0, 3601.0, 1e9]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batches = BatchHistogram("lag_seconds", "Lag.", LAG_BUCKETS, ours)
    single = Histogram("lag_seconds", "Lag.", buckets=LAG_BUCKETS, registry=theirs)
    batches.observe(values[:3])
    batches.observe([])
    batches.observe(values[3:])
    for number in values:
        single.observe(number)

    def samples(registry: CollectorRegistry) -> dict[str, float]:
        return {
            f"{s.name}{s.labels}": s.value
            for family in registry.collect()
            for s in family.samples
            if not s.name.endswith("_created")
        }

    assert samples(theirs) == samples(ours)
