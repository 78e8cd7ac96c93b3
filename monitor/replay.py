"""`monitor replay`: publish files into Kafka with their event times."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from monitor.clock import SystemClock
from monitor.config import load_settings
from monitor.errors import ConfigError
from monitor.opening import kafka_settings
from monitor.source.client import ensure_topics
from monitor.source.files import FieldMap, progress_bar, replay
from monitor.source.publish import KafkaPublisher


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line chose."""

    files: tuple[Path, ...]
    config: Path | None
    mapping: FieldMap
    topic: str | None
    """None: the first topic of the configuration."""
    speed: float | None
    """Event seconds a second; None: as fast as the broker acknowledges."""


def parse_speed(text: str) -> float | None:
    """``max`` or a positive number. Raises ``ConfigError``."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(f"--speed {text!r}: must be a positive number, or max")
    return speed


def run_replay(options: ReplayOptions) -> int:
    """Publish; 0, or 2 when rows could not be read. Raises ``MonitorError``."""
    settings = load_settings(options.config)
    topic = options.topic or next(iter(settings.kafka.topics))
    kafka = kafka_settings(settings.kafka)
    ensure_topics(kafka, {topic: settings.kafka.partitions})
    publisher = KafkaPublisher(kafka)
    try:
        with progress_bar() as progress:
            report = replay(
                options.files,
                options.mapping,
                publisher,
                topic,
                options.speed,
                SystemClock(),
                time.sleep,
                progress,
            )
    finally:
        publisher.close()
    print(f"{report.published:,} messages published into {topic}")
    if report.first and report.last:
        print(f"event time {report.first:%Y-%m-%d %H:%M} to {report.last:%Y-%m-%d %H:%M} UTC")
    for fault in report.faults[:20]:
        print(fault, file=sys.stderr)
    if report.unreadable:
        print(f"{report.unreadable} rows could not be read and were left out", file=sys.stderr)
    return 2 if report.unreadable else 0
