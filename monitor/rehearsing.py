"""Drills as the configuration wants them: whom they reach, how they are sent, who ends them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

from sqlalchemy import Engine

from monitor import config
from monitor.alert.policy import routed_to
from monitor.clock import SystemClock
from monitor.drill.keeper import Keeper
from monitor.drill.rule import alert_labels
from monitor.drill.start import Schedule
from monitor.drill.texts import messages
from monitor.jobs import Jobs, next_due
from monitor.metrics import DrillCounters, Metrics
from monitor.opening import kafka_settings, make_clock, out_topics
from monitor.outgoing import outgoing
from monitor.source.publish import KafkaPublisher
from monitor.store.drills.base import DrillOutcome, Told
from monitor.store.drills.sql import SqlDrills

_EVERY = 2.0  # seconds between two looks at the drills that run
_MISSED_EVERY = 10.0


def schedule_drills(
    settings: config.Settings, engine: Engine, metrics: Metrics, jobs: Jobs
) -> None:
    """Drills are ended by this daemon, whoever began them; some begin by themselves."""
    drills = SqlDrills(engine)
    passed = drills.latest(outcome=DrillOutcome.PASSED)
    if passed is not None and passed.ended_at is not None:
        metrics.drill_success.set(passed.ended_at.timestamp())
    keeper = Keeper(
        drills,
        drilled_receivers(settings.delivery),
        told_of(settings.kafka),
        SystemClock().now,
        DrillCounters(metrics),
    )
    jobs.every("drills", _EVERY, keeper.look)
    drill = settings.drill
    if drill.schedule is None:
        return
    schedule = Schedule(
        drills,
        keeper,
        drill_sender(settings),
        next_due(drill.schedule),
        timedelta(seconds=drill.deadline),
        drill.receiver,
        SystemClock().now,
    )
    jobs.cron("drill", drill.schedule, schedule.start)
    jobs.every("missed drills", _MISSED_EVERY, schedule.check)


def drilled_receivers(delivery: config.Delivery) -> list[str]:
    """Those to whom the routes send the alert of a drill at once: all others never hear of it."""
    names = [receiver.name for receiver in delivery.receivers]
    found = routed_to(alert_labels(), names, [table.route for table in delivery.routes])
    return [name for name in names if found.get(name) is False]


def drill_sender(settings: config.Settings) -> Callable[[str], None]:
    """Publishes a drill's messages, over a connection of its own: it is part of what is tried."""
    clock = make_clock(settings)

    def send(drill: str) -> None:
        with closing(KafkaPublisher(kafka_settings(settings.kafka))) as publisher:
            by_topic: dict[str, list[tuple[bytes | None, bytes]]] = {}
            for topic, key, value in messages(drill, settings.kafka.topics, clock.now()):
                by_topic.setdefault(topic, []).append((key, value))
            for topic, values in by_topic.items():
                publisher.publish(topic, values)

    return send


def told_of(kafka: config.Kafka) -> Told:
    """The rows of the outbox for a change of an alert."""
    topics = out_topics(kafka)
    return lambda alert: list(outgoing(topics, (), (), [alert]))
