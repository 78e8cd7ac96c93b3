"""Brokers for every test that wants one: started once for a whole run, on free ports."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from harness.broker import local_kafka

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
