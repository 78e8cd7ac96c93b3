"""The message contract as the configuration has it: limits, topics, and the key of pseudonyms."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path

from monitor import config
from monitor.errors import ConfigError
from monitor.events import Kind
from monitor.opening import database_file
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser


def make_decoder(settings: config.Settings) -> Decoder:
    """The message contract with this configuration's limits."""
    limits = Limits(
        message_bytes=settings.intake.max_message_bytes,
        future=timedelta(seconds=settings.intake.future_tolerance),
    )
    kinds = {topic: Kind(kind) for topic, kind in settings.kafka.topics.items()}
    return Decoder(limits, kinds, pseudonymiser(author_key(settings)))


def author_key(settings: config.Settings) -> bytes:
    """Key of the authors' hashes: configured, or made once and kept beside the database."""
    if (kept := kept_author_key(settings)) is not None:
        return kept
    path = _author_key_file(settings)
    key = secrets.token_bytes(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was quicker
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def kept_author_key(settings: config.Settings) -> bytes | None:
    """The key as it is configured or kept; None: none was made yet."""
    if settings.intake.author_key is not None:
        return settings.intake.author_key.get_secret_value().encode()
    path = _author_key_file(settings)
    return path.read_bytes() if path.exists() else None


def _author_key_file(settings: config.Settings) -> Path:
    database = database_file(settings.store.url)
    if database is None:
        raise ConfigError(
            "intake.author_key: needed with PostgreSQL, where no file can hold it; "
            "set MONITOR_INTAKE__AUTHOR_KEY to a long random text"
        )
    return database.with_name(database.name + ".author-key")
