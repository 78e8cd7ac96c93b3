"""What every Kafka client of the house shares: connection options, errors in words, topics."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors
from kafka.net.sasl.oauth import AbstractTokenProvider

from monitor.errors import SourceError
from monitor.source.settings import KafkaSettings

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIMESTAMP = 253_402_300_799_000  # the last second of year 9999, in milliseconds

# What waiting cannot mend: a person has to change a credential, a right, or the configuration.
_FATAL = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.AuthorizationError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.KafkaConfigurationError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.UnsupportedVersionError,
)

_ADVICE = (
    "Check that a broker runs there (`make kafka` starts one), that this machine reaches its "
    "advertised address, and kafka.bootstrap_servers and kafka.security_protocol"
)


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """OAUTHBEARER tokens from a file that somebody else keeps fresh."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def token(self) -> str:
        """The file's content now, without its line end."""
        return self._path.read_text("ascii").strip()


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options that kafka-python's consumer, producer and admin client have in common."""
    options: dict[str, Any] = {
        "bootstrap_servers": [
            s.strip() for s in settings.bootstrap_servers.split(",") if s.strip()
        ],
        "client_id": settings.client_id,
        "api_version": settings.api_version,
        "bootstrap_timeout_ms": milliseconds(settings.connect_timeout),
        "request_timeout_ms": milliseconds(settings.request_timeout),
        "reconnect_backoff_max_ms": 2_000,  # the default of 30 s would outlast a broker's restart
        "security_protocol": settings.security_protocol,
        "ssl_check_hostname": settings.ssl_check_hostname,
        "ssl_password": settings.ssl_password,
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.sasl_password,
    }
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path: Path | None = getattr(settings, name)
        options[name] = None if path is None else str(path)
    if settings.sasl_token_file is not None:
        options["sasl_oauth_token_provider"] = TokenFile(settings.sasl_token_file)
    return options


def consumer_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options of a consumer that never starts or commits by itself, with `client_options`."""
    return {
        **client_options(settings),
        "auto_offset_reset": "none",
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "check_crcs": settings.check_crcs,
        "allow_auto_create_topics": False,
        "fetch_max_wait_ms": milliseconds(settings.fetch_max_wait),
        "fetch_max_bytes": settings.fetch_max_bytes,
        "max_partition_fetch_bytes": settings.max_partition_fetch_bytes,
        "metrics_enabled": False,  # nobody reads them
    }


def appended_at(timestamp: int) -> datetime | None:
    """When a record was published, by its milliseconds since the epoch; None: it says no time."""
    if 0 <= timestamp <= _MAX_TIMESTAMP:
        return EPOCH + timedelta(milliseconds=timestamp)
    return None


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, at least 0."""
    return max(0, round(seconds * 1000))


def require_reachable(settings: KafkaSettings) -> None:
    """Wait up to ``connect_timeout`` until one bootstrap address takes a connection.

    kafka-python's constructors leave a thread behind when they fail, and do not say why. Raises
    ``SourceError``.
    """
    deadline = time.monotonic() + settings.connect_timeout
    told = False
    while True:
        faults = []
        for server in settings.bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                address = (host.strip("[]"), int(port))
                socket.create_connection(address, timeout=settings.connect_timeout).close()
            except (OSError, ValueError) as error:
                faults.append(f"{server.strip()} ({error})")
            else:
                return
        if time.monotonic() >= deadline:
            raise SourceError(f"No Kafka broker answers at {', '.join(faults)}. {_ADVICE}")
        if not told:
            told = True
            log.info(
                "no Kafka broker answers at %s; it is tried for %g s",
                ", ".join(faults),
                settings.connect_timeout,
            )
        time.sleep(0.2)


def source_error(settings: KafkaSettings, doing: str, error: BaseException) -> SourceError:
    """An error of kafka-python in words: what was being done, where, and how to mend it."""
    name = type(error).__name__
    cause = str(error) if name in str(error) else f"{name}: {error}"
    where = settings.bootstrap_servers
    if isinstance(error, kafka_errors.SaslAuthenticationFailedError):
        advice = "check kafka.security_protocol, sasl_mechanism and the credentials"
    elif isinstance(error, kafka_errors.AuthorizationError):
        advice = "give this user the right to read the topics, write to them and use the group"
    elif isinstance(error, kafka_errors.FencedInstanceIdError):
        advice = f"another process runs as group_instance_id {settings.group_instance_id!r}: end it"
    elif isinstance(error, kafka_errors.CorruptRecordError):
        advice = "the log is damaged there: bring it back from a sound replica"
    elif isinstance(error, kafka_errors.UnknownTopicOrPartitionError):
        advice = "create the topic (kafka-topics --create), or check its name"
    elif isinstance(error, kafka_errors.MessageSizeTooLargeError):
        advice = "raise kafka.max_message_bytes and the brokers' message.max.bytes"
    elif isinstance(error, kafka_errors.KafkaTimeoutError | kafka_errors.KafkaConnectionError):
        advice = _ADVICE
    else:
        advice = "see the broker's log"
    failure = SourceError(f"{doing} at {where} failed: {cause}. {advice[0].upper()}{advice[1:]}")
    failure.retryable = not isinstance(error, _FATAL)
    return failure


def ensure_topics(settings: KafkaSettings, topics: Mapping[str, int]) -> None:
    """Create the topics that do not exist, with that many partitions; wait until they have leaders.

    Existing topics keep the partitions they have. The replication factor is the brokers' default.
    A broker without the CreateTopics request (the embedded one) creates topics when they are first
    asked for, with its own number of partitions. Blocks; raises ``SourceError``.
    """
    if not topics:
        return
    doing = f"Creating the topics {', '.join(sorted(topics))}"
    require_reachable(settings)
    try:
        admin = KafkaAdminClient(**client_options(settings))
    except kafka_errors.KafkaError as error:
        raise source_error(settings, "Connecting to Kafka", error) from error
    try:
        missing = sorted(topics.keys() - set(admin.list_topics()))
        try:
            for topic in missing:
                _create(admin, topic, topics[topic])
        except (kafka_errors.UnsupportedVersionError, kafka_errors.IncompatibleBrokerVersion):
            _ask_for(settings, missing)
        admin.wait_for_topics(list(topics), timeout_ms=milliseconds(settings.request_timeout))
    except kafka_errors.KafkaError as error:
        raise source_error(settings, doing, error) from error
    finally:
        admin.close()


def _ask_for(settings: KafkaSettings, topics: list[str]) -> None:
    producer = KafkaProducer(
        **client_options(settings), max_block_ms=milliseconds(settings.request_timeout)
    )
    try:
        for topic in topics:
            producer.partitions_for(topic)
    finally:
        producer.close(timeout=0)


def _create(admin: Any, topic: str, partitions: int) -> None:
    try:
        admin.create_topics({topic: {"num_partitions": partitions}})
    except kafka_errors.TopicAlreadyExistsError:
        log.debug("topic %s was created by somebody else meanwhile", topic)
    else:
        log.info("created topic %s with %d partitions", topic, partitions)
