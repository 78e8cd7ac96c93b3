"""Brokers for every test that wants one: started once for a whole run, on free ports.

What a machine must be able to run is named by REQUIRE_KAFKA=1, REQUIRE_BROWSER=1 and
REQUIRE_POSTGRES=1: a skip of a test with that marker is then a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from harness.broker import local_kafka

from monitor.demo.broker import EmbeddedBroker
from monitor.errors import BrokerError
from monitor.source.settings import KafkaSettings

REQUIRED = {
    "kafka": "REQUIRE_KAFKA",
    "browser": "REQUIRE_BROWSER",
    "postgres": "REQUIRE_POSTGRES",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that this machine must be able to run into a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        for marker, variable in REQUIRED.items():
            if item.get_closest_marker(marker) and os.environ.get(variable) == "1":
                report.outcome = "failed"
                report.longrepr = f"{variable}=1 forbids to skip this test. {reason}"
    return report


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """The real wire protocol in this process; see EmbeddedBroker for its limits."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def real_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Settings that reach a one-node Apache Kafka, started for this run.

    Where it can't be had the test skips and says why.
    """
    local = local_kafka()
    try:
        node = local.LocalKafka(
            tmp_path_factory.mktemp("kafka"), local.free_port(), local.free_port()
        )
        node.start()
    except BrokerError as error:
        pytest.skip(f"no Apache Kafka: {error}")
    try:
        yield KafkaSettings(bootstrap_servers=node.bootstrap_servers, fetch_max_wait=0.1)
    finally:
        node.stop()
