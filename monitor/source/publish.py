"""The Kafka publisher, on librdkafka: nothing counts as published before the brokers have
acknowledged it.

The consumer is kafka-python; its producer costs 33 µs of the interpreter for each message, which
the main loop would wait for, librdkafka's 2 µs, most of them without the lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from kafka import errors as kafka_errors

from monitor.errors import SourceError
from monitor.source.client import require_reachable, source_error
from monitor.source.librdkafka import fault_kind, producer_options
from monitor.source.settings import KafkaSettings

log = logging.getLogger(__name__)

_CHUNK = 10_000
"""Messages that wait for their acknowledgement at once."""


class KafkaPublisher:
    """A `Publisher`: idempotent producer, ``acks=all``, compressed batches, keys to partitions as
    Java's and kafka-python's clients send them.

    Idempotence keeps a retried request from being written twice while one producer lives. A
    failed producer is thrown away with what it still holds, and a new one connects at the next
    ``publish``. The constructor connects; both raise ``SourceError``.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._closed = False
        self._failed: list[KafkaError] = []  # what librdkafka says of messages it gave up
        self._cause: KafkaError | None = None  # what it said last of the connection
        self._producer: Any = self._connect()

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        """See `monitor.source.base.Publisher.publish`. The topic must exist."""
        if self._closed:
            raise SourceError(f"Publishing to {topic}: this publisher is closed")
        if self._producer is None:
            self._producer = self._connect()
        try:
            waiting = 0
            for key, value in messages:
                self._produce(topic, key, value)
                waiting += 1
                if waiting == _CHUNK:
                    self._await()
                    waiting = 0
            self._await()
        except Exception as error:
            broken, self._producer = self._producer, None
            broken.purge()
            if isinstance(error, KafkaException):
                cause = self._in_words(error)
                raise source_error(self._settings, f"Publishing to {topic}", cause) from error
            raise

    def close(self) -> None:
        """See `monitor.source.base.Publisher.close`."""
        self._closed = True
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(self._settings.delivery_timeout)

    def _produce(self, topic: str, key: bytes | None, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._on_failure)
            except BufferError:  # its queue holds so many bytes and no more
                self._producer.poll(0.1)
            else:
                return

    def _await(self) -> None:
        left = self._producer.flush(self._settings.delivery_timeout)
        if self._failed:
            raise KafkaException(self._failed[0])
        if left:
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))  # noqa: SLF001

    def _on_failure(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failed.append(error)

    def _on_error(self, error: KafkaError) -> None:
        self._cause = error
        log.debug("librdkafka: %s", error)

    def _in_words(self, error: KafkaException) -> kafka_errors.KafkaError:
        """The same fault as an exception of kafka-python, for which there is advice."""
        fault = error.args[0]
        if fault_kind(fault) is kafka_errors.KafkaTimeoutError and self._cause is not None:
            fault = self._cause  # why it took too long
        kind = fault_kind(fault)
        return kind(fault.str())

    def _connect(self) -> Any:
        settings = self._settings
        require_reachable(settings)
        self._failed, self._cause = [], None
        producer = Producer({**producer_options(settings), "error_cb": self._on_error}, logger=log)
        try:
            producer.list_topics(timeout=settings.connect_timeout)
        except KafkaException as error:
            producer.poll(0)  # brings the cause
            cause = self._in_words(error)
            raise source_error(settings, "Connecting to Kafka", cause) from error
        return producer
