"""The configuration: one strict tree from a TOML file and the environment.

``MONITOR_SECTION__NAME`` in the environment wins over the file. An unknown name, a wrong type or a
value out of range stops the start, and every fault is listed at once, without showing a secret.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from monitor.entity.watch import WatchItem
from monitor.errors import ConfigError
from monitor.guard import Guard
from monitor.jobs import cron_trigger
from monitor.receivers import TYPES, AnyReceiver, RouteTable
from monitor.section import Port, Positive, Seconds, Section
from monitor.source.contract import FIELDS, LANG
from monitor.source.files import FieldMap

PREFIX = "MONITOR_"
_SECRET_LENGTH = 24
_LARGEST_MESSAGE = 1_000_000  # Kafka's default is 1 MiB, its own overhead included


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


class Delivery(Section):
    """Who is told, and how often. Durations in seconds."""

    receivers: tuple[AnyReceiver, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    """The first that matches decides who is told; none at all: everybody, one that matches none:
    nobody."""
    group_wait: Seconds = 30.0
    group_interval: Positive = 300.0
    repeat_interval: Positive = 14_400.0
    external_url: str = "http://127.0.0.1:8501"
    """The dashboard's address, as the receivers see it."""

    @field_validator("receivers")
    @classmethod
    def _unique_names(cls, receivers: tuple[AnyReceiver, ...]) -> tuple[AnyReceiver, ...]:
        names = [r.name for r in receivers]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"the names must be unique; twice here: {', '.join(twice)}")
        return receivers

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Delivery:
        known = {receiver.name: receiver for receiver in self.receivers}
        faults = []
        for number, route in enumerate(self.routes):
            if lost := sorted(set(route.receivers) - set(known)):
                faults.append(f"routes.{number}: no receiver is called {', '.join(lost)}")
            timeless = [n for n in route.receivers if n in known and known[n].digest is None]
            if route.digest and timeless:
                faults.append(f"routes.{number}: {', '.join(timeless)} has no digest.times")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _repeat_is_slower(self) -> Delivery:
        if self.repeat_interval < self.group_interval:
            raise ValueError("repeat_interval must be at least group_interval")
        return self


class Feed(Section):
    """One RSS or Atom feed."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    """Its identity: what is known of its items outlives a change of its address."""
    url: str = Field(repr=False)
    kind: Literal["news", "comment"] = "news"
    topic: str | None = None
    """None: the first topic of that kind that the daemon reads."""
    interval: Annotated[float, Field(ge=60, le=86_400)] = 600.0
    source: str | None = None
    """Who publishes it; None: the host."""
    language: Annotated[str, Field(pattern=f"^(?:{LANG})$", max_length=35)] | None = None
    """Wins over what the feed says."""
    headers: dict[str, SecretStr] = Field(default={}, repr=False)
    """Sent to the feed's own origin alone, never to where it redirects."""
    allow_networks: tuple[str, ...] = ()
    """CIDR blocks inside the house that this feed may lie in."""
    updates: Literal["ignore", "publish"] = "ignore"
    """Whether an item whose text has changed is published again."""
    undated: Literal["history", "news"] = "history"
    """What an item without a usable date is, if the poll before did not show it."""

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() == "host":
                raise ValueError(f"{name!r:.40} is not a header that can be set")
            if not re.fullmatch(r"[\t -~]*", value.get_secret_value()):
                raise ValueError(f"{name} must be printable ASCII")
        return headers

    @model_validator(mode="after")
    def _reachable(self) -> Feed:
        try:
            self.guard().target(self.url)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if self.source is not None and not 0 < len(self.source) <= 256:
            raise ValueError("source must have 1 to 256 characters")
        return self

    def guard(self) -> Guard:
        """What may be reached: feeds may be read without TLS. Raises ``ConfigError``."""
        return Guard(self.allow_networks, ("0.0.0.0/0", "::/0"), what="feed")


class Feeding(Section):
    """How the feeds are read (`monitor feed`). Durations in seconds."""

    contact: Annotated[str, Field(pattern=r"^[ -~]*$", max_length=200)] = ""
    """A mail address or page for the publishers; part of the User-Agent."""
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    """Feeds that are polled at once."""
    host_at_once: Annotated[int, Field(ge=1)] = 1
    """Of them, on one host."""
    host_spacing: Seconds = 2.0
    """Between two polls of one host."""
    connect_timeout: Positive = 10.0
    read_timeout: Positive = 15.0
    total_timeout: Positive = 60.0
    """For a poll with all of its redirects."""
    max_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 8 << 20
    """Of a feed, unpacked."""
    max_items: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    old_after: Positive = 86_400.0
    """An item that is older than this when it is first seen is history …"""
    back_dated: Seconds = 3_600.0
    """… and so is one dated longer than this before the previous poll, which did not show it."""
    max_backoff: Positive = 21_600.0
    """Longest interval of a feed that fails."""
    keep_items_days: Positive = 90.0
    """How long items that a feed shows no more are remembered …"""
    keep_items: Annotated[int, Field(ge=100)] = 20_000
    """… and how many of a feed at most."""
    host: str = "127.0.0.1"
    port: Port | None = None
    """Of the metrics and health of `monitor feed`; None: none."""


class ApiKey(Section):
    """A caller that may hand in documents."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    secret: SecretStr
    sources: tuple[str, ...] = ()
    """What its documents may name as their source; none: anything."""
    rate: Seconds = 0.0
    """Documents a second in the long run; 0: no limit."""
    verdicts: bool = False
    """Whether it may judge alerts as well, and read their receipts."""
    silences: bool = False
    """It may silence and acknowledge alerts."""
    alerts: bool = False
    """It may read alerts."""

    @field_validator("secret")
    @classmethod
    def _not_to_be_guessed(cls, secret: SecretStr) -> SecretStr:
        return _long_enough(secret)


def _long_enough(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if len(value) < _SECRET_LENGTH or not value.isascii() or any(c.isspace() for c in value):
        raise ValueError(
            f"must have at least {_SECRET_LENGTH} characters of ASCII and no spaces; "
            "`openssl rand -hex 32` makes one"
        )
    return secret


class Http(Section):
    """Metrics, health, and the documents that callers hand in."""

    host: str = "127.0.0.1"
    port: Port = 9108
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 << 20
    """Of a request with documents, packed and unpacked."""
    max_documents: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Of one request."""
    max_waiting: Annotated[int, Field(ge=1)] = 10_000
    """Documents that may wait for Kafka, those of watched folders included (for which one half is
    the limit); then callers are told to come again."""
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    """Where the receivers reach it: links of theirs begin with it. None: they get none."""
    keys: tuple[ApiKey, ...] = ()
    """Without one nobody can hand in documents."""

    @model_validator(mode="after")
    def _usable(self) -> Http:
        faults = []
        names = [key.name for key in self.keys]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            faults.append(f"the names of the keys must be unique; twice here: {', '.join(twice)}")
        if len({key.secret.get_secret_value() for key in self.keys}) < len(names):
            faults.append("two keys have one secret: each caller needs its own")
        if self.max_waiting < self.max_documents:
            faults.append("max_waiting must be at least max_documents")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class WatchFolder(Section):
    """A folder whose files are read once."""

    path: Path
    pattern: str = "*"
    """Of the names, as in a shell. Hidden and temporary names are never meant."""
    kind: Literal["news", "comment"] = "news"
    """Of the rows that name none."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Field of a message = column of the files; fields that are not named keep their names."""
    literals: dict[str, str] = Field(default_factory=dict)
    """Field = the same text for each row."""
    blanks: tuple[str, ...] = ()
    """Values that count as absent."""
    assume_utc: bool = False
    """Times without a zone are UTC, not an error."""
    poll_interval: Positive = 5.0
    settle: Seconds = 5.0
    """Seconds that a file must have been left alone."""
    history_after: Seconds = 86_400.0
    """Documents that were published more than so many seconds before their file came are history:
    they are scored and stored, and page nobody."""
    done: str = "done"
    failed: str = "failed"
    """Subfolders for the files that were read, and for those that can't be."""

    @property
    def mapping(self) -> FieldMap:
        """Which column is which field."""
        return FieldMap(self.columns, self.literals, frozenset(self.blanks), self.assume_utc)

    @property
    def history(self) -> timedelta:
        """``history_after``, without bounds where it is larger than a duration can be."""
        return timedelta(seconds=min(self.history_after, timedelta.max.total_seconds() - 1))

    @model_validator(mode="after")
    def _usable(self) -> WatchFolder:
        faults = []
        unknown = sorted({*self.columns, *self.literals} - set(FIELDS))
        if unknown:
            faults.append(
                f"{', '.join(unknown)} is no field of a message; known are {', '.join(FIELDS)}"
            )
        faults += [
            f"{name!r} is not the name of a subfolder"
            for name in (self.done, self.failed)
            if not name or name in (".", "..") or "/" in name
        ]
        if self.done == self.failed:
            faults.append("done and failed must differ")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Verdicts(Section):
    """What people say of alerts (docs/verdicts.md)."""

    secret: SecretStr | None = None
    """Signs the links by which receivers judge; with ``http.public_url`` they get some."""
    link_days: Annotated[float, Field(gt=0, le=365)] = 7.0
    """How long such a link is good after the last change of its alert."""
    target: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Precision that a suggested threshold has to reach."""

    @field_validator("secret")
    @classmethod
    def _not_to_be_guessed(cls, secret: SecretStr | None) -> SecretStr | None:
        return None if secret is None else _long_enough(secret)


class Drill(Section):
    """Invented crises that begin by themselves (docs/drill.md)."""

    schedule: str | None = None
    """A cron expression in UTC, with the days of the week by name; None: none."""
    deadline: Positive = 120.0
    """Seconds until every stop must have been reached."""
    receiver: str | None = None
    """The one that must take it; None: every one."""

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        if schedule is not None:
            try:
                cron_trigger(schedule)
            except ValueError as error:
                raise ValueError(
                    f"must be a cron expression such as '30 6 * * mon-fri': {error}"
                ) from None
        return schedule


class Replay(Section):
    """Event time that runs faster than the clock: ``event_origin`` was "now" at ``wall_origin``."""

    event_origin: AwareDatetime
    wall_origin: AwareDatetime
    speed: Positive = 1.0


class Logs(Section):
    """Where the daemon says what it does."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "text", "json"] = "auto"


class Settings(Section):
    """The whole tree."""

    kafka: Kafka = Kafka()
    intake: Intake = Intake()
    model: Model = Model()
    aggregate: Aggregate = Aggregate()
    stories: Stories = Stories()
    detect: Detect = Detect()
    entities: Entities = Entities()
    sources: Sources = Sources()
    store: StoreSection = StoreSection()
    delivery: Delivery = Delivery()
    feeding: Feeding = Feeding()
    feeds: tuple[Feed, ...] = ()
    http: Http = Http()
    watch_folders: tuple[WatchFolder, ...] = ()
    drill: Drill = Drill()
    verdicts: Verdicts = Verdicts()
    replay: Replay | None = None
    logs: Logs = Logs()
    watchdog: Positive = 120.0
    """Seconds without progress of the main loop after which the process ends itself."""

    @model_validator(mode="after")
    def _feeds_are_told_apart_and_read(self) -> Settings:
        faults = []
        names = [feed.name for feed in self.feeds]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            faults.append(f"feeds: the names must be unique; twice here: {', '.join(twice)}")
        for feed in self.feeds:
            try:
                self.feed_topic(feed)
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def feed_topic(self, feed: Feed) -> str:
        """The topic that a feed's messages go to. Raises ``ConfigError`` if nobody reads it."""
        topics = self.kafka.topics
        if feed.topic is not None:
            if feed.topic not in topics:
                raise ConfigError(
                    f"feeds: the topic {feed.topic} of {feed.name} is not among kafka.topics, "
                    "so nobody would read it"
                )
            return feed.topic
        fitting = (topic for topic, kind in topics.items() if kind == feed.kind)
        topic = next(fitting, None)
        if topic is None:
            raise ConfigError(
                f"feeds: {feed.name} needs a topic: none of kafka.topics has the kind {feed.kind}"
            )
        return topic

    @model_validator(mode="after")
    def _drills_can_pass(self) -> Settings:
        names = [receiver.name for receiver in self.delivery.receivers]
        if self.drill.receiver is not None and self.drill.receiver not in names:
            raise ValueError(
                f"drill.receiver: {self.drill.receiver} is none of delivery.receivers "
                f"({', '.join(names) or 'there are none'})"
            )
        if self.drill.schedule and names and self.drill.deadline <= self.delivery.group_wait:
            raise ValueError(
                "drill.deadline must be longer than delivery.group_wait, which every first "
                "notification waits"
            )
        return self

    @model_validator(mode="after")
    def _what_is_handed_in_can_be_read(self) -> Settings:
        kinds = set(self.kafka.topics.values())
        lost = sorted({folder.kind for folder in self.watch_folders} - kinds)
        if lost:
            raise ValueError(
                f"watch_folders: no topic of kafka.topics has the kind {', '.join(lost)}"
            )
        places = [(folder.path, folder.pattern) for folder in self.watch_folders]
        if len(set(places)) < len(places):
            raise ValueError("watch_folders: two have the same path and pattern")
        used = self.http.keys or self.watch_folders
        if used and self.intake.max_message_bytes > _LARGEST_MESSAGE:
            raise ValueError(
                f"intake.max_message_bytes must be at most {_LARGEST_MESSAGE} where http.keys or "
                "watch_folders are set: Kafka does not take larger messages"
            )
        return self


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
    place = tuple(str(part) for part in _written(loc))
    near = (v for p, v in variables.items() if p[: len(place)] == place[: len(p)])
    variable = next(near, None)
    return ".".join(place) + (f" (from {variable})" if variable else "")


def _written(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A place without the type of a receiver, which the file has as a value, not as a name."""
    if loc[:2] == ("delivery", "receivers") and len(loc) > 3 and loc[3] in TYPES:
        return (*loc[:3], *loc[4:])
    return loc


def _explain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown name; see deploy/monitor.example.toml for those that exist"
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "union_tag_invalid":
        return f"type must be one of {', '.join(TYPES)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message}{_shown(error['input'], '.'.join(str(p) for p in error['loc']))}"


def _shown(value: object, place: str) -> str:
    """The value at fault, unless it may hold a secret: by its name, its shape or its kind."""
    if any(word in place for word in ("secret", "password", "key", "headers")):
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
