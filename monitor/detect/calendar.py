"""What is expected to be loud: results days, rating actions, holidays, from a file.

TOML::

    [[event]]
    key = "company:US:AAPL"       # or all: everybody
    from = 2026-04-30T20:00:00Z
    until = 2026-05-01T20:00:00Z
    label = "results"

or CSV with the columns key, from, until, label.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError
from monitor.keys import ALL, is_pair, pair_of, sort_of

_FIELDS = ("key", "from", "until", "label")


@dataclass(frozen=True, slots=True)
class Event:
    """An alert of ``key`` whose window overlaps with the time of this event is expected."""

    key: str
    begin: int
    """Seconds since the epoch …"""
    end: int
    """… and the first second after it."""
    label: str


class Calendar:
    """Events by key."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: dict[str, list[Event]] = {}
        for event in sorted(events, key=lambda e: (e.begin, e.end, e.label)):
            self._events.setdefault(event.key, []).append(event)

    def __len__(self) -> int:
        return sum(map(len, self._events.values()))

    def expected(self, key: str, since: int, until: int) -> Event | None:
        """The first event of a key, of the company of a pair, or of everybody, that overlaps with
        the time from ``since`` to ``until`` (seconds since the epoch)."""
        keys = [key, *(pair_of(key) if is_pair(key) else ()), ALL]
        for of in keys:
            for event in self._events.get(of, ()):
                if event.begin < until and since < event.end:
                    return event
        return None


def read_calendar(path: Path) -> Calendar:
    """Read a ``.toml`` or ``.csv`` file. Raises ``ConfigError`` that names the fault's place."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"detect.calendar: {path} cannot be read: {error}") from error
    if path.suffix == ".csv":
        return Calendar(_from_csv(text, path))
    if path.suffix == ".toml":
        return Calendar(_from_toml(text, path))
    raise ConfigError(f"detect.calendar: {path} must end in .toml or .csv")


def _from_toml(text: str, path: Path) -> Iterator[Event]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    events = tree.pop("event", [])
    if tree or not isinstance(events, list):
        raise ConfigError(f"{path}: expected [[event]] tables and nothing else")
    for number, values in enumerate(events, start=1):
        yield _event(values, f"{path}: event {number}")


def _from_csv(text: str, path: Path) -> Iterator[Event]:
    reader = csv.DictReader(text.splitlines())
    if tuple(reader.fieldnames or ()) != _FIELDS:
        raise ConfigError(f"{path}: the first line must be {','.join(_FIELDS)}")
    for values in reader:
        yield _event(values, f"{path}: line {reader.line_num}")


def _event(values: Mapping[str, Any], place: str) -> Event:
    if not isinstance(values, Mapping) or set(values) != set(_FIELDS):
        raise ConfigError(f"{place}: expected exactly {', '.join(_FIELDS)}")
    key, label = values["key"], values["label"]
    if not isinstance(key, str) or not isinstance(label, str) or not label:
        raise ConfigError(f"{place}: key and label must be text, and label not empty")
    try:
        sort_of(key)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
    begin, end = (_seconds(values[name], name, place) for name in ("from", "until"))
    if end <= begin:
        raise ConfigError(f"{place}: until must be after from")
    return Event(key, begin, end, label)


def _seconds(value: object, name: str, place: str) -> int:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ConfigError(f"{place}: {name} is no RFC 3339 time: {value!r}") from error
    if moment.tzinfo is None:
        raise ConfigError(f"{place}: {name} needs a zone, as in 2026-04-30T20:00:00Z")
    return int(moment.timestamp())
