"""The configuration: one strict tree from a TOML file and the environment.

``MONITOR_SECTION__NAME`` in the environment wins over the file. An unknown name, a wrong type or a
value out of range stops the start, and every fault is listed at once, without showing a secret.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from monitor.alert.guard import Guard
from monitor.alert.signing import Signer
from monitor.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
PREFIX = "MONITOR_"


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )


class Kafka(_Section):
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


class Intake(_Section):
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


class Model(_Section):
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


class Aggregate(_Section):
    """Event time. All in seconds."""

    out_of_orderness: Seconds = 60.0
    idle_after: Seconds = 60.0
    allowed_lateness: Annotated[int, Field(ge=0)] = 600


class Detect(_Section):
    """When an alert fires."""

    budget: Positive = 1.0
    """Expected false alarms a day, for the whole installation."""
    volume_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Part of the budget that the volume detector may spend."""
    min_documents: Annotated[int, Field(ge=1)] = 10
    min_sources: Annotated[int, Field(ge=1)] = 3
    recovery: Seconds = 1800.0
    accept_after: Positive = 86_400.0


class Sources(_Section):
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


class StoreSection(_Section):
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


class Receiver(_Section):
    """One webhook."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    url: str = Field(repr=False)
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1)]
    """``whsec_…``, the newest first; several while a secret is being rotated."""
    allow_http: bool = False
    allow_networks: tuple[str, ...] = ()
    """CIDR blocks inside the house that this receiver may lie in."""
    timeout: Positive = 10.0

    @property
    def plain_networks(self) -> tuple[str, ...]:
        """Networks that may be spoken to without TLS."""
        return self.allow_networks if self.allow_http else ()

    @model_validator(mode="after")
    def _usable(self) -> Receiver:
        if self.url.startswith("http:") and not self.plain_networks:
            raise ValueError("plain http needs allow_http = true and its network in allow_networks")
        faults = []
        for part in (
            lambda: Signer([s.get_secret_value() for s in self.secrets]),
            lambda: Guard(self.allow_networks, self.plain_networks).target(self.url),
        ):
            try:
                part()
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Delivery(_Section):
    """Who is told, and how often. Durations in seconds."""

    receivers: tuple[Receiver, ...] = ()
    group_wait: Seconds = 30.0
    group_interval: Positive = 300.0
    repeat_interval: Positive = 14_400.0
    external_url: str = "http://127.0.0.1:8501"
    """The dashboard's address, as the receivers see it."""

    @field_validator("receivers")
    @classmethod
    def _unique_names(cls, receivers: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
        names = [r.name for r in receivers]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"the names must be unique; twice here: {', '.join(twice)}")
        return receivers

    @model_validator(mode="after")
    def _repeat_is_slower(self) -> Delivery:
        if self.repeat_interval < self.group_interval:
            raise ValueError("repeat_interval must be at least group_interval")
        return self


class Http(_Section):
    """Metrics and health."""

    host: str = "127.0.0.1"
    port: Port = 9108


class Replay(_Section):
    """Event time that runs faster than the clock: ``event_origin`` was "now" at ``wall_origin``."""

    event_origin: AwareDatetime
    wall_origin: AwareDatetime
    speed: Positive = 1.0


class Logs(_Section):
    """Where the daemon says what it does."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "text", "json"] = "auto"


class Settings(_Section):
    """The whole tree."""

    kafka: Kafka = Kafka()
    intake: Intake = Intake()
    model: Model = Model()
    aggregate: Aggregate = Aggregate()
    detect: Detect = Detect()
    sources: Sources = Sources()
    store: StoreSection = StoreSection()
    delivery: Delivery = Delivery()
    http: Http = Http()
    replay: Replay | None = None
    logs: Logs = Logs()
    watchdog: Positive = 120.0
    """Seconds without progress of the main loop after which the process ends itself."""


_TOP_LEVEL = frozenset({"watchdog"})


def load_settings(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file (none: defaults) and the environment.

    Raises ``ConfigError`` with every fault at once, each with its place and how to mend it.
    """
    tree = _read(path) if path is not None else {}
    faults: list[str] = []
    variables: dict[tuple[str, ...], str] = {}
    for name, value in sorted((os.environ if environ is None else environ).items()):
        place = _place(name)
        if place is None:
            continue
        variables[place] = name
        if not _put(tree, place, value):
            faults.append(f"  {name}: {'.'.join(place[:-1])} is no section that can be added to")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        faults += [f"  {_where(e['loc'], variables)}: {_explain(e)}" for e in found]
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        where = path or "the environment"
        raise ConfigError(f"{where}: {count} in the configuration\n" + "\n".join(faults))
    return settings


def _place(variable: str) -> tuple[str, ...] | None:
    """Where a variable of the environment belongs; None: it is none of ours.

    A name without a double underscore is ours only if it is a setting of the top level: Kubernetes
    makes up others, such as MONITOR_PORT, for a service that is called monitor.
    """
    if not variable.startswith(PREFIX):
        return None
    names = tuple(variable.removeprefix(PREFIX).lower().split("__"))
    return names if len(names) > 1 or names[0] in _TOP_LEVEL else None


def _where(loc: tuple[int | str, ...], variables: Mapping[tuple[str, ...], str]) -> str:
    """The place of a fault, with the variable that it came from."""
    place = tuple(str(part) for part in loc)
    near = (v for p, v in variables.items() if p[: len(place)] == place[: len(p)])
    variable = next(near, None)
    return ".".join(place) + (f" (from {variable})" if variable else "")


def _explain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown name; see deploy/monitor.example.toml for those that exist"
    if error["type"] == "missing":
        return "is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message}{_shown(error['input'], '.'.join(str(p) for p in error['loc']))}"


def _shown(value: object, place: str) -> str:
    """The value at fault, unless it may hold a secret: by its name, its shape or its kind."""
    if any(word in place for word in ("secret", "password", "key")):
        return " (found a secret)"
    if not isinstance(value, str | int | float) or str(value)[:1] in ("[", "{"):
        return ""
    found = re.sub(r"//.*@", "//…@", value) if isinstance(value, str) else value
    return f" (found {found!r:.80})"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); "
            "start from deploy/monitor.example.toml, or leave --config out for the defaults"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _put(tree: dict[str, Any], place: tuple[str, ...], value: str) -> bool:
    """Set a value; False when something on the way to its place is not a section."""
    for name in place[:-1]:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            return False
    tree[place[-1]] = _parsed(value)
    return True


def _parsed(value: str) -> Any:
    """Arrays and tables are written as in TOML; whatever is neither is a plain text."""
    if value[:1] not in ("[", "{"):
        return value
    try:
        return tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return value
