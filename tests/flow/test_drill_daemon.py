"""`monitor drill` beside a daemon with every part real: the shipped model, Kafka, a webhook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.daemon import ROOT, DaemonProcess, Installation, until

from monitor.alert.signing import Signer, new_secret
from monitor.demo.receiver import WebhookReceiver
from monitor.drill.texts import DOCUMENTS
from monitor.source.client import ensure_topics
from monitor.source.settings import KafkaSettings


@dataclass
class World:
    site: Installation
    daemon: DaemonProcess
    receiver: WebhookReceiver
    config: Path

    def drill(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "monitor", "drill", "--config", str(self.config), *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def world(
    either_broker: KafkaSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    secret = new_secret()
    with WebhookReceiver(Signer([secret])) as receiver:
        folder = tmp_path_factory.mktemp("drill")
        site = Installation(folder, either_broker, receiver=receiver.url, secret=secret)
        ensure_topics(either_broker, dict.fromkeys((site.topics.news, site.topics.comments), 3))
        config = site.write()
        with DaemonProcess(config) as daemon:
            yield World(site, daemon.ready(), receiver, config)


@pytest.mark.timeout(400)
def test_a_drill_comes_from_kafka_to_the_receiver_and_leaves_nothing_behind(world: World) -> None:
    done = world.drill("--wait", "200")

    assert 0 == done.returncode, done.stdout + done.stderr + world.daemon.log()
    for stop in ("published", "appended", "ingested", "scored", "fired", "queued for desk"):
        assert stop in done.stdout
    assert "delivered to desk" in done.stdout
    assert "not reached" not in done.stdout
    (delivery, *_) = world.receiver.received
    (alert,) = delivery.alerts
    assert ("Drill", "firing") == (alert["labels"]["alertname"], alert["status"])
    assert alert["annotations"]["summary"].startswith("DRILL")
    assert DOCUMENTS == alert["annotations"]["evidence"].count("DRILL: ")

    site = world.site
    for table in ("documents", "mentions", "buckets", "key_states", "stories", "dead_letters"):
        assert 0 == site.count(table), table
    until(lambda: site.count("alerts") == 0, "the alert is gone", world.daemon)
    assert [("passed", DOCUMENTS, "[]")] == site.rows(
        "SELECT outcome, negative, evidence FROM drills"
    )
    until(
        lambda: world.daemon.metric("monitor_drills_total", outcome="passed") == 1,
        "it is counted",
        world.daemon,
    )
    until(site.settled, "the receiver has heard of its end", world.daemon)
    (*_, last) = world.receiver.received
    assert "resolved" == last.alerts[0]["status"]


def test_a_receiver_that_nobody_configured_is_named(world: World) -> None:
    done = world.drill("--receiver", "nobody")
    assert 1 == done.returncode
    assert "there are: desk" in done.stderr


@pytest.mark.timeout(400)
def test_without_a_daemon_the_drill_says_what_to_look_at(world: World) -> None:
    world.daemon.close()
    done = world.drill("--wait", "1", "--receiver", "desk")
    assert 1 == done.returncode
    assert "not within 1 s: ingested" in done.stderr
    assert "/readyz" in done.stderr
    assert "not reached" in done.stdout
    found = world.site.rows("SELECT outcome FROM drills ORDER BY started_ms")
    assert ["passed", "failed"] == [outcome for (outcome,) in found]
