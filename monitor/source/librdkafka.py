"""What every client on librdkafka shares: its options, and its faults in kafka-python's words."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaError
from kafka import errors as kafka_errors

from monitor.source.client import milliseconds
from monitor.source.settings import KafkaSettings

_TOKEN_SECONDS = 300.0
"""For how long a token that was read from its file counts as good."""

# What librdkafka finds out by itself has codes of its own; the brokers' codes are everybody's.
_LOCAL = {
    KafkaError._MSG_TIMED_OUT: kafka_errors.KafkaTimeoutError,  # noqa: SLF001
    KafkaError._TIMED_OUT: kafka_errors.KafkaTimeoutError,  # noqa: SLF001
    KafkaError._TRANSPORT: kafka_errors.KafkaConnectionError,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN: kafka_errors.KafkaConnectionError,  # noqa: SLF001
    KafkaError._RESOLVE: kafka_errors.KafkaConnectionError,  # noqa: SLF001
    KafkaError._SSL: kafka_errors.KafkaConnectionError,  # noqa: SLF001
    KafkaError._AUTHENTICATION: kafka_errors.SaslAuthenticationFailedError,  # noqa: SLF001
    KafkaError._UNKNOWN_TOPIC: kafka_errors.UnknownTopicOrPartitionError,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: kafka_errors.UnknownTopicOrPartitionError,  # noqa: SLF001
}


def fault_kind(fault: KafkaError) -> type[kafka_errors.KafkaError]:
    """kafka-python's exception for a fault of librdkafka, for which there is advice."""
    code = fault.code()
    kind: type[kafka_errors.KafkaError] = (
        kafka_errors.for_code(code) if code >= 0 else _LOCAL.get(code, kafka_errors.KafkaError)
    )
    return kind


def producer_options(settings: KafkaSettings) -> dict[str, Any]:
    """librdkafka's names for the settings of an idempotent producer."""
    timeout = milliseconds(settings.delivery_timeout)
    return {
        **client_options(settings),
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": settings.compression or "none",
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "message.max.bytes": settings.max_message_bytes,
        "message.timeout.ms": timeout,
        # One lost answer must leave time for a retry within the delivery timeout.
        "request.timeout.ms": min(milliseconds(settings.request_timeout), timeout // 2),
        "topic.metadata.propagation.max.ms": timeout,
        "delivery.report.only.error": True,
    }


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """librdkafka's names for how to reach the brokers."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": settings.client_id,
        "reconnect.backoff.max.ms": 2_000,
        "log.connection.close": False,
        "security.protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        check = "https" if settings.ssl_check_hostname else "none"
        options["ssl.endpoint.identification.algorithm"] = check
    optional = {
        "ssl.ca.location": settings.ssl_cafile,
        "ssl.certificate.location": settings.ssl_certfile,
        "ssl.key.location": settings.ssl_keyfile,
        "ssl.key.password": settings.ssl_password,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password,
    }
    options |= {name: str(value) for name, value in optional.items() if value is not None}
    if settings.sasl_token_file is not None:
        path = settings.sasl_token_file
        options["oauth_cb"] = lambda _config: (
            path.read_text("ascii").strip(),
            time.time() + _TOKEN_SECONDS,
        )
    return options
