"""From a row of a file to a document on its way to Kafka, or to a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from monitor.clock import Clock
from monitor.events import DeadLetter, Kind, Origin, Reason, Record
from monitor.offers import Check, offer_of, routes_of
from monitor.outgoing import bad_row_message
from monitor.source.files import FieldMap, encoded, message_of
from monitor.source.table import BadRow, Row
from monitor.store.publishing.base import Message
from monitor.store.receiving.base import FileState, Offer

KEPT = 256 * 1024
"""Bytes of a bad row that its dead letter keeps: the whole would not go through Kafka."""


class RowJudge:
    """Says of each row what the daemon would say of its message, and where the row stands."""

    def __init__(
        self,
        check: Check,
        topics: Mapping[str, Kind],
        dead_letters: str,
        kind: Kind,
        mapping: FieldMap,
        history_after: timedelta,
        clock: Clock,
        wall: Callable[[], datetime],
    ) -> None:
        """``kind`` is of the rows that name none. Documents that were published more than
        ``history_after`` before their file was found are history, not news. ``topics`` must have
        one of this kind."""
        self._check = check
        self._routes = routes_of(topics)
        self._topic = self._routes[kind]
        self._dead_letters = dead_letters
        self._mapping = mapping
        self._history_after = history_after
        self._clock = clock
        self._wall = wall

    def judge(self, item: Row | BadRow, file: FileState) -> Offer | Message:
        """The row's document, or its dead letter."""
        if isinstance(item, BadRow):
            return self._letter(file, item.line, item.reason, item.fault, item.raw)
        try:
            moment, message = message_of(item, self._mapping)
        except ValueError as error:
            raw = _as_it_is(item.fields)
            return self._letter(file, item.line, Reason.BAD_DATE, str(error), raw)
        if file.found_at - moment > self._history_after:
            message["history"] = True
        try:
            value = encoded(message)
        except ValueError as error:
            raw = _as_it_is(item.fields)
            return self._letter(file, item.line, Reason.WRONG_TYPE, str(error), raw)
        record = Record(Origin(self._topic, -1, item.line), value, None, self._wall())
        found = self._check(record, now=self._clock.now(), rejected_at=record.appended_at)
        if isinstance(found, DeadLetter):
            return self._letter(file, item.line, found.reason, found.detail, value)
        return offer_of(found, self._routes, value)

    def _letter(
        self, file: FileState, line: int, reason: Reason, detail: str, value: bytes | None
    ) -> Message:
        if value is not None and len(value) > KEPT:
            detail = f"{detail} (the first {KEPT:,} of {len(value):,} bytes are kept)"
            value = value[:KEPT]
        letter = bad_row_message(reason, detail, file.name, line, value, self._wall())
        return Message(self._dead_letters, f"{file.digest}:{line}", orjson.dumps(letter))


def _as_it_is(fields: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(dict(fields), default=str)
    except orjson.JSONEncodeError:  # a lone surrogate, an integer of more than 64 bits
        return ascii(dict(fields)).encode()
