"""What the feeds report to Prometheus. The label ``feed`` is a name of the configuration."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitor.source.feeds.fetch import Fault
from monitor.source.feeds.poll import Verdict
from monitor.store.feeds.base import FeedState

POLL_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 60)


class FeedMetrics:
    """Every metric of the feeds."""

    def __init__(self, registry: CollectorRegistry, feeds: Iterable[str]) -> None:
        self.registry = registry

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"monitor_feed_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"monitor_feed_{name}", text, labels, registry=registry)

        self.polls = counter("polls_total", "Polls that were answered with a feed.", ("feed",))
        self.failures = counter("failures_total", "Polls that gave nothing.", ("feed", "fault"))
        self.items = counter("items_total", "Items by what became of them.", ("feed", "verdict"))
        self.up = gauge("up", "Whether the last poll was answered with a feed.", ("feed",))
        self.success = gauge(
            "last_success_timestamp_seconds",
            "Last poll that was answered with a feed; 0: never.",
            ("feed",),
        )
        self.seconds = Histogram(
            "monitor_feed_poll_seconds", "Time of a poll.", buckets=POLL_BUCKETS, registry=registry
        )
        self.sent_messages = counter("messages_published_total", "Messages that are in Kafka.")
        self.send_failures = counter("send_failures_total", "Attempts at Kafka that failed.")
        self.backlog = gauge("backlog_records", "Messages that wait for Kafka.")
        for feed in feeds:
            self.polls.labels(feed)
            self.up.labels(feed).set(0)
            self.success.labels(feed).set(0)
            for fault in Fault:
                self.failures.labels(feed, fault)
            for verdict in Verdict:
                self.items.labels(feed, verdict)

    def polled(self, state: FeedState, fault: Fault | None, verdicts: Iterable[Verdict]) -> None:
        """One poll has ended and is stored."""
        name = state.name
        self.state(state)
        if fault is not None:
            self.failures.labels(name, fault).inc()
            return
        self.polls.labels(name).inc()
        for verdict, count in Tally(verdicts).items():
            self.items.labels(name, verdict).inc(count)

    def state(self, state: FeedState) -> None:
        """How a feed does, also as it was found at a start."""
        self.up.labels(state.name).set(not state.failures and state.succeeded_at is not None)
        if state.succeeded_at is not None:
            self.success.labels(state.name).set(seconds(state.succeeded_at))

    def sent(self, messages: int) -> None:
        """See `monitor.source.dispatch.DispatchMetrics`."""
        self.sent_messages.inc(messages)

    def failed(self) -> None:
        """See `monitor.source.dispatch.DispatchMetrics`."""
        self.send_failures.inc()


def seconds(at: datetime) -> float:
    """Since the epoch."""
    return at.timestamp()
