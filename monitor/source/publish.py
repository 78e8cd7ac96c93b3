"""The Kafka publisher: nothing counts as published before the brokers have acknowledged it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from monitor.errors import SourceError
from monitor.source.client import client_options, milliseconds, require_reachable, source_error
from monitor.source.settings import KafkaSettings

_CHUNK = 5_000
"""Messages that wait for their acknowledgement at once: the producer's own buffer has no bound."""


class KafkaPublisher:
    """A `Publisher`: idempotent producer, ``acks=all``, compressed batches.

    Idempotence keeps a retried request from being written twice while one producer lives. A
    failed producer is thrown away (after a lost sequence number it refuses everything) and a new
    one connects at the next ``publish``. The constructor connects; both raise ``SourceError``.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._closed = False
        self._producer: Any = self._connect()

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        """See `monitor.source.base.Publisher.publish`. The topic must exist."""
        if self._closed:
            raise SourceError(f"Publishing to {topic}: this publisher is closed")
        if self._producer is None:
            self._producer = self._connect()
        try:
            pending: list[Any] = []
            for key, value in messages:
                pending.append(self._producer.send(topic, value=value, key=key))
                if len(pending) >= _CHUNK:
                    self._await(pending)
            self._await(pending)
        except Exception as error:
            broken, self._producer = self._producer, None
            with contextlib.suppress(KafkaError):
                broken.close(timeout=0)
            if isinstance(error, KafkaError):
                raise source_error(self._settings, f"Publishing to {topic}", error) from error
            raise

    def close(self) -> None:
        """See `monitor.source.base.Publisher.close`."""
        self._closed = True
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                producer.close(timeout=self._settings.delivery_timeout)

    def _await(self, pending: list[Any]) -> None:
        self._producer.flush(timeout=self._settings.delivery_timeout)
        for future in pending:
            future.get(timeout=self._settings.delivery_timeout)
        pending.clear()

    def _connect(self) -> Any:
        settings = self._settings
        require_reachable(settings)
        options = client_options(settings)
        timeout = milliseconds(settings.delivery_timeout)
        # One lost answer must leave time for a retry within the delivery timeout.
        options["request_timeout_ms"] = min(options["request_timeout_ms"], timeout // 2)
        try:
            return KafkaProducer(
                **options,
                acks="all",
                enable_idempotence=True,
                compression_type=settings.compression,
                linger_ms=5,
                batch_size=128 * 1024,
                max_request_size=settings.max_message_bytes,
                max_block_ms=timeout,
                delivery_timeout_ms=timeout,
                metrics_enabled=False,
            )
        except KafkaError as error:
            raise source_error(settings, "Connecting to Kafka", error) from error
