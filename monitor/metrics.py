"""The Prometheus metrics, in an injected registry: base units, one prefix, closed label sets."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from monitor.events import (
    SENTIMENTS,
    Alert,
    AlertStatus,
    DeadLetter,
    Gap,
    Kind,
    Reason,
    Scored,
    SourceState,
    most_probable,
)

WAIT_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
FILL_BUCKETS = (0.1, 0.25, 0.5, 0.75, 0.9, 1)
LAG_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
STAGE_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
STAGES = ("poll", "score", "aggregate", "apply", "commit")
OUTCOMES = ("ok", "failed")
CODES = ("202", "400", "401", "403", "404", "408", "413", "415", "422", "429", "503")
"""Statuses of the requests that hand in documents."""
RESULTS = ("accepted", "duplicate", "rejected")
"""What became of a document that was handed in."""
FILES = ("done", "failed", "repeated")
DRILLS = ("passed", "failed", "missed")
_SECOND = timedelta(seconds=1)


class BatchHistogram(Collector):
    """A histogram without labels that takes the values of a whole batch at once.

    The library's own takes one at a time, with a lock for each.
    """

    def __init__(
        self, name: str, text: str, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._text = text
        self._bounds = (*map(float, buckets), float("inf"))
        self._counts = np.zeros(len(self._bounds), dtype=np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe(self, values: Sequence[float]) -> None:
        """Count these values, in seconds; those below nought as nought."""
        found = np.maximum(np.asarray(values, dtype=np.float64), 0.0)
        which = np.searchsorted(self._bounds, found)
        with self._lock:
            self._counts += np.bincount(which, minlength=len(self._bounds))
            self._sum += float(found.sum())

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        with self._lock:
            counts, total = self._counts.tolist(), self._sum
        buckets = zip(map(floatToGoString, self._bounds), accumulate(counts), strict=True)
        yield HistogramMetricFamily(self._name, self._text, list(buckets), total)


class Metrics:
    """Every metric of the daemon.

    Labels come from closed sets, whose series exist at once, or from the configuration (topics,
    receivers); never from the data.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"monitor_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"monitor_{name}", text, labels, registry=registry)

        self.records = counter("records_total", "Records read from Kafka.")
        self.scored = counter("documents_scored_total", "Documents scored.", ("kind", "sentiment"))
        self.rejected = counter("documents_rejected_total", "Dead letters.", ("reason",))
        self.late = counter(
            "documents_late_total", "Documents too late for any aggregate; scored and stored."
        )
        self.gaps = counter(
            "records_lost_total", "Records deleted by retention before we read them."
        )
        self.stage = Histogram(
            "monitor_stage_seconds",
            "Time a batch spends in each stage; several may be scored at once.",
            ("stage",),
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.micro_batch_texts = counter("micro_batch_texts_total", "Texts through the model.")
        self.micro_batch_tokens = counter(
            "micro_batch_tokens_total", "Tokens through the model, padding included."
        )
        self.micro_batches = counter("micro_batches_total", "Forward passes.")
        self.micro_batch_fill = Histogram(
            "monitor_micro_batch_fill_ratio",
            "Share of the token budget that a forward pass uses.",
            buckets=FILL_BUCKETS,
            registry=registry,
        )
        self.score_wait = Histogram(
            "monitor_score_wait_seconds",
            "Longest wait for a device among the texts of a forward pass.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.score_queue = gauge("score_queue_tokens", "Tokens that wait for a device.")
        self.capped = counter("capped_texts_total", "Texts too long to be read to their end.")
        self.device_up = gauge("device_up", "Whether the device can judge.", ("device",))
        self.device_busy = counter(
            "device_busy_seconds_total", "Time with a forward pass under way.", ("device",)
        )
        self.ingest_lag = BatchHistogram(
            "monitor_ingest_lag_seconds",
            "From publication into Kafka to the commit of the verdict.",
            LAG_BUCKETS,
            registry,
        )
        self.event_lag = gauge(
            "event_time_lag_seconds", "Now minus the newest event time, on the daemon's clock."
        )
        self.watermark = gauge("watermark_timestamp_seconds", "Event time is complete up to here.")
        self.offset_lag = gauge("offset_lag_records", "Records in Kafka that are not read yet.")
        self.partitions = gauge("partitions_assigned", "Partitions that this daemon reads.")
        self.unreadable = gauge(
            "partitions_unreadable", "Partitions whose next record is damaged; the log says which."
        )
        self.alerts = counter(
            "alert_transitions_total", "Changes in the life of alerts.", ("status",)
        )
        self.firing = gauge("alerts_firing", "Alerts that fire now.")
        self.sources = gauge("sources", "Sources, by whether they speak.", ("state",))
        self.source_blind = counter(
            "source_blind_total", "Sources, or the whole stream, that turned blind."
        )
        self.store_failures = counter(
            "store_failures_total", "Transactions that had to be retried."
        )
        self.source_failures = counter("source_failures_total", "Polls that failed.")
        self.published = counter("messages_published_total", "Acknowledged by Kafka.", ("topic",))
        self.delivered = counter(
            "notifications_delivered_total", "Taken by the receiver.", ("receiver",)
        )
        self.delivery_failures = counter(
            "delivery_failures_total",
            "Attempts at a receiver or a topic that failed.",
            ("destination", "retryable"),
        )
        self.dead_notifications = counter(
            "notifications_dead_total", "Given up for good.", ("receiver",)
        )
        self.delivery_lag = Histogram(
            "monitor_delivery_lag_seconds",
            "From the notification's creation to its delivery.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.outbox_lag = gauge("outbox_lag_seconds", "Age of the oldest row of the outbox.")
        self.progress = gauge("loop_progress_timestamp_seconds", "Last pass of the main loop.")
        self.info = gauge("model_info", "The model that scores.", ("version",))
        self.reloads = counter(
            "model_reloads_total", "New versions that took over or failed to load.", ("outcome",)
        )
        self.model_load = gauge("model_load_seconds", "Time that the last load of a model took.")

        self.push_requests = counter(
            "push_requests_total", "Requests that handed in documents.", ("code",)
        )
        self.push_documents = counter(
            "push_documents_total", "Documents that were pushed.", ("result",)
        )
        self.push_waiting = gauge(
            "push_waiting_records", "Pushed documents and rows of files that wait for Kafka."
        )
        self.push_sent = counter(
            "push_sent_total", "Pushed documents and rows of files that are in Kafka."
        )
        self.push_failures = counter("push_failures_total", "Attempts to send them that failed.")
        self.folder_rows = counter(
            "folder_rows_total", "Rows of files that were read.", ("result",)
        )
        self.folder_files = counter("folder_files_total", "Files that were read.", ("file",))

        self.drills = counter("drills_total", "Drills that ended.", ("outcome",))
        self.drill_success = gauge(
            "drill_success_timestamp_seconds", "When the last drill passed; 0: none has."
        )

        for drill in DRILLS:
            self.drills.labels(drill)
        for code in CODES:
            self.push_requests.labels(code)
        for result in RESULTS:
            self.push_documents.labels(result)
            self.folder_rows.labels(result)
        for file in FILES:
            self.folder_files.labels(file)
        for kind in Kind:
            for sentiment in SENTIMENTS:
                self.scored.labels(kind, sentiment)
        for reason in Reason:
            self.rejected.labels(reason)
        for stage in STAGES:
            self.stage.labels(stage)
        for status in AlertStatus:
            self.alerts.labels(status)
        for state in SourceState:
            self.sources.labels(state)
        for outcome in OUTCOMES:
            self.reloads.labels(outcome)

    def model(self, version: str) -> None:
        """This version scores from now on."""
        self.info.clear()
        self.info.labels(version).set(1)

    def batch(
        self,
        *,
        records: int,
        scored: Sequence[Scored],
        dead_letters: Sequence[DeadLetter],
        alerts: Sequence[Alert],
        gaps: Sequence[Gap],
        done: datetime,
    ) -> None:
        """One batch whose transaction went through at ``done`` (wall time)."""
        self.records.inc(records)
        sorts = collections.Counter([(s.document.kind, most_probable(s.sentiment)) for s in scored])
        for (kind, sentiment), count in sorts.items():
            self.scored.labels(kind, SENTIMENTS[sentiment]).inc(count)
        self.ingest_lag.observe([(done - s.document.appended_at) / _SECOND for s in scored])
        for letter in dead_letters:
            self.rejected.labels(letter.reason).inc()
        for alert in alerts:
            self.alerts.labels(alert.status).inc()
        for gap in gaps:
            self.gaps.inc(max(gap.resumed - gap.expected, 0))


class ScoringCounters:
    """What the engine reports (`monitor.score.base.ScoringMetrics`), as metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def micro_batch(self, texts: int, tokens: int, fill: float, waited: float) -> None:
        """One forward pass over ``texts`` rows begins."""
        self._metrics.micro_batches.inc()
        self._metrics.micro_batch_texts.inc(texts)
        self._metrics.micro_batch_tokens.inc(tokens)
        self._metrics.micro_batch_fill.observe(fill)
        self._metrics.score_wait.observe(waited)

    def waiting(self, tokens: int) -> None:
        """So many tokens wait for a device."""
        self._metrics.score_queue.set(tokens)

    def capped(self, texts: int) -> None:
        """So many more texts were not read to their end."""
        self._metrics.capped.inc(texts)

    def device(self, name: str, up: bool) -> None:
        """A device can judge, or cannot any more."""
        self._metrics.device_up.labels(name).set(up)

    def busy(self, name: str, seconds: float) -> None:
        """So much more time with a forward pass under way."""
        self._metrics.device_busy.labels(name).inc(max(seconds, 0.0))


class PushCounters:
    """What is reported of documents that are handed in over HTTP, and of the way to Kafka."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def answered(self, status: int) -> None:
        """A request got this status."""
        self._metrics.push_requests.labels(str(status)).inc()

    def documents(self, accepted: int, duplicate: int, rejected: int) -> None:
        """So many more of each."""
        for result, count in zip(RESULTS, (accepted, duplicate, rejected), strict=True):
            self._metrics.push_documents.labels(result).inc(count)

    def sent(self, messages: int) -> None:
        """So many more messages are in Kafka."""
        self._metrics.push_sent.inc(messages)

    def failed(self) -> None:
        """An attempt failed; it is repeated."""
        self._metrics.push_failures.inc()


class FolderCounters:
    """What is reported of files."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def rows(self, accepted: int, duplicate: int, rejected: int) -> None:
        """So many more of each."""
        for result, count in zip(RESULTS, (accepted, duplicate, rejected), strict=True):
            self._metrics.folder_rows.labels(result).inc(count)

    def file(self, outcome: str) -> None:
        """One more file."""
        self._metrics.folder_files.labels(outcome).inc()


class DeliveryCounters:
    """What the delivery loop reports (`monitor.delivery.DeliveryMetrics`), as metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def published(self, topic: str, messages: int) -> None:
        """The broker acknowledged these messages."""
        self._metrics.published.labels(topic).inc(messages)

    def delivered(self, receiver: str, seconds: float) -> None:
        """A receiver took a notification, this long after it was made."""
        self._metrics.delivered.labels(receiver).inc()
        self._metrics.delivery_lag.observe(seconds)

    def failed(self, destination: str, retryable: bool) -> None:
        """An attempt failed; ``destination`` is a receiver or a Kafka topic."""
        self._metrics.delivery_failures.labels(destination, str(retryable).lower()).inc()

    def dead(self, receiver: str) -> None:
        """A notification was given up."""
        self._metrics.dead_notifications.labels(receiver).inc()

    def lag(self, seconds: float) -> None:
        """Age of the oldest row of the outbox."""
        self._metrics.outbox_lag.set(seconds)


class DrillCounters:
    """What is reported of drills (`monitor.drill.keeper.DrillMetrics`), as metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def ended(self, outcome: str, at: datetime) -> None:
        """One more has this outcome."""
        self._metrics.drills.labels(outcome).inc()
        if outcome == "passed":
            self._metrics.drill_success.set(at.timestamp())
