"""The whole daemon under kill -9, a broker that goes and comes back, a locked database, a rival."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness.broker import local_kafka
from harness.daemon import SCRIPTED, DaemonProcess, Installation, read_topics, until
from harness.flow import START, Message, make_flow, message

from monitor.alert.signing import Signer, new_secret
from monitor.annotate import Annotator
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.receiver import WebhookReceiver
from monitor.source.client import ensure_topics
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings
from monitor.story.stories import Stories

MESSAGES = 20_000
KILLS = 5
AHEAD = 1_000
"""Messages that wait in Kafka while there are some left: so all partitions advance together."""
EXTRA = "[intake]\npoll_records = 500\n[aggregate]\nidle_after = 3\n"


def stream(count: int, seed: int = 3) -> list[Message]:
    """Four days in the order of event time; for ten hours nine of ten are negative.

    One in ten repeats the words of one that came up to an hour before; the others share none.
    """
    rng = random.Random(seed)
    step = timedelta(days=4) / count
    messages: list[Message] = []
    for n in range(count):
        sign = rng.choices("-0+", (9, 1, 0) if 0.6 < n / count < 0.7 else (1, 2, 1))[0]
        made = message(n, START + n * step, sign)
        if n and rng.random() < 0.1:
            made["text"] = messages[max(0, n - rng.randint(1, 200))]["text"]
        else:
            made["text"] = f"{sign} 5 " + " ".join(f"{rng.getrandbits(32):x}" for _ in range(8))
        messages.append(made)
    return messages


class Feed:
    """Publishes the messages in order, a little ahead of the daemon."""

    def __init__(self, site: Installation, messages: Sequence[Message]) -> None:
        self._site = site
        self._rows = [(str(m["id"]).encode(), json.dumps(m).encode()) for m in messages]
        self._publisher = KafkaPublisher(site.kafka)
        self._published = 0

    def reached(self, count: int) -> bool:
        """Publish what is due; whether the daemon has taken ``count``."""
        taken = self._site.taken()
        while self._published < min(len(self._rows), taken + AHEAD):
            some = self._rows[self._published : self._published + AHEAD // 4]
            self._publisher.publish(self._site.topics.news, some)
            self._published += len(some)
        return taken >= count

    def close(self) -> None:
        self._publisher.close()


def publish(site: Installation, messages: Sequence[Message]) -> None:
    with closing(Feed(site, messages)) as feed:
        feed.reached(0)


def installed(folder: Path, kafka: KafkaSettings) -> Installation:
    site = Installation(folder, kafka, extra=EXTRA)
    ensure_topics(kafka, {site.topics.news: 3})
    return site


@pytest.fixture
def site(tmp_path: Path, embedded_broker: EmbeddedBroker) -> Installation:
    return installed(tmp_path, embedded_broker.settings(session_timeout=3.5))


def undisturbed(
    messages: list[Message],
) -> tuple[dict[int, tuple[int, int]], set[tuple[Any, ...]]]:
    """Voices and posts by bucket, and the alerts that fired, of a run in memory, undisturbed."""
    flow = make_flow()
    flow.annotator = lambda: Annotator(Stories())
    flow.restart()
    flow.put(messages)
    flow.drain()
    buckets = {
        start: (bucket.n, bucket.posts)
        for (key, start), bucket in flow.database.buckets.items()
        if key == "all"
    }
    alerts = {
        (a.id, a.status.value, round(a.fired_at.timestamp()), a.documents, a.negative)
        for a in flow.database.alerts.values()
        if a.fired_at
    }
    return buckets, alerts


def test_kill_9_at_any_moment_loses_and_doubles_nothing(site: Installation) -> None:
    messages = stream(MESSAGES)
    buckets, alerts = undisturbed(messages)
    assert alerts
    rng = random.Random(11)
    secret = new_secret()
    with WebhookReceiver(Signer([secret])) as receiver:
        site.receiver, site.secret = receiver.url, secret
        config = site.write()
        with closing(Feed(site, messages)) as feed:
            # A look at the table is quicker than a batch: each kill hits another one's middle.
            for moment in sorted(rng.sample(range(1, MESSAGES - 2 * AHEAD), KILLS)):
                with DaemonProcess(config, SCRIPTED) as daemon:
                    until(partial(feed.reached, moment), f"{moment} messages are read", daemon)
                    daemon.kill()
                assert site.taken() < MESSAGES
            with DaemonProcess(config, SCRIPTED) as daemon:
                until(partial(feed.reached, MESSAGES), "every message is read", daemon)
                # The last bucket stays open: its end lies beyond the watermark.
                closed = [("closed_until", max(buckets))]
                progress = "SELECT * FROM progress WHERE name = 'closed_until'"
                until(lambda: site.rows(progress) == closed, "the buckets are closed", daemon)
                until(site.settled, "everything is delivered", daemon)
                daemon.terminate()
                assert 0 == daemon.wait()

    ids = {str(m["id"]) for m in messages}
    assert ids == {i for (i,) in site.rows("SELECT id FROM documents")}
    assert 0 == site.count("dead_letters")
    counted = site.rows("SELECT start, n, posts FROM buckets WHERE key = 'all'")
    assert buckets == {start: (voices, posts) for start, voices, posts in counted}
    assert MESSAGES == sum(posts for _, posts in buckets.values())
    assert MESSAGES > sum(voices for voices, _ in buckets.values())
    found = "SELECT id, status, fired_ms / 1000, documents, negative FROM alerts"
    assert alerts == set(site.rows(f"{found} WHERE fired_ms IS NOT NULL"))

    scored = read_topics(site.kafka, {site.topics.scored: MESSAGES})[site.topics.scored]
    assert ids == {m["id"] for m in scored}  # after a crash a message may stand there twice
    assert (0, 0) == (receiver.rejected, receiver.conflicts)
    bodies = dict(site.rows("SELECT id, body FROM notifications"))
    assert receiver.received
    assert all(bodies[d.id] == d.body for d in receiver.received)
    told = {a["labels"]["alert_id"] for d in receiver.received for a in d.alerts}
    # What is shown under another alert is not sent, as long as that is there.
    shown = site.rows("SELECT id, setting FROM alerts WHERE fired_ms IS NOT NULL")
    alone = {i for i, setting in shown if not json.loads(setting)["under"]}
    assert alone and alone <= told <= {a[0] for a in alerts}


def test_a_locked_database_is_waited_for(site: Installation) -> None:
    messages = stream(400)
    with DaemonProcess(site.write(), SCRIPTED) as daemon:
        daemon.ready()
        publish(site, messages[:200])
        until(lambda: site.taken() == 200, "the first half is read", daemon)
        with closing(sqlite3.connect(site.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            publish(site, messages[200:])
            until(lambda: daemon.metric("monitor_store_failures_total") > 0, "it failed", daemon)
            status, body = daemon.get("/readyz")
            assert (503, "not writable") == (status, json.loads(body)["checks"]["database"])
            assert 200 == daemon.get("/livez")[0]  # a restart would not help
            other.execute("ROLLBACK")
        until(lambda: site.taken() == 400, "the second half is read", daemon)
        until(site.settled, "everything is delivered", daemon)
        until(lambda: daemon.get("/readyz")[0] == 200, "it is ready again", daemon)
        daemon.terminate()
        assert 0 == daemon.wait()
    assert "another process holds the write lock" in daemon.log()
    assert {str(m["id"]) for m in messages} == {i for (i,) in site.rows("SELECT id FROM documents")}
    scored = read_topics(site.kafka, {site.topics.scored: 400})[site.topics.scored]
    assert 400 == len(scored) == len({m["id"] for m in scored})


def test_a_second_daemon_on_the_database_ends_the_first(site: Installation) -> None:
    messages = stream(200)
    with DaemonProcess(site.write(), SCRIPTED) as first:
        first.ready()
        publish(site, messages[:100])
        until(lambda: site.taken() == 100, "the first has read", first)
        rival = site.write("rival.toml", group=f"rival-{site.topics.mark}")
        with DaemonProcess(rival, SCRIPTED) as second:
            second.ready()
            publish(site, messages[100:])
            assert 1 == first.wait()
            assert "another daemon has taken over this database; run one" in first.log()
            assert "Traceback" not in first.log()
            until(lambda: site.taken() == 200, "the second has read", second)
            assert 0 == site.count("dead_letters")
            second.terminate()
            assert 0 == second.wait()


@pytest.mark.kafka
@pytest.mark.usefixtures("real_broker")  # skips, or fails, where none can be had
def test_a_broker_that_goes_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    local = local_kafka()
    messages = stream(400)
    node = local.LocalKafka(tmp_path / "kafka", local.free_port(), local.free_port())
    with node:
        kafka = KafkaSettings(
            bootstrap_servers=node.bootstrap_servers, fetch_max_wait=0.1, session_timeout=6.0
        )
        site = installed(tmp_path, kafka)
        with DaemonProcess(site.write(), SCRIPTED) as daemon:
            daemon.ready()
            publish(site, messages[:200])
            until(lambda: site.taken() == 200, "the first half is read", daemon)
            until(site.settled, "everything is delivered", daemon)
            node.stop()
            with closing(sqlite3.connect(site.database)) as other, other:
                row = json.dumps({"key": "probe", "value": {"id": "probe"}}).encode()
                other.execute(
                    "INSERT INTO outbox (destination, payload, created_ms) VALUES (?, ?, 0)",
                    (site.topics.scored, row),
                )
            assert 200 == daemon.get("/livez")[0]
            node.start()
            publish(site, messages[200:])
            until(lambda: site.taken() == 400, "the second half is read", daemon)
            until(site.settled, "everything is delivered", daemon)
            daemon.terminate()
            assert 0 == daemon.wait()
        scored = read_topics(kafka, {site.topics.scored: 401})[site.topics.scored]
    assert 0 == site.count("dead_letters")
    assert {*(str(m["id"]) for m in messages), "probe"} == {m["id"] for m in scored}
