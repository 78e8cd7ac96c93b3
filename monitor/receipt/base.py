"""The receipt of an alert: everything that its figure followed from, as canonical JSON."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from monitor.detect.witness import Witness
from monitor.events import Kind


class Strict(BaseModel):
    """A record that does not change, and holds nothing that this program does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(Strict):
    """What the alert said when it fired. Times in seconds since the epoch (event time)."""

    id: str
    key: str
    detector: str
    detector_version: str
    model_version: str
    window_start: int
    window_end: int
    """The end of the bucket, or, of one that fired early, the minute."""
    value: float
    baseline: float
    evalue: float
    threshold: float
    documents: int
    negative: int


class Cause(Strict):
    """A `Witness`; the states are in base 64."""

    start: int
    early: bool
    states: dict[str, str]
    spoken: dict[str, tuple[int, int]]
    firing: tuple[str, ...]
    blind: tuple[str, ...]
    shared: tuple[int, ...]
    settings: dict[str, float]

    @classmethod
    def of(cls, witness: Witness) -> Cause:
        """As it is written."""
        return cls(
            start=witness.start,
            early=witness.early,
            states={key: b64encode(state).decode() for key, state in witness.states.items()},
            spoken=dict(witness.spoken),
            firing=witness.firing,
            blind=witness.blind,
            shared=witness.shared,
            settings=dict(witness.settings),
        )

    def witness(self, key: str) -> Witness:
        """The inverse, of the alert's key. ``ValueError`` for what is no base 64."""
        return Witness(
            key=key,
            start=self.start,
            early=self.early,
            states={name: b64decode(state) for name, state in self.states.items()},
            spoken=self.spoken,
            firing=self.firing,
            blind=self.blind,
            shared=self.shared,
            settings=self.settings,
        )


class Gated(Strict):
    """What the evidence had to show, and showed."""

    rate: float
    """Voices an hour that were usual."""
    voices: tuple[int, int]
    """Shown, and needed; so the next two."""
    authors: tuple[int, int]
    sources: tuple[int, int]


class Count(Strict):
    """Voices of the key in one bucket, as its documents give them."""

    start: int
    n: int
    negative: int


class Entry(Strict):
    """A document of the key, up to the moment at which the alert fired."""

    id: str
    kafka: tuple[str, int, int]
    """Topic, partition, offset."""
    published_ms: int
    source: str
    author: str | None
    """A keyed hash; None: nobody signed."""
    kind: Kind
    topic: str
    sentiment: tuple[float, float, float]
    """Of the text, or towards what the key names: negative, neutral, positive."""
    copy_of: str | None
    voice: bool | None
    """Whether it was counted; else a copy, or not its author's first word within the hour. None:
    not told, since the list begins within its hour."""
    model_version: str
    text_sha256: str


class Program(Strict):
    """Which code computed."""

    version: str
    rule_sha256: str
    """Of the sources that count, detect and decide: `provenance.RULE`."""
    libraries: dict[str, str]


class Model(Strict):
    """Which weights judged."""

    version: str
    files: dict[str, str]
    """SHA-256 by name, of the model's manifest; none: not known."""


class Provenance(Strict):
    """Which program, configuration and model an alert came from."""

    program: Program
    configuration: dict[str, Any]
    """The sections that a figure depends on; they hold no secret."""
    configuration_sha256: str
    model: Model


class Receipt(Strict):
    """See the module."""

    format: Literal[1] = 1
    figures: Figures
    cause: Cause
    gates: Gated
    documents: tuple[Entry, ...]
    """By time and id: those of the window, and, of the rest of its first hour, those whose authors
    speak again in it."""
    listed_from: int
    """Complete from this bucket on; later than the window where it has more than
    `make.MOST` documents."""
    buckets: tuple[Count, ...]
    """What the listed documents came to, when it fired, in the buckets of the window from
    ``listed_from`` on that have any."""
    provenance: Provenance

    def body(self) -> bytes:
        """Canonical JSON: sorted names, no spaces, ASCII; floats as their shortest exact form."""
        return canonical(self.model_dump(mode="json"))


def read_receipt(body: bytes) -> Receipt:
    """The inverse of `Receipt.body`. ``ValueError`` that says what is wrong where."""
    try:
        return Receipt.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where or 'the receipt'}: {first['msg']}") from None


def canonical(value: object) -> bytes:
    """One form of JSON for one value, so that a hash of it means something."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_of(body: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(body).hexdigest()
