"""Recorded streams: the rows of files as messages of the contract, published in event order.

Only what has a place in time is published; whether it is a valid message is for the daemon to
judge, so that a replay counts the same rejections as a live stream would.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from monitor.clock import Clock
from monitor.errors import ConfigError
from monitor.source.base import Publisher
from monitor.source.contract import FIELDS, FLAGS
from monitor.source.decode import document_id
from monitor.source.table import BadRow, Row, read_rows

CHUNK = 2_000
"""Messages published at once: what a failure in the middle can repeat."""
LONGEST_SLEEP = 0.5
"""Seconds; a slow replay still shows that it lives."""
_MOST_FAULTS_KEPT = 100
_FLAGS = {"true": True, "True": True, "false": False, "False": False}
_MILLISECONDS_FROM = 1e11  # as seconds that would be the year 5138


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Which field of a file is which field of a message.

    ``columns`` maps a message's field to the file's name for it, ``literals`` to a fixed text;
    other fields of the contract are taken under their own names. Values among ``blanks`` count as
    absent (exports write "Comment" or "[deleted]" where there is no title). ``assume_utc`` takes
    times without a zone as UTC, otherwise their rows are unreadable.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    literals: Mapping[str, str] = field(default_factory=dict)
    blanks: Collection[str] = ()
    assume_utc: bool = False

    @classmethod
    def parse(
        cls, text: str, *, blanks: Collection[str] = (), assume_utc: bool = False
    ) -> FieldMap:
        """From ``published_at=ts,text=description,source==reddit.com``: a second equals sign
        marks a fixed text. Raises ``ConfigError``."""
        columns: dict[str, str] = {}
        literals: dict[str, str] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = pair.partition("=")
            if not equals or not value.lstrip("=") or name not in FIELDS:
                raise ConfigError(
                    f"--map {pair!r}: write FIELD=COLUMN or FIELD==TEXT, where FIELD is one of "
                    f"{', '.join(FIELDS)}"
                )
            if value.startswith("="):
                literals[name] = value[1:]
            else:
                columns[name] = value
        return cls(columns, literals, frozenset(blanks), assume_utc)


@dataclass(frozen=True, slots=True, order=True)
class Timed:
    """A message with its place in time; ordered by it, then by its place in the files."""

    published_at: datetime
    place: int
    key: bytes = field(compare=False)
    value: bytes = field(compare=False)


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did. ``faults`` holds the first hundred of the ``unreadable`` rows."""

    published: int
    unreadable: int
    faults: Sequence[BadRow]
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is: messages, and the event time reached."""

    published: int
    total: int
    event_time: datetime


def normalised_time(value: object, *, assume_utc: bool = False) -> datetime:
    """A moment in UTC from what exports write: ISO 8601 (a space for the T, ``+0000``), or seconds
    or milliseconds since the epoch as number or text. Raises ``ValueError`` in words."""
    if isinstance(value, str):
        value = value.strip()
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise ValueError(f"no time: {ascii(value)[:60]}")
    if not isinstance(value, str):
        seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise ValueError(f"no time: {value}") from error
    try:
        moment = datetime.fromisoformat(value.upper().replace(" UTC", "Z").replace(" Z", "Z"))
    except ValueError:
        raise ValueError(f"no time: {ascii(value)[:60]}") from None
    if moment.tzinfo is None:
        if not assume_utc:
            raise ValueError(f"no zone: {value} (--assume-utc if it is UTC)")
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"no time: {value}") from None


def message_of(row: Row, mapping: FieldMap) -> tuple[datetime, dict[str, Any]]:
    """The row's time and its message. Raises ``ValueError`` where it has no place in time."""
    message: dict[str, Any] = {}
    for name in FIELDS:
        value = mapping.literals.get(name)
        if value is None:
            value = row.fields.get(mapping.columns.get(name, name))
        if value is None or (isinstance(value, str) and value in mapping.blanks):
            continue
        message[name] = _identifier(value) if name == "id" else value
    for name in FLAGS:
        value = row.fields.get(name)
        if value is not None and value != "":
            message[name] = _FLAGS.get(value, value) if isinstance(value, str) else value
    if "published_at" not in message:
        column = mapping.columns.get("published_at", "published_at")
        raise ValueError(f"no time: nothing in {column}, from which published_at is taken")
    moment = normalised_time(message["published_at"], assume_utc=mapping.assume_utc)
    message["published_at"] = moment.isoformat().replace("+00:00", "Z")
    tickers = message.get("tickers")
    if isinstance(tickers, str):
        message["tickers"] = [part for part in re.split(r"[\s,;|]+", tickers) if part]
    return moment, message


def encoded(message: Mapping[str, Any]) -> bytes:
    """A message as JSON. Raises ``ValueError`` for what JSON has no word for."""
    try:
        return json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate: escaped it reaches the daemon, which rejects it
        return json.dumps(message).encode()
    except TypeError as error:
        raise ValueError(f"a column that is no text: {error}") from None


def load(paths: Sequence[Path], mapping: FieldMap) -> tuple[list[Timed], int, list[BadRow]]:
    """All messages of the files in event order, how many rows were unreadable, and the first of
    those. Takes about twice the files' size of memory. Raises ``ConfigError`` for a column of the
    mapping that no row has: every field it stands for would silently be empty.
    """
    messages: list[Timed] = []
    faults: list[BadRow] = []
    unreadable = 0
    unseen = set(mapping.columns.values())
    for path in paths:
        for row in read_rows(path):
            found: Timed | BadRow
            if isinstance(row, BadRow):
                found = row
            else:
                unseen.difference_update(row.fields)
                found = _timed(row, mapping, len(messages))
            if isinstance(found, Timed):
                messages.append(found)
            else:
                unreadable += 1
                if unreadable <= _MOST_FAULTS_KEPT:
                    faults.append(found)
    if unseen and (messages or unreadable):
        raise ConfigError(
            f"--map names {', '.join(sorted(unseen))}, which no row of "
            f"{', '.join(str(path) for path in paths)} has"
        )
    messages.sort()
    return messages, unreadable, faults


def replay(
    paths: Sequence[Path],
    mapping: FieldMap,
    publisher: Publisher,
    topic: str,
    speed: float | None,
    clock: Clock,
    sleep: Callable[[float], None],
    progress: Callable[[ReplayProgress], None] = lambda _: None,
) -> ReplayReport:
    """Publish the files into ``topic``; ``speed`` as in `pace`.

    Each message is keyed by its id (or what the decoder will compute in its place), so that
    messages spread over the partitions. Raises ``ConfigError`` and ``SourceError``.
    """
    messages, unreadable, faults = load(paths, mapping)
    published = pace(messages, publisher, topic, speed, clock, sleep, progress)
    return ReplayReport(
        published,
        unreadable,
        faults,
        messages[0].published_at if messages else None,
        messages[-1].published_at if messages else None,
    )


def pace(
    messages: Sequence[Timed],
    publisher: Publisher,
    topic: str,
    speed: float | None,
    clock: Clock,
    sleep: Callable[[float], None],
    progress: Callable[[ReplayProgress], None] = lambda _: None,
) -> int:
    """Publish messages that are in event order; how many.

    ``speed`` is event time over real time (60: an hour a minute); None: as fast as the brokers
    acknowledge. Where they are slower than ``speed``, what has become due goes out at once.
    """
    if speed is not None and speed <= 0:
        raise ConfigError(f"--speed must be positive or max, not {speed}")
    done = 0
    started = clock.monotonic()
    while done < len(messages):
        end = min(done + CHUNK, len(messages))
        if speed is not None:
            reached = (clock.monotonic() - started) * speed
            origin = messages[0].published_at
            first = done
            while first < end and _seconds(origin, messages[first]) <= reached:
                first += 1
            if first == done:
                wait = (_seconds(origin, messages[done]) - reached) / speed
                sleep(min(wait, LONGEST_SLEEP))
                continue
            end = first
        publisher.publish(topic, ((m.key, m.value) for m in messages[done:end]))
        done = end
        progress(ReplayProgress(done, len(messages), messages[done - 1].published_at))
    return done


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Callable[[ReplayProgress], None]]:
    """A bar for `replay` on the terminal: messages, event time, time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console or Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=None)

        def show(state: ReplayProgress) -> None:
            bar.update(
                task,
                description=f"{state.event_time:%Y-%m-%d %H:%M}",
                completed=state.published,
                total=state.total,
            )

        yield show


def _identifier(value: Any) -> Any:
    """A number becomes a text, which an id is, whatever a table thinks of its column."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _timed(row: Row, mapping: FieldMap, place: int) -> Timed | BadRow:
    try:
        moment, message = message_of(row, mapping)
    except ValueError as error:
        return BadRow(row.path, row.line, str(error))
    try:
        value = encoded(message)
    except ValueError as error:
        return BadRow(row.path, row.line, str(error))
    return Timed(moment, place, _key(message, moment), value)


def _key(message: Mapping[str, Any], moment: datetime) -> bytes:
    def text(name: str) -> str:
        return str(message.get(name, "")).strip().encode(errors="replace").decode()

    named = text("id")
    if named:
        return named.encode()
    return document_id(text("source"), text("url"), text("title"), text("text"), moment).encode()


def _seconds(origin: datetime, message: Timed) -> float:
    return (message.published_at - origin).total_seconds()
