"""What brings documents in: feeds, pushes over HTTP, watched folders."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from monitor.errors import ConfigError
from monitor.guard import Guard
from monitor.section import Port, Positive, Seconds, Section, long_enough
from monitor.source.contract import FIELDS, LANG
from monitor.source.files import FieldMap


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
        return long_enough(secret)


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
