"""Brokers for every test that wants one: started once for a whole run, on free ports."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from monitor.demo.broker import EmbeddedBroker
from monitor.errors import BrokerError
from monitor.source.settings import KafkaSettings


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """The real wire protocol in this process; see EmbeddedBroker for its limits."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def real_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings that reach a one-node Apache Kafka, started for this run.

    Where it can't be had the test skips and says why; with REQUIRE_KAFKA=1 it fails.
    """
    local = local_kafka()
    try:
        node = local.LocalKafka(
            tmp_path_factory.mktemp("kafka"), local.free_port(), local.free_port()
        )
        node.start()
    except BrokerError as error:
        if os.environ.get("REQUIRE_KAFKA") == "1":
            pytest.fail(f"REQUIRE_KAFKA=1, and no Apache Kafka: {error}")
        pytest.skip(f"no Apache Kafka: {error}")
    try:
        yield KafkaSettings(bootstrap_servers=node.bootstrap_servers, fetch_max_wait=0.1)
    finally:
        node.stop()


def local_kafka() -> ModuleType:
    """deploy/kafka/local.py, which is a script and not part of the installed packages."""
    name = "deploy_kafka_local"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "deploy" / "kafka" / "local.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
