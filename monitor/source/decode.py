"""From a Kafka record to a `Document` or a `DeadLetter`: pure, and never an exception.

Every check of the contract (monitor/source/contract.py, docs/message.schema.json) is made here,
so that what lies behind can rely on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NoReturn

import orjson

from monitor.events import DeadLetter, Document, Kind, Reason, Record
from monitor.source.contract import DRILL, FIELDS, LANG, PUBLISHED_AT, URL, Limits, unclean
from monitor.tuples import maker

_is_published_at = re.compile(PUBLISHED_AT, re.ASCII).fullmatch
_is_lang = re.compile(LANG).fullmatch
_is_drill = re.compile(DRILL, re.ASCII).fullmatch
_is_url = re.compile(URL).fullmatch
_KINDS = {kind.value: kind for kind in Kind}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 80
_made = maker(Document)
_FIRST_SURROGATE = 0xD800

_ESCAPES = (b"\\u", b"\\b", b"\\f")
_QUICK_BYTES = 4_096
_QUICK_BRACKETS = 64


class _RejectedError(Exception):
    """Carries a reason out of the checks; it never leaves this module."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_parse = json.JSONDecoder(parse_constant=_refuse_constant).decode


def pseudonymiser(key: bytes) -> Callable[[str], str]:
    """A keyed hash of authors' names: without ``key`` nobody can find out whose a hash is.

    BLAKE2b in keyed mode (RFC 7693), 128 bits in hexadecimal.
    """
    short = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.sha256(key).digest()

    @lru_cache(maxsize=4096)  # the same authors come again and again
    def pseudonymise(name: str) -> str:
        return hashlib.blake2b(name.encode(), key=short, digest_size=16).hexdigest()

    return pseudonymise


class Decoder:
    """Turns records into documents.

    ``kinds`` gives the kind of a message that names none, by its topic (``Kind.NEWS`` for others).
    ``pseudonymise`` turns an author's name into what is kept of it; see `pseudonymiser`.
    """

    def __init__(
        self,
        limits: Limits,
        kinds: Mapping[str, Kind],
        pseudonymise: Callable[[str], str],
    ) -> None:
        self._limits = limits
        self._kinds = dict(kinds)
        self._pseudonymise = pseudonymise

    def decode(
        self, record: Record, *, now: datetime, rejected_at: datetime
    ) -> Document | DeadLetter:
        """The record's document, or why there is none.

        ``now`` is on the axis of event times (documents from the future are rejected against it);
        ``rejected_at`` is the wall time that a dead letter carries.
        """
        try:
            return self._document(record, now)
        except _RejectedError as rejected:
            return _letter(record, rejected, rejected_at)

    def decode_batch(
        self, records: Iterable[Record], *, now: datetime, rejected_at: datetime
    ) -> tuple[list[Document], list[DeadLetter]]:
        """The documents and the dead letters of these records, each in their order."""
        documents: list[Document] = []
        letters: list[DeadLetter] = []
        for record in records:
            try:
                documents.append(self._document(record, now))
            except _RejectedError as rejected:
                letters.append(_letter(record, rejected, rejected_at))
        return documents, letters

    def _document(self, record: Record, now: datetime) -> Document:
        limits = self._limits
        message = self._message(record.value)
        get = message.get
        source = _text(get("source"), "source", limits.source)
        if not source:
            _missing(message, "source")
        published_at = self._published_at(message, now)
        title = _text(get("title"), "title", limits.title)
        text = _text(get("text"), "text", limits.message_bytes)
        if not title and not text:
            raise _RejectedError(Reason.NO_TEXT, "title and text are both missing or blank")
        # What most messages don't have costs a look, not a call.
        url = author = lang = None
        if (value := get("url")) is not None:
            url = _text(value, "url", limits.url)
            if url and not _is_url(url):
                raise _RejectedError(
                    Reason.WRONG_TYPE, f"url must be an http or https address, not {_shown(url)}"
                )
        if (value := get("author")) is not None:
            author = _text(value, "author", limits.author)
        if (value := get("lang")) is not None:
            lang = _text(value, "lang", limits.lang)
            if lang and not _is_lang(lang):
                raise _RejectedError(
                    Reason.WRONG_TYPE,
                    f"lang must be a BCP 47 tag such as en-US, not {_shown(lang)}",
                )
        # By position: names would cost half as much again as the document.
        return _made(
            (
                _text(get("id"), "id", limits.id)
                or document_id(source, url or "", title, text, published_at),
                self._kind(get("kind"), record.origin.topic),
                source,
                published_at,
                title,
                text,
                url or None,
                self._pseudonymise(author) if author else None,
                lang or None,
                () if (value := get("tickers")) is None else self._tickers(value),
                record.origin,
                record.appended_at,
                False if (value := get("history")) is None else _flag(value, "history"),
                False if (value := get("undated")) is None else _flag(value, "undated"),
                None if (value := get("drill")) is None else _drill(value),
            )
        )

    def _message(self, value: bytes | None) -> dict[str, Any]:
        if not value:
            raise _RejectedError(Reason.EMPTY, "the record has no value (a tombstone?)")
        if len(value) > self._limits.message_bytes:
            raise _RejectedError(
                Reason.TOO_LARGE,
                f"{len(value):,} bytes are more than the {self._limits.message_bytes:,} allowed",
            )
        try:
            message = _parsed(value)
        except UnicodeDecodeError as error:
            raise _RejectedError(Reason.NOT_UTF8, f"{error.reason} at byte {error.start}") from None
        except json.JSONDecodeError as error:
            control = error.msg.startswith("Invalid control character")
            raise _RejectedError(
                Reason.CONTROL_CHARACTER if control else Reason.NOT_JSON,
                f"{error.msg} at character {error.pos}",
            ) from None
        except ValueError as error:  # NaN, Infinity, an integer of more than 4,300 digits
            raise _RejectedError(Reason.NOT_JSON, str(error)[:200]) from None
        except RecursionError:
            raise _RejectedError(Reason.NOT_JSON, "nested too deeply") from None
        if type(message) is not dict:
            raise _RejectedError(
                Reason.NOT_AN_OBJECT, f"a JSON object is needed, not {_type_name(message)}"
            )
        if _is_suspect(value):
            _check_characters(message)
        return message

    def _published_at(self, message: dict[str, Any], now: datetime) -> datetime:
        value = message.get("published_at")
        if type(value) is not str:
            _missing(message, "published_at")
        moment = parse_timestamp(value)
        if moment is None and _names_no_day(value):
            raise _RejectedError(
                Reason.BAD_DATE,
                f"published_at {_shown(value)} names a day that no calendar has; "
                "correct the day or the month",
            )
        if moment is None:
            raise _RejectedError(
                Reason.BAD_DATE,
                "published_at must be RFC 3339 with a zone, from 1970 on, such as "
                f"2024-05-17T09:30:00Z, not {_shown(value)}",
            )
        if moment - now > self._limits.future:
            raise _RejectedError(
                Reason.FUTURE,
                f"published_at {_shown(value)} is {moment - now} ahead of the clock "
                f"({self._limits.future} allowed)",
            )
        return moment

    def _kind(self, value: object, topic: str) -> Kind:
        if value is None:
            return self._kinds.get(topic, Kind.NEWS)
        kind = _KINDS.get(value) if type(value) is str else None
        if kind is None:
            raise _RejectedError(
                Reason.WRONG_TYPE, f"kind must be news or comment, not {_shown(value)}"
            )
        return kind

    def _tickers(self, value: object) -> tuple[str, ...]:
        if type(value) is not list:
            raise _RejectedError(
                Reason.WRONG_TYPE, f"tickers must be a list of strings, not {_type_name(value)}"
            )
        if len(value) > self._limits.tickers:
            raise _RejectedError(
                Reason.TOO_LARGE,
                f"tickers has {len(value):,} items, {self._limits.tickers} allowed",
            )
        for item in value:
            if type(item) is not str or not item.strip():
                raise _RejectedError(
                    Reason.WRONG_TYPE, f"tickers must hold non-blank strings, not {_shown(item)}"
                )
            if len(item) > self._limits.ticker:
                raise _RejectedError(
                    Reason.TOO_LARGE,
                    f"tickers holds one of {len(item):,} characters, {self._limits.ticker} allowed",
                )
        return tuple(dict.fromkeys(item.strip() for item in value))


def _letter(record: Record, rejected: _RejectedError, at: datetime) -> DeadLetter:
    return DeadLetter(record.origin, rejected.reason, rejected.detail, record.value, at)


def _parsed(value: bytes) -> Any:
    """The JSON value of these bytes; raises what ``json`` does.

    orjson takes a third of the time. What it accepts of a message this small and this shallow
    ``json`` accepts as well, with the same strings (of a repeated field the last counts for both);
    what it refuses, and whatever could exceed a limit of ``json`` (4,300 digits, the depth of the
    recursion), is left to ``json``, which also says what is wrong with it.
    """
    if len(value) <= _QUICK_BYTES and value.count(b"[") + value.count(b"{") <= _QUICK_BRACKETS:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            pass
    return _parse(value.decode())


def parse_timestamp(value: str) -> datetime | None:
    """An RFC 3339 date-time in UTC; None where it is not one, or lies before 1970 or after 9999.

    A leap second (23:59:60 UTC) becomes the following midnight, as POSIX time has it.
    """
    if not _is_published_at(value):
        return None
    leap = value[17:19] == "60"
    if leap:
        value = f"{value[:17]}59{value[19:]}"
    try:
        moment = datetime.fromisoformat(value.upper())
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
        if leap:
            if (moment.hour, moment.minute) != (23, 59):
                return None
            moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    except (ValueError, OverflowError):  # the 30th of February; the first hours of year 10000
        return None
    return moment if moment >= _EPOCH else None


def _names_no_day(value: str) -> bool:
    """Whether a date-time is written as it must be, but of a day such as the 30th of February."""
    if not _is_published_at(value):
        return False
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return True
    return False


def document_id(source: str, url: str, title: str, text: str, published_at: datetime) -> str:
    """The id of a message that brings none: SHA-256 of source, url and title, cut to 128 bits.

    Without a title the text and the time are hashed too: comments under one page share their url,
    and would all be one document. NUL separates, since no field can hold one.
    """
    parts = (source, url, title) if title else (source, url, text, published_at.isoformat())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _text(value: object, name: str, limit: int) -> str:
    """A string field, stripped; empty where it is absent or null."""
    if type(value) is not str:
        if value is None:
            return ""
        raise _RejectedError(Reason.WRONG_TYPE, f"{name} must be a string, not {_type_name(value)}")
    if len(value) > limit:
        raise _RejectedError(
            Reason.TOO_LARGE, f"{name} has {len(value):,} characters, {limit:,} allowed"
        )
    return value.strip()


def _flag(value: object, name: str) -> bool:
    """A field that is true or false."""
    if type(value) is bool:
        return value
    raise _RejectedError(
        Reason.WRONG_TYPE, f"{name} must be true or false, not {_type_name(value)}"
    )


def _drill(value: object) -> str:
    """The drill that a document belongs to. A mark that cannot be read must not let its document
    through as a real one."""
    if type(value) is not str or not _is_drill(value):
        raise _RejectedError(
            Reason.WRONG_TYPE,
            f"drill must be 1 to 48 small letters, digits and hyphens, not {_shown(value)}",
        )
    return value


def _missing(message: dict[str, Any], name: str) -> NoReturn:
    """A required field that is absent, null, blank, or no string."""
    value = message.get(name)
    if value is None or isinstance(value, str):
        raise _RejectedError(Reason.MISSING_FIELD, f"{name} is missing or blank")
    raise _RejectedError(Reason.WRONG_TYPE, f"{name} must be a string, not {_type_name(value)}")


def _is_suspect(value: bytes) -> bool:
    """Whether a valid JSON text may hold control characters or surrogates: they can stand in it
    only as these escapes, or (DEL, C1) as these bytes. The searches for one byte are ten times
    as fast as a regular expression over every field, and most messages pass them."""
    if b"\\" in value and any(escape in value for escape in _ESCAPES):
        return True
    return b"\x7f" in value or b"\xc2" in value


def _check_characters(message: dict[str, Any]) -> None:
    for name in FIELDS:
        value = message.get(name)
        if type(value) is str:
            _check_clean(name, value)
    tickers = message.get("tickers")
    if type(tickers) is list:
        for item in tickers:
            if type(item) is str:
                _check_clean("tickers", item)


def _check_clean(name: str, value: str) -> None:
    found = unclean(value)
    if found:
        code = ord(found[0])
        surrogate = code >= _FIRST_SURROGATE
        raise _RejectedError(
            Reason.LONE_SURROGATE if surrogate else Reason.CONTROL_CHARACTER,
            f"{name} holds U+{code:04X} at character {found.start()}",
        )


def _shown(value: object) -> str:
    """A string as ASCII in at most 80 characters (details go to logs and tables), else its type:
    the ``repr`` of an absurdly nested list would exceed the recursion limit."""
    if type(value) is not str:
        return _type_name(value)
    shown = ascii(value[:80])
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


_JSON_TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def _type_name(value: object) -> str:
    return _JSON_TYPES.get(type(value), "something else")
