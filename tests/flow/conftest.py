"""What the tests of whole processes share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.demo.broker import EmbeddedBroker
from monitor.source.settings import KafkaSettings


@pytest.fixture(scope="module", params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def either_broker(request: pytest.FixtureRequest) -> KafkaSettings:
    """Both brokers, one after the other; members that are gone are missed soon."""
    if request.param == "embedded":
        broker: EmbeddedBroker = request.getfixturevalue("embedded_broker")
        return broker.settings(session_timeout=3.5)
    real: KafkaSettings = request.getfixturevalue("real_broker")
    return replace(real, session_timeout=4.0)
