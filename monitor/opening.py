"""What every process of the house opens the same way: the database, Kafka, the clock of event
times, and what figures depend on."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url

from monitor import config
from monitor.clock import Clock, ScaledClock, SystemClock
from monitor.outgoing import OutTopics
from monitor.source.settings import KafkaSettings
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate


def open_database(settings: config.Settings, stack: ExitStack) -> Engine:
    """The engine, with the tables brought up to date."""
    path = database_file(settings.store.url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    migrate(settings.store.url)
    engine = open_engine(settings.store.url)
    stack.callback(engine.dispose)
    return engine


def database_file(url: str) -> Path | None:
    """The file of an SQLite database, None for others."""
    parsed = make_url(url)
    return Path(parsed.database) if url.startswith("sqlite") and parsed.database else None


def kafka_settings(kafka: config.Kafka) -> KafkaSettings:
    """The source's settings, with the secrets opened."""
    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        client_id=kafka.client_id,
        group_instance_id=kafka.group_instance_id,
        session_timeout=kafka.session_timeout,
        fetch_max_wait=kafka.fetch_max_wait,
        api_version=kafka.api_version,
        check_crcs=kafka.check_crcs,
        security_protocol=kafka.security_protocol,
        ssl_cafile=kafka.ssl_cafile,
        ssl_certfile=kafka.ssl_certfile,
        ssl_keyfile=kafka.ssl_keyfile,
        ssl_password=kafka.ssl_password.get_secret_value() if kafka.ssl_password else None,
        ssl_check_hostname=kafka.ssl_check_hostname,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
        sasl_token_file=kafka.sasl_token_file,
    )


def every_topic(kafka: config.Kafka) -> list[str]:
    """Topics that are read and written."""
    return [*kafka.topics, kafka.scored_topic, kafka.alerts_topic, kafka.dead_letters_topic]


def out_topics(kafka: config.Kafka) -> OutTopics:
    """The topics that the daemon writes."""
    return OutTopics(kafka.scored_topic, kafka.alerts_topic, kafka.dead_letters_topic)


def make_clock(settings: config.Settings) -> Clock:
    """The clock of event times."""
    if settings.replay is None:
        return SystemClock()
    r = settings.replay
    return ScaledClock(r.event_origin, r.wall_origin, r.speed)


def configuration_of(settings: config.Settings) -> dict[str, Any]:
    """The sections that the figures of an alert depend on, as JSON values, and the SHA-256 of each
    file that they name. They hold no secret."""
    sections = {
        name: getattr(settings, name).model_dump(mode="json")
        for name in ("aggregate", "detect", "entities", "sources", "stories")
    }
    named = {
        "detect.calendar": settings.detect.calendar,
        "entities.aliases": settings.entities.aliases,
        "entities.gazetteer": settings.entities.gazetteer,
        "entities.watch_file": settings.entities.watch_file,
    }
    hashes = {place: _sha256(path) for place, path in named.items() if path is not None}
    return {**sections, "files": hashes}


def _sha256(path: Path) -> str:
    """Of a file; what is wrong, if it cannot be read: whoever needs it will say so better."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
