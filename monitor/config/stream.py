"""What a document meets on its way: Kafka, the model, aggregates, detection, the database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from monitor.entity.watch import WatchItem
from monitor.section import Positive, Seconds, Section


class Kafka(Section):
    """The brokers and how to speak to them. Durations in seconds."""

    bootstrap_servers: str = "127.0.0.1:9092"
    group_id: str = "monitor"
    group_instance_id: str | None = None
    client_id: str = "monitor"
    topics: dict[str, Literal["news", "comment"]] = Field(
        default={"news": "news", "comments": "comment"}, min_length=1
    )
    """Topics to read, and the kind of a message that does not name its own."""
    scored_topic: str = "scored"
    alerts_topic: str = "alerts"
    dead_letters_topic: str = "dead-letters"
    partitions: Annotated[int, Field(ge=1)] = 3
    """Of topics that do not exist yet."""
    session_timeout: Positive = 45.0
    fetch_max_wait: Positive = 0.1
    api_version: tuple[int, ...] | None = None
    check_crcs: bool = True
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: SecretStr | None = None
    ssl_check_hostname: bool = True
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_token_file: Path | None = None

    @model_validator(mode="after")
    def _own_topics_are_not_read(self) -> Kafka:
        written = [self.scored_topic, self.alerts_topic, self.dead_letters_topic]
        if both := sorted(set(written) & set(self.topics)):
            raise ValueError(f"topics that are written must not be read: {', '.join(both)}")
        if len(set(written)) < len(written):
            raise ValueError("scored_topic, alerts_topic and dead_letters_topic must differ")
        return self


class Intake(Section):
    """What is taken from a message, and how much at once."""

    max_message_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024
    future_tolerance: Seconds = 300.0
    """Seconds that ``published_at`` may lie ahead of the clock."""
    poll_records: Annotated[int, Field(ge=1, le=100_000)] = 512
    """Records of one batch, which is one transaction …"""
    poll_most: Annotated[int, Field(ge=1, le=100_000)] = 4_096
    """… and at most, while a backlog goes through quickly."""
    poll_timeout: Positive = 0.5
    author_key: SecretStr | None = None
    """Key of the authors' hashes; without one a random key is kept beside the database."""


class Model(Section):
    """Which weights, and how they run."""

    registry: Path = Path("var/models")
    """The folder of ``python -m models registry``: its current version scores, and a new one takes
    over between two batches. One that is empty or missing means the weights of this package."""
    reload_every: Positive = 5.0
    """Seconds between two looks at the registry."""
    path: Path | None = None
    """A folder written by ``python -m models train``, in place of the registry."""
    device: str = "auto"
    """``auto``: the first GPU where there is one, else the CPU; ``all``: every GPU, each with its
    own copy of the model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads of the model on a CPU. Two on a machine with a busy neighbour wait for each other and
    are slower than one; ask for more only where the cores are free."""
    batch_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens of a micro-batch, padding included. Here and below 0 means what suits the device."""
    look_ahead: Annotated[int, Field(ge=0)] = 0
    """Waiting texts among which a micro-batch finds those of like length."""
    max_wait: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Seconds that a free device waits for more while less than ``minimum_fill`` tokens wait."""
    minimum_fill: Annotated[int, Field(ge=0)] = 0

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|all|cuda(:\d{1,3})?", device):
            raise ValueError("must be auto, cpu, cuda, cuda:N or all (every GPU)")
        return device

    @field_validator("batch_tokens")
    @classmethod
    def _holds_a_sentence(cls, tokens: int) -> int:
        if 0 < tokens < 16:
            raise ValueError("must be 0 (what suits the device) or at least 16")
        return tokens


class Aggregate(Section):
    """Event time. All in seconds."""

    out_of_orderness: Seconds = 60.0
    idle_after: Seconds = 60.0
    allowed_lateness: Annotated[int, Field(ge=0)] = 600


class Stories(Section):
    """Which documents are copies of one another."""

    window_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 72.0
    """Documents further apart in event time are never copies of one another."""
    capacity: Annotated[int, Field(ge=1_024, le=4_000_000)] = 262_144
    """Wordings remembered, about 0.6 KB each; with more in the window the oldest go early."""


class Detect(Section):
    """When an alert fires."""

    budget: Positive = 1.0
    """Expected false alarms a day, for the whole installation."""
    volume_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Part of the budget that the volume detector may spend."""
    min_documents: Annotated[int, Field(ge=1)] = 5
    """Independent voices in the window before anybody is paged …"""
    min_authors: Annotated[int, Field(ge=1)] = 3
    min_sources: Annotated[int, Field(ge=1)] = 3
    busy_rate: Positive = 10.0
    """… and of a key with so many voices an hour, or more:"""
    busy_documents: Annotated[int, Field(ge=1)] = 20
    busy_authors: Annotated[int, Field(ge=1)] = 5
    busy_sources: Annotated[int, Field(ge=1)] = 3
    min_negative: Annotated[int, Field(ge=0)] = 3
    """Of the voices in the window so many must be negative, and …"""
    min_negative_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """… this part of them; nought and nought: much talk alone pages, too."""
    keys: Annotated[int, Field(ge=1)] = 100_000
    """Companies, names and companies by topic that are followed one by one."""
    calendar: Path | None = None
    """A .toml or .csv file of what is expected to be loud."""
    recovery: Seconds = 1800.0
    accept_after: Positive = 86_400.0


class Sources(Section):
    """When a source that says nothing is called blind, and not quiet."""

    budget: Positive = 1.0
    """Expected false alarms a month, over all sources together."""
    minimum_silence: Positive = 1_800.0
    """Seconds before which nobody is blind."""
    minimum_history_days: Annotated[float, Field(ge=1)] = 7.0
    """Days after its first document for which a source is new, and never blind for its silence."""
    depend_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Part of its documents from which a key depends on a source."""
    failures: Annotated[int, Field(ge=1)] = 3
    """Contacts in a row that fail, after which a source is blind."""
    forget_days: Positive = 14.0
    """Days after which a source that is blind is given up."""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    """Sources that are told apart."""


class Entities(Section):
    """What texts are linked to, and what is watched (docs/entities.md)."""

    gazetteer: Path | None = None
    """A file written by ``monitor gazetteer build``, in place of the one of this package."""
    aliases: Path | None = None
    """Names of your own; they win over those of this package."""
    products: bool = True
    """Whether what a company sells counts for the company."""
    watch_file: Path | None = None
    """``[[watch]]`` tables, beside those of this section."""
    watch: tuple[WatchItem, ...] = ()

    @field_validator("watch")
    @classmethod
    def _unique_ids(cls, watch: tuple[WatchItem, ...]) -> tuple[WatchItem, ...]:
        ids = [item.id for item in watch]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"the ids must be unique; twice here: {', '.join(twice)}")
        return watch


class StoreSection(Section):
    """The database and how long it keeps what."""

    url: str = Field(default="sqlite:///var/monitor.db", repr=False)
    keep_texts_days: Positive = 90.0
    keep_buckets_days: Positive = 730.0
    keep_dead_letters_days: Positive = 30.0

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError(
                "must be sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
            )
        return url
