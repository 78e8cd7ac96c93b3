"""An endless stream of invented records, each a function of its number, and a source of it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from monitor.events import Origin, Partition, Record
from monitor.source.base import Batch

START = datetime(2026, 3, 2, tzinfo=UTC)
PERIOD = 1_080
"""Records of five hours: four calm ones, with one in twenty seconds, and a crisis with twice as
many."""

_CALM = 720
_WAIT = 0.004  # seconds for records, at each poll
_PARTITIONS = tuple(Partition("news", number) for number in range(3))
_TOPICS = (5, 2, 7, 0, 8, 3)


def value_of(number: int) -> bytes:
    """Record ``number``: calm hours and bad ones of one topic, again and again. One in ten repeats
    the words of one before it, one in 97 is no message at all."""
    if number % 97 == 96:
        return b'{"source": "broken'
    rng = random.Random(number)
    period, n = divmod(number, PERIOD)
    crisis = n >= _CALM
    seconds = n * 20.0 if not crisis else _CALM * 20.0 + (n - _CALM) * 10.0
    topic = _TOPICS[period % len(_TOPICS)]
    struck = crisis and rng.random() < 0.8
    if not struck:
        topic = rng.choice(_TOPICS)
    sign = rng.choices("-0+", (17, 2, 1) if struck else (1, 3, 1))[0]
    words = random.Random(number - rng.randint(1, 60) if rng.random() < 0.1 else number)
    text = f"{sign} {topic} " + " ".join(f"{words.getrandbits(32):x}" for _ in range(8))
    if struck and topic == _TOPICS[0] and rng.random() < 0.3:
        text += " Northgate"
    at = START + timedelta(hours=5) * period + timedelta(seconds=seconds)
    message = {
        "id": f"d{number}",
        "source": f"wire-{number % 7}",
        "published_at": at.isoformat(),
        "text": text,
    }
    if rng.random() < 0.25:
        message["author"] = f"a{rng.randrange(40)}"
    return json.dumps(message).encode()


class Tape:
    """A `Source` of several partitions, whose records come in the order of their numbers; it ends
    before record ``end``."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._next = 0
        self._assigned = False

    def poll(self, timeout: float, limit: int) -> Batch:
        if not self._assigned:
            self._assigned = True
            return self._batch((), frozenset(_PARTITIONS))
        time.sleep(_WAIT)
        numbers = range(self._next, min(self._next + limit, self._end))
        if not numbers:
            time.sleep(timeout)
        records = [
            Record(Origin(*_PARTITIONS[n % 3], n // 3), value_of(n), None, START) for n in numbers
        ]
        self._next += len(numbers)
        return self._batch(records)

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        self._next = sum(offsets.values())
        assert offsets == _positions(self._next), "a transaction holds whole batches"

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Nobody asks how far we are."""

    def pause(self, paused: bool) -> None:
        assert not paused, "the scorer is never full"

    def close(self) -> None:
        """Nothing to close."""

    def _batch(
        self, records: Sequence[Record], assigned: frozenset[Partition] = frozenset()
    ) -> Batch:
        ends = _positions(self._end)
        return Batch(records, _positions(self._next), ends, assigned)


def _positions(number: int) -> dict[Partition, int]:
    """The offsets at which each partition is read on after so many records."""
    return {p: (number + 2 - i) // 3 for i, p in enumerate(_PARTITIONS)}
