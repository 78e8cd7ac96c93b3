"""What is known of each source, as arrays with one slot a source, and as rows of the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import isnan

import numpy as np

from monitor.aggregate.rhythm import DAY_HOURS, WEEK_HOURS, Expectation, rates
from monitor.aggregate.silence import LEVELS
from monitor.events import Kind, SourceState
from monitor.store.base import RhythmRow, SourceRow

STREAM = ""
"""Name of the whole stream, which is watched like a source; no document's source is empty."""
OTHERS = "(others)"
"""Name under which the sources are counted for which there is no room."""
STATES = tuple(SourceState)
"""States are stored as their places here."""
_BLIND = STATES.index(SourceState.BLIND)
_VERSION = b"1"
_WEAK = 1.0  # decayed documents below which a source gives up its room
_ROW = np.dtype(
    [
        ("first", "f8"),  # moments in seconds since the epoch
        ("last", "f8"),
        ("alive", "f8"),
        ("since", "f8"),
        ("state", "i1"),
        ("failed", "?"),  # blind because it cannot be reached
        ("silent", "f8"),  # documents expected since it last spoke, up to the last closed bucket
        ("missing", "f8"),  # … and up to the last judgement
        ("back", "i8"),  # buckets before this one are of its blindness: nothing is learned of them
        ("hour_n", "f8"),  # of the present hour: documents in closed buckets, and these buckets
        ("hour_buckets", "f8"),
        ("recent", "i4", (DAY_HOURS + 1,)),
        ("counts", "f8", (len(LEVELS),)),
        ("excess", "f8", (len(LEVELS),)),
        # Of the stream alone: the present hour, the end of the last closed bucket; since when
        # sources can be heard, when that was last judged, and when it last could be.
        ("hour", "i8"),
        ("closed", "i8"),
        ("heard", "f8"),
        ("judged", "f8"),
        ("known", "f8"),
        ("pause", "f8"),  # no silence is judged before
    ]
)
_CELL = np.dtype([("start", "i8"), ("n", "i8"), ("first", "f8"), ("last", "f8")])

Cells = dict[int, list[float]]
"""By slot: documents, first and last event time in a bucket."""


class Roster:
    """The slots; slot 0 is the whole stream. Whoever changes a slot marks it as dirty."""

    def __init__(self, limit: int) -> None:
        """``limit``: sources that are told apart."""
        self._limit = limit
        self._clear()

    def drain(self, everything: bool = False) -> tuple[list[SourceRow], list[RhythmRow], list[str]]:
        """What changed since the last drain: rows, rhythms, and the names that are gone.

        ``everything``: all rows, so that what they tell of the present is fresh.
        """
        if everything:
            self.dirty.update(self.slots.values())
        rows = self._made(sorted(self.dirty))
        rhythms = [
            RhythmRow(
                self.names[slot],
                self.documents[slot].tobytes() + self.hours[slot].tobytes(),
            )
            for slot in sorted(self.changed)
        ]
        gone = sorted(self._gone)
        self.dirty.clear()
        self.changed.clear()
        self._gone.clear()
        return rows, rhythms, gone

    def every(self) -> list[SourceRow]:
        """All of them, by name."""
        return self._made([slot for _, slot in sorted(self.slots.items())])

    def restore(self, rows: Iterable[SourceRow], rhythms: Iterable[RhythmRow]) -> None:
        """Forget everything and go on from these."""
        self._clear()
        rhythm = {row.name: row.rhythm for row in rhythms}
        for row in rows:
            if row.memory[:1] != _VERSION:
                continue
            slot = 0 if row.name == STREAM else self._take(row.name)
            self.rows[slot] = np.frombuffer(row.memory, _ROW, 1, 1)[0]
            for cell in np.frombuffer(row.memory, _CELL, offset=1 + _ROW.itemsize):
                cells = self.open.setdefault(int(cell["start"]), {})
                cells[slot] = [int(cell["n"]), float(cell["first"]), float(cell["last"])]
            if row.kind is not None:
                self.kinds[slot] = row.kind
            if row.keys:
                self.keys[slot] = row.keys
            if row.reason:
                self.reasons[slot] = row.reason
            if (stored := rhythm.get(row.name)) is not None:
                both = np.frombuffer(stored, np.float32).reshape(2, WEEK_HOURS)
                self.documents[slot], self.hours[slot] = both
        self.expect()
        self.dirty.clear()

    def _clear(self) -> None:
        self.slots: dict[str, int] = {STREAM: 0}
        self.names: dict[int, str] = {0: STREAM}
        self._free: list[int] = []
        self.rows = np.zeros(1, _ROW)
        self.active = np.ones(1, bool)
        self.documents = np.zeros((1, WEEK_HOURS), np.float32)
        self.hours = np.zeros((1, WEEK_HOURS), np.float32)
        self.kinds: dict[int, Kind] = {}
        self.keys: dict[int, tuple[str, ...]] = {}
        self.reasons: dict[int, str] = {}
        self.open: dict[int, Cells] = {}
        self.dirty: set[int] = set()
        self.changed: set[int] = set()  # whose rhythms changed
        self._gone: set[str] = set()
        self.crowded = False
        """No room was found; not looked for again until a bucket has closed."""
        self._blank(0)
        self.expect()

    def _blank(self, slot: int) -> None:
        self.rows[slot] = np.zeros((), _ROW)
        for name in ("first", "last", "alive"):
            self.rows[name][slot] = np.nan
        self.documents[slot] = self.hours[slot] = 0.0
        self.active[slot] = True

    def admit(self, name: str, at: float) -> int:
        """The slot of a source that was not known."""
        told_apart = len(self.slots) - 1 - (OTHERS in self.slots)
        if told_apart >= self._limit and name != OTHERS:
            weakest = None if self.crowded else self._weakest()
            if weakest is None:
                self.crowded = True
                return self.slots.get(OTHERS) or self.admit(OTHERS, at)
            self.drop(self.names[weakest])
        slot = self._take(name)
        self.rows["since"][slot] = at
        self.dirty.add(slot)
        return slot

    def _take(self, name: str) -> int:
        if not self._free:
            size = len(self.rows)
            grown = 2 * size
            self.rows = np.concatenate((self.rows, np.zeros(grown - size, _ROW)))
            self.active = np.concatenate((self.active, np.zeros(grown - size, bool)))
            more = np.zeros((grown - size, WEEK_HOURS), np.float32)
            self.documents = np.concatenate((self.documents, more))
            self.hours = np.concatenate((self.hours, more))
            self._free = list(range(grown - 1, size - 1, -1))
            self.expect()
        slot = self._free.pop()
        self.slots[name] = slot
        self.names[slot] = name
        self._gone.discard(name)
        self._blank(slot)
        return slot

    def _weakest(self) -> int | None:
        """A source with next to nothing in memory, that nobody is told to be blind."""
        rows = self.rows
        silent = np.fmax(rows["last"], rows["since"]) < rows["closed"][0]
        weak = self.active & silent & (rows["state"] != _BLIND) & (rows["counts"][:, 0] < _WEAK)
        for kept in (0, self.slots.get(OTHERS, 0)):
            weak[kept] = False
        found = np.where(weak, rows["counts"][:, 0], np.inf)
        slot = int(found.argmin())
        return slot if weak[slot] else None

    def drop(self, name: str) -> None:
        """Forget a source."""
        slot = self.slots.pop(name)
        del self.names[slot]
        for known in (self.kinds, self.keys, self.reasons):
            known.pop(slot, None)
        for cells in self.open.values():
            cells.pop(slot, None)
        self._blank(slot)
        self.active[slot] = False
        self._free.append(slot)
        self.dirty.discard(slot)
        self.changed.discard(slot)
        self._gone.add(name)

    def expect(self) -> None:
        """Make the expectation anew: the rhythms have changed."""
        hourly = rates(self.documents.astype(np.float64), self.hours.astype(np.float64))
        self.expectation = Expectation(hourly)
        self.daily = self.expectation.of_last_day(int(self.rows["hour"][0]))

    def _made(self, slots: Sequence[int]) -> list[SourceRow]:
        """The rows of these slots, in their order."""
        rows = self.rows[slots]
        cells: dict[int, list[tuple[float, ...]]] = {}
        for start, opened in sorted(self.open.items()):
            for slot, cell in opened.items():
                cells.setdefault(slot, []).append((start, *cell))
        return [
            SourceRow(
                self.names[slot],
                self.kinds.get(slot),
                STATES[state],
                _moment(since),
                None if isnan(last) else _moment(last),
                expected,
                sum(recent[1:]),
                missing,
                self.reasons.get(slot, ""),
                tuple(recent),
                self.keys.get(slot, ()),
                _VERSION + row.tobytes() + np.array(cells.get(slot, []), _CELL).tobytes(),
            )
            for slot, row, state, since, last, expected, recent, missing in zip(
                slots,
                rows,
                rows["state"].tolist(),
                rows["since"].tolist(),
                rows["last"].tolist(),
                self.daily[slots].tolist(),
                rows["recent"].tolist(),
                rows["missing"].tolist(),
                strict=True,
            )
        ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
