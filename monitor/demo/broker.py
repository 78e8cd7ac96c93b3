"""A Kafka broker inside this process, for the demo and for tests on a bare machine."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer

from monitor.errors import BrokerError
from monitor.source.settings import KafkaSettings

API_VERSION = (2, 3)
"""The version to claim: asked for newer requests, the mock cluster answers some of them wrongly."""
FETCH_MAX_WAIT = 0.05
"""Seconds. The mock cluster does not wake a waiting fetch when a record arrives: this wait is
the delay of every record."""
SESSION_TIMEOUT = 6.0
"""Seconds. After a restart the group waits until the dead member's session has run out. Below 3.2
nobody can join: the mock cluster delays a first join by 3 s, and the session runs meanwhile."""
PARTITIONS = 4
"""Of every topic; they are created when first asked for."""
START_TIMEOUT = 10.0


class EmbeddedBroker:
    """librdkafka's mock cluster: the real Kafka wire protocol over TCP on loopback, in memory.

    What it is: sockets, framing, record batches with checksums and compression, consumer groups,
    leaders, committed offsets, idempotent producers. A client cannot tell it from a broker.

    What it is not: durable or big. It forgets everything when closed, keeps at most 5 MiB for each
    partition (the oldest batches go first, and the log start moves), takes no CreateTopics request.
    Several members of one group rebalance for ever. Throughput says nothing about a real cluster.
    Never put data on it that matters.

    It pretends its transactions. Messages are seen at once, aborted ones too, and nobody is fenced:
    a sender that is killed may have written a message twice. Their markers carry no checksum, so
    readers must not ask for one: ``check_crcs`` is off.

    A context manager; raises ``BrokerError``.
    """

    def __init__(self) -> None:
        self._client: object | None = None
        self._bootstrap_servers = ""

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of the running broker."""
        if self._client is None:
            raise BrokerError("the embedded broker is not running: enter its context first")
        return self._bootstrap_servers

    def settings(
        self,
        group_id: str = "monitor",
        client_id: str = "monitor",
        session_timeout: float = SESSION_TIMEOUT,
    ) -> KafkaSettings:
        """Client settings that fit this broker's limits."""
        return KafkaSettings(
            bootstrap_servers=self.bootstrap_servers,
            group_id=group_id,
            client_id=client_id,
            api_version=API_VERSION,
            fetch_max_wait=FETCH_MAX_WAIT,
            session_timeout=session_timeout,
            check_crcs=False,
        )

    def start(self) -> str:
        """Start it, wait until it answers; its address."""
        try:
            # The mock cluster lives and dies with the client that is created with this option.
            client = Producer({"test.mock.num.brokers": 1, "log_level": 0})
            brokers = client.list_topics(timeout=START_TIMEOUT).brokers.values()
        except KafkaException as error:
            raise BrokerError(f"the embedded broker did not start: {error}") from error
        self._client = client
        self._bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self._bootstrap_servers

    def close(self) -> None:
        """End it and forget all its records. Idempotent."""
        self._client = None  # librdkafka destroys the cluster with its last reference

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
