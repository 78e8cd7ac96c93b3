"""The daemon as a process with every part real: the shipped model, SQLite, Kafka and a webhook."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.daemon import DaemonProcess, Installation, original, places, read_topics, until
from jsonschema import Draft202012Validator

from monitor.alert.signing import Signer, new_secret
from monitor.demo.receiver import WebhookReceiver
from monitor.demo.stream import SampleMessage, sample_stream
from monitor.events import Reason
from monitor.source.client import ensure_topics
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=2)
PER_DAY = 500
OUT_OF_ORDERNESS = 60  # the default
BUCKET = 300
SCHEMA = Path(__file__).parents[2] / "docs" / "webhook.schema.json"

REASONS = {
    "not_json": Reason.NOT_JSON,
    "truncated_json": Reason.NOT_JSON,
    "not_an_object": Reason.NOT_AN_OBJECT,
    "missing_text": Reason.NO_TEXT,
    "wrong_type": Reason.WRONG_TYPE,
    "missing_date": Reason.MISSING_FIELD,
    "naive_date": Reason.BAD_DATE,
    "wrong_date": Reason.BAD_DATE,
    "nul": Reason.CONTROL_CHARACTER,
    "control_character": Reason.CONTROL_CHARACTER,
    "lone_surrogate": Reason.LONE_SURROGATE,
    "not_utf8": Reason.NOT_UTF8,
    "empty": Reason.EMPTY,
    "too_large": Reason.TOO_LARGE,
    "future": Reason.FUTURE,
}


def two_days() -> list[SampleMessage]:
    """An ordinary day and one with a run on a bank, published at one go: "now" is their end.

    So a message from the future has to lie beyond that end; the others of this flaw are left out.
    """
    edge = END + timedelta(hours=1)
    return [
        message
        for message in sample_stream(START, days=2, per_day=PER_DAY)
        if message.flaw != "future"
        or datetime.fromisoformat(json.loads(message.value)["published_at"]) > edge
    ]


STREAM = two_days()
REJECTED = Counter(REASONS[m.flaw].value for m in STREAM if m.flaw in REASONS)


@dataclass
class World:
    """An installation whose daemon has read the two days; restarts replace ``daemon``."""

    site: Installation
    daemon: DaemonProcess
    receiver: WebhookReceiver

    def publish(self, messages: list[SampleMessage]) -> None:
        topics = {"news": self.site.topics.news, "comments": self.site.topics.comments}
        publisher = KafkaPublisher(self.site.kafka)
        for name, topic in topics.items():
            publisher.publish(topic, [(m.key, m.value) for m in messages if m.topic == name])
        publisher.close()

    def settle(self, messages: int) -> None:
        """Wait until so many messages are in the database and all that follows is delivered."""
        until(
            lambda: self.site.taken() >= messages,
            f"{messages} messages are in the database",
            self.daemon,
        )
        # Then every partition falls idle, and the newest document closes the buckets before it.
        ((newest,),) = self.site.rows("SELECT max(published_ms) / 1000 FROM documents")
        closed = "SELECT value FROM progress WHERE name = 'closed_until'"
        edge = (newest - OUT_OF_ORDERNESS) // BUCKET * BUCKET
        until(
            lambda: [(edge,)] == self.site.rows(closed), "the last buckets are closed", self.daemon
        )
        until(self.site.settled, "everything is delivered", self.daemon)

    def rejected(self) -> dict[str, int]:
        return dict(self.site.rows("SELECT reason, count(*) FROM dead_letters GROUP BY reason"))

    def read_back(self) -> dict[str, list[dict[str, object]]]:
        """What stands on the topics that the daemon writes, by the name of the table."""
        topics = self.site.topics
        told = self.site.count("alerts WHERE fired_ms IS NOT NULL")
        found = read_topics(
            self.site.kafka,
            {
                topics.scored: self.site.count("documents"),
                topics.dead_letters: self.site.count("dead_letters"),
                topics.alerts: told,
            },
        )
        return {
            "documents": found[topics.scored],
            "dead_letters": found[topics.dead_letters],
            "alerts": found[topics.alerts],
        }


@pytest.fixture(scope="module")
def world(
    either_broker: KafkaSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    secret = new_secret()
    with WebhookReceiver(Signer([secret])) as receiver:
        site = Installation(
            tmp_path_factory.mktemp("daemon"),
            either_broker,
            receiver=receiver.url,
            secret=secret,
            extra=REPLAY.format(at=END.isoformat(), now=datetime.now(UTC).isoformat()),
        )
        ensure_topics(either_broker, dict.fromkeys((site.topics.news, site.topics.comments), 3))
        with DaemonProcess(site.write()) as daemon:
            made = World(site, daemon, receiver)
            daemon.ready()
            made.publish(STREAM)
            made.settle(len(STREAM))
            yield made
            made.daemon.close()


REPLAY = """
[intake]
poll_records = 128
[aggregate]
idle_after = 1
[replay]
event_origin = "{at}"
wall_origin = "{now}"
speed = 1
"""


def test_what_went_in_is_scored_or_rejected_to_the_item(world: World) -> None:
    assert dict(REJECTED) == world.rejected()
    assert len(STREAM) - REJECTED.total() == world.site.count("documents")
    model = "SELECT DISTINCT model_version FROM documents"
    assert 1 == len(world.site.rows(model))


def test_the_topics_hold_exactly_what_the_database_holds(world: World) -> None:
    found = world.read_back()
    documents = [message["id"] for message in found["documents"]]
    assert len(documents) == len(set(documents))
    assert {i for (i,) in world.site.rows("SELECT id FROM documents")} == set(documents)
    rows = "SELECT kafka_topic, kafka_partition, kafka_offset, value FROM dead_letters"
    letters = {(t, p, o): v or b"" for t, p, o, v in world.site.rows(rows)}
    assert len(letters) == len(found["dead_letters"])
    assert letters.keys() == places(found["dead_letters"])
    broken = Counter(m.value for m in STREAM if m.flaw in REASONS)
    assert broken == Counter(original(m) for m in found["dead_letters"])
    assert broken == Counter(letters.values())
    fired = "SELECT id FROM alerts WHERE fired_ms IS NOT NULL"
    assert {i for (i,) in world.site.rows(fired)} == {m["id"] for m in found["alerts"]}
    states = [(m["id"], m["status"], json.dumps(m["setting"])) for m in found["alerts"]]
    assert len(states) == len(set(states))


def test_the_crisis_reaches_the_receiver_signed_and_as_documented(world: World) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    deliveries = list(world.receiver.received)
    assert deliveries
    assert (0, 0) == (world.receiver.rejected, world.receiver.conflicts)
    for delivery in deliveries:
        assert [] == list(validator.iter_errors(delivery.payload))
    fired = "SELECT id, fired_ms, setting FROM alerts WHERE fired_ms IS NOT NULL"
    shown = world.site.rows(fired)
    stored = {i: at for i, at, setting in shown if not json.loads(setting)["under"]}
    assert stored.keys() == {a["labels"]["alert_id"] for d in deliveries for a in d.alerts}
    crisis = START + timedelta(days=1, hours=13)
    hours = [(datetime.fromtimestamp(ms / 1000, UTC) - crisis) for ms in stored.values()]
    assert timedelta(0) < min(hours) < timedelta(hours=3)


def test_the_metrics_agree_with_the_database(world: World) -> None:
    metric = world.daemon.metric
    for kind, sentiment, number in world.site.rows(
        "SELECT kind, sentiment, count(*) FROM documents GROUP BY kind, sentiment"
    ):
        scored = metric("monitor_documents_scored_total", kind=kind, sentiment=sentiment)
        assert number == scored
    for reason, number in world.rejected().items():
        assert number == metric("monitor_documents_rejected_total", reason=reason)
    assert len(STREAM) == metric("monitor_records_total")
    assert len(STREAM) == metric("monitor_documents_scored_total") + metric(
        "monitor_documents_rejected_total"
    )
    summed = world.site.rows("SELECT sum(posts) FROM buckets WHERE key = 'all'")
    late = metric("monitor_documents_late_total")
    assert [(world.site.count("documents") - late,)] == summed
    delivered = world.site.count("notifications WHERE status = 'delivered'")
    assert delivered == metric("monitor_notifications_delivered_total", receiver="desk")
    assert (0, 0) == (metric("monitor_offset_lag_records"), metric("monitor_outbox_lag_seconds"))


def test_health_answers_and_names_what_it_checks(world: World) -> None:
    for path, checks in (("/livez", {"loop"}), ("/readyz", {"model", "partitions", "database"})):
        status, body = world.daemon.get(path)
        assert 200 == status
        assert {"ok": True, "checks": dict.fromkeys(checks, "ok")} == json.loads(body)


def test_sigterm_ends_it_and_a_restart_goes_on_where_it_ended(world: World) -> None:
    """Last of the module: the others look at the first daemon."""
    before = world.site.rows("SELECT id, scored_ms FROM documents ORDER BY id")
    told = len(world.receiver.received)
    world.daemon.terminate()
    assert 0 == world.daemon.wait(10)
    assert "stopped; every offset and alert is in the database" in world.daemon.log()

    good = [m for m in STREAM if m.flaw is None and "id" in json.loads(m.value)]
    again = good[:3]
    more = [
        replace(m, value=json.dumps(json.loads(m.value) | {"id": f"again-{n}"}).encode())
        for n, m in enumerate(good[-20:])
    ]
    world.publish([*again, *more])  # while nobody listens
    world.daemon = DaemonProcess(world.site.write()).ready()
    world.settle(len(STREAM) + 23)

    after = world.site.rows("SELECT id, scored_ms FROM documents ORDER BY id")
    assert {f"again-{n}" for n in range(20)} == {i for i, _ in after} - {i for i, _ in before}
    assert set(before) <= set(after)
    assert {**REJECTED, "duplicate": 3} == world.rejected()
    assert 23 == world.daemon.metric("monitor_records_total")
    found = world.read_back()
    assert len(after) == len({m["id"] for m in found["documents"]}) == len(found["documents"])
    assert len(found["dead_letters"]) == len(places(found["dead_letters"]))
    ids = [d.id for d in world.receiver.received]
    assert len(ids) == len(set(ids))
    assert 0 == world.receiver.repeated
    states = Counter(
        (a["labels"]["alert_id"], a["status"])
        for d in world.receiver.received[told:]
        for a in d.alerts
    )
    assert not states  # nobody hears again of what had been told before
