"""Quiet or blind: which sources speak, and which should have spoken and did not.

What a source says is learned from closed buckets of event time, as the detectors do: its rate for
each hour of the week (`rhythm`) and how long it is silent (`silence`). Whether it is silent now is
judged on the daemon's clock: the watermark stands still when everybody is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.aggregate.rhythm import DAY_HOURS, HOUR, WEEK_HOURS, Expectation, hour_of_week, rates
from monitor.aggregate.silence import LEVELS, a_month, censor, record
from monitor.events import BUCKET_SECONDS, Document, Kind, SourceState
from monitor.heartbeat import Contact
from monitor.store.base import RhythmRow, SourceRow

STREAM = ""
"""Name of the whole stream, which is watched like a source; no document's source is empty."""
OTHERS = "(others)"
"""Name under which the sources are counted for which there is no room."""
UNKNOWN_END = "Kafka does not say where its log ends"

_HOUR_BUCKETS = HOUR // BUCKET_SECONDS
_STATES = tuple(SourceState)
_NEW, _SPEAKING, _QUIET, _BLIND = map(_STATES.index, SourceState)
_VERSION = b"1"
_WARM_HOURS = 24.0  # until the rates mean something, silences are not learned from
_FEWEST = 10.0  # decayed documents below which a source is not known
_WEAK = 1.0  # decayed documents below which a source gives up its room
_CONTACT_LASTS = 4.0  # silences of the least length that may be blind
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

_Cells = dict[int, list[float]]  # by slot: documents, first and last event time in a bucket


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Parameters; times in seconds."""

    limit: int = 2_000
    """Sources that are told apart; once there are so many, a new one gets the room of one that has
    next to nothing in memory, or is counted with the others."""
    budget: float = 1.0
    """False alarms to be expected in a month, over all sources and the whole stream together."""
    minimum_silence: float = 1_800.0
    """Nobody is blind before; the whole stream, which goes first, at half of it."""
    minimum_history: float = 7 * 86_400.0
    """After its first document a source is new for so long: one whole week of hours."""
    half_life: float = 28 * 86_400.0
    """Of what is known of a source."""
    failures: int = 3
    """Contacts in a row that fail, after which a source is blind."""
    forget: float = 14 * 86_400.0
    """A source that is blind, or new, and silent for so long is given up."""


class Turn(NamedTuple):
    """A source has come into another state."""

    name: str
    state: SourceState
    was: SourceState
    at: float
    """On the daemon's clock, seconds since the epoch."""
    last: float | None
    """Publication of its newest document."""
    missing: float
    """Documents expected since it last spoke."""
    often: float
    """How often in a month such a silence is to be expected."""
    allowed: float
    """… and how rare it must be for an alarm."""
    reason: str
    gone: bool = False
    """It is given up."""


class Sources:
    """Every source and the whole stream, one row each; updates are vectorised over them."""

    def __init__(self, settings: SourceSettings | None = None) -> None:
        self._settings = settings or SourceSettings()
        self._decay = 0.5 ** (HOUR / self._settings.half_life)
        self._restored = False  # and not judged since
        self._clear()

    # ------------------------------------------------------------------ documents

    def hear(self, documents: Iterable[Document], now: float | None) -> list[Turn]:
        """A batch was read; ``now``: the daemon's clock if nothing more waits in the log, so that
        what it brought has just been said. The sources that were blind and are not any more."""
        heard: dict[int, float] = {}
        blind = set(np.flatnonzero(self._rows["state"] == _BLIND).tolist())
        back: dict[int, int] = {}  # bucket in which one that was blind speaks again
        closed = self._closed
        for document in documents:
            if document.history:
                continue
            at = document.published_at.timestamp()
            slot = self._slots.get(document.source)
            if slot is None:
                slot = self._admit(document.source, at)
            self._kinds[slot] = document.kind
            if at > heard.get(slot, -1.0):
                heard[slot] = at
            start = int(at // BUCKET_SECONDS) * BUCKET_SECONDS
            if blind:
                for again in blind & {0, slot}:
                    back[again] = min(start, back.get(again, start))
            if start < closed:
                continue
            cells = self._open.setdefault(start, {})
            cell = cells.get(slot)
            if cell is None:
                cells[slot] = [1, at, at]
                continue
            cell[0] += 1
            if at < cell[1]:
                cell[1] = at
            elif at > cell[2]:
                cell[2] = at
        if not heard:
            return []
        heard[0] = max(heard.values())
        if self._rows["since"][0] == 0:
            self._rows["since"][0] = heard[0]
        slots = np.fromiter(heard, np.int64, len(heard))
        at_last = np.fromiter(heard.values(), np.float64, len(heard))
        rows = self._rows
        rows["last"][slots] = np.fmax(rows["last"][slots], at_last)
        alive = at_last if now is None else np.maximum(at_last, now)
        rows["alive"][slots] = np.fmax(rows["alive"][slots], alive)
        rows["first"][slots] = np.fmin(rows["first"][slots], at_last)
        self._dirty.update(slots.tolist())
        at = float(rows["alive"][0])
        if 0 in back:
            rows["heard"][0] = at  # what could not be heard before is nobody's silence
        turns = []
        for slot, start in sorted(back.items()):
            turns.append(self._turn(slot, _SPEAKING, at))
            rows["back"][slot] = start
        return turns

    def close(self, start: int) -> None:
        """The bucket of event time that starts here (seconds since the epoch) is complete."""
        stream = self._rows[0]
        self._fold(start // HOUR)
        cells: _Cells = {}
        for passed in sorted(s for s in self._open if s <= start):
            for slot, cell in self._open.pop(passed).items():
                _merge(cells, slot, cell)
        if cells:
            for cell in list(cells.values()):
                _merge(cells, 0, cell)
        stream["closed"] = start + BUCKET_SECONDS
        n, first, last = self._columns(cells, start)
        rows, learning = self._rows, self._active & ~self._unheard(start)
        expected = self._expectation.hourly[:, hour_of_week(start)] / _HOUR_BUCKETS
        spoke = (n > 0) & learning
        known = spoke & (rows["counts"][:, 0] > 0) & (self._hours.sum(axis=1) >= _WARM_HOURS)
        share = expected / BUCKET_SECONDS
        record(rows["counts"], rows["excess"], rows["silent"] + share * (first - start), known)
        within = np.where(known, n - 1, np.where(spoke, n, 0))
        rows["counts"][:, 0] += within
        rows["excess"][:, 0] += np.where(known, share * (last - first), 0.0)
        rest = share * (start + BUCKET_SECONDS - last)
        rows["silent"] = np.where(
            spoke, rest, np.where(learning, rows["silent"] + expected, rows["silent"])
        )
        rows["hour_n"] += np.where(learning, n, 0)
        rows["hour_buckets"] += learning
        rows["recent"][:, -1] += n.astype(np.int32)
        self._dirty.update(np.flatnonzero(self._active).tolist())
        for slot in [s for s in self._keys if rows["state"][s] != _BLIND]:
            if rows["back"][slot] <= start + BUCKET_SECONDS:
                del self._keys[slot]

    # ------------------------------------------------------------------ judgement

    def judge(
        self,
        now: float,
        behind: int | None,
        contacts: Mapping[str, Contact],
        depends: Callable[[str], Sequence[str]],
    ) -> list[Turn]:
        """Who has come into another state by ``now`` (the daemon's clock, seconds since the epoch).

        ``behind``: records that wait in the log; None: nobody knows, since Kafka does not answer.
        Silence is judged only where nothing waits. ``depends`` tells the keys that depend on a
        source.
        """
        stream = self._rows[0]
        if not stream["heard"] > 0:
            stream["heard"] = stream["known"] = now
        # After a start it can't be known who fell silent while nobody listened.
        if self._restored:
            stream["known"] = now
            if now - stream["judged"] > self._settings.minimum_silence:
                stream["pause"] = now + self._settings.minimum_silence
        self._restored = False
        stream["judged"] = now
        if behind is not None:
            stream["known"] = now
        for name, contact in contacts.items():
            if name not in self._slots and contact.failures >= self._settings.failures:
                self._admit(name, now)
        missing = self._missing(now)
        self._rows["missing"] = missing
        hours = self._hours.sum(axis=1)
        often = a_month(self._rows["counts"], self._rows["excess"], hours, missing)
        doubtful = self._doubtful(now, behind, often)
        for name, contact in contacts.items():
            if self._answered(contact, now) and name in self._slots:
                doubtful[self._slots[name]] = False
        turns = self._judge_stream(now, behind, often, doubtful)
        if stream["state"] == _BLIND:
            doubtful[:] = False  # that has been told, once for all of them
        turns += self._judge_each(now, behind, often, doubtful, contacts, depends)
        return turns + self._forget(now)

    def blind_keys(self, start: int) -> frozenset[str]:
        """What depends on a source that was blind in the bucket that starts here."""
        if not self._keys:
            return frozenset()
        unheard = self._unheard(start)
        return frozenset(key for slot, keys in self._keys.items() if unheard[slot] for key in keys)

    def deaf(self, start: int) -> bool:
        """Whether the whole stream was silent in the bucket that starts here."""
        return bool(self._rows["state"][0] == _BLIND or self._rows["back"][0] > start)

    @property
    def judged(self) -> float:
        """When the last judgement was made: seconds since the epoch; 0: never."""
        return float(self._rows["judged"][0])

    def dependents(self, name: str) -> tuple[str, ...]:
        """The keys that depend on a source, while it is blind."""
        return self._keys.get(self._slots.get(name, 0), ())

    def share_of_stream(self, name: str) -> float:
        """Which part of the documents expected in a week are this source's."""
        weekly = self._expectation.hourly.sum(axis=1)
        slot = self._slots.get(name, 0)
        return float(weekly[slot] / weekly[0]) if weekly[0] > 0 else 0.0

    # ------------------------------------------------------------------ rows

    def drain(self, everything: bool = False) -> tuple[list[SourceRow], list[RhythmRow], list[str]]:
        """What changed since the last drain: rows, rhythms, and the names that are gone.

        ``everything``: all rows, so that what they tell of the present is fresh.
        """
        if everything:
            self._dirty.update(self._slots.values())
        rows = self._made(sorted(self._dirty))
        rhythms = [
            RhythmRow(
                self._names[slot],
                self._documents[slot].tobytes() + self._hours[slot].tobytes(),
            )
            for slot in sorted(self._changed)
        ]
        gone = sorted(self._gone)
        self._dirty.clear()
        self._changed.clear()
        self._gone.clear()
        return rows, rhythms, gone

    def rows(self) -> list[SourceRow]:
        """All of them, by name."""
        return self._made([slot for _, slot in sorted(self._slots.items())])

    def restore(self, rows: Iterable[SourceRow], rhythms: Iterable[RhythmRow]) -> None:
        """Forget everything and go on from these."""
        self._clear()
        rhythm = {row.name: row.rhythm for row in rhythms}
        for row in rows:
            if row.memory[:1] != _VERSION:
                continue
            slot = 0 if row.name == STREAM else self._take(row.name)
            self._rows[slot] = np.frombuffer(row.memory, _ROW, 1, 1)[0]
            for cell in np.frombuffer(row.memory, _CELL, offset=1 + _ROW.itemsize):
                cells = self._open.setdefault(int(cell["start"]), {})
                cells[slot] = [int(cell["n"]), float(cell["first"]), float(cell["last"])]
            if row.kind is not None:
                self._kinds[slot] = row.kind
            if row.keys:
                self._keys[slot] = row.keys
            if row.reason:
                self._reasons[slot] = row.reason
            if (stored := rhythm.get(row.name)) is not None:
                both = np.frombuffer(stored, np.float32).reshape(2, WEEK_HOURS)
                self._documents[slot], self._hours[slot] = both
        self._expect()
        self._dirty.clear()
        self._restored = bool(self._rows["judged"][0] > 0)

    # ------------------------------------------------------------------ inside

    def _clear(self) -> None:
        self._slots: dict[str, int] = {STREAM: 0}
        self._names: dict[int, str] = {0: STREAM}
        self._free: list[int] = []
        self._rows = np.zeros(1, _ROW)
        self._active = np.ones(1, bool)
        self._documents = np.zeros((1, WEEK_HOURS), np.float32)
        self._hours = np.zeros((1, WEEK_HOURS), np.float32)
        self._kinds: dict[int, Kind] = {}
        self._keys: dict[int, tuple[str, ...]] = {}
        self._reasons: dict[int, str] = {}
        self._open: dict[int, _Cells] = {}
        self._dirty: set[int] = set()
        self._changed: set[int] = set()  # whose rhythms changed
        self._gone: set[str] = set()
        self._restored = False
        self._blank(0)
        self._expect()

    @property
    def _closed(self) -> int:
        return int(self._rows["closed"][0])

    def _blank(self, slot: int) -> None:
        self._rows[slot] = np.zeros((), _ROW)
        for name in ("first", "last", "alive"):
            self._rows[name][slot] = np.nan
        self._documents[slot] = self._hours[slot] = 0.0
        self._active[slot] = True

    def _admit(self, name: str, at: float) -> int:
        """The slot of a source that was not known."""
        told_apart = len(self._slots.keys() - {STREAM, OTHERS})
        if told_apart >= self._settings.limit and name != OTHERS:
            weakest = self._weakest()
            if weakest is None:
                return self._slots.get(OTHERS) or self._admit(OTHERS, at)
            self._drop(weakest)
        slot = self._take(name)
        self._rows["since"][slot] = at
        self._dirty.add(slot)
        return slot

    def _take(self, name: str) -> int:
        if not self._free:
            size = len(self._rows)
            grown = 2 * size
            self._rows = np.concatenate((self._rows, np.zeros(grown - size, _ROW)))
            self._active = np.concatenate((self._active, np.zeros(grown - size, bool)))
            more = np.zeros((grown - size, WEEK_HOURS), np.float32)
            self._documents = np.concatenate((self._documents, more))
            self._hours = np.concatenate((self._hours, more))
            self._free = list(range(grown - 1, size - 1, -1))
            self._expect()
        slot = self._free.pop()
        self._slots[name] = slot
        self._names[slot] = name
        self._gone.discard(name)
        self._blank(slot)
        return slot

    def _weakest(self) -> str | None:
        """A source with next to nothing in memory, that nobody is told to be blind."""
        memory = self._rows["counts"][:, 0]
        found = [
            (float(memory[slot]), name)
            for name, slot in self._slots.items()
            if slot and name != OTHERS and memory[slot] < _WEAK
            and self._rows["state"][slot] != _BLIND
            and not any(slot in cells for cells in self._open.values())
        ]  # fmt: skip
        return min(found)[1] if found else None

    def _drop(self, name: str) -> None:
        slot = self._slots.pop(name)
        del self._names[slot]
        for known in (self._kinds, self._keys, self._reasons):
            known.pop(slot, None)
        for cells in self._open.values():
            cells.pop(slot, None)
        self._blank(slot)
        self._active[slot] = False
        self._free.append(slot)
        self._dirty.discard(slot)
        self._changed.discard(slot)
        self._gone.add(name)

    def _columns(self, cells: _Cells, start: int) -> tuple[NDArray[np.int64], ...]:
        size = len(self._rows)
        n = np.zeros(size, np.int64)
        first = np.full(size, float(start))
        last = np.full(size, float(start))
        for slot, (count, begin, end) in cells.items():
            n[slot], first[slot], last[slot] = count, begin, end
        return n, first, last

    def _fold(self, hour: int) -> None:
        """Put the hour that has ended into the rhythms."""
        stream = self._rows[0]
        if stream["closed"] == 0:
            stream["hour"] = hour
        passed = hour - int(stream["hour"])
        if passed <= 0:
            return
        learning = self._active & (self._rows["hour_buckets"] > 0)
        cell = int(stream["hour"]) % WEEK_HOURS
        self._documents[learning] *= np.float32(self._decay)
        self._hours[learning] *= np.float32(self._decay)
        self._documents[learning, cell] += self._rows["hour_n"][learning].astype(np.float32)
        watched = self._rows["hour_buckets"][learning] / _HOUR_BUCKETS
        self._hours[learning, cell] += watched.astype(np.float32)
        for name in ("counts", "excess"):
            self._rows[name][learning] *= self._decay
        self._rows["hour_n"] = self._rows["hour_buckets"] = 0.0
        recent = self._rows["recent"]
        kept = max(DAY_HOURS + 1 - passed, 0)
        recent[:, :kept] = recent[:, DAY_HOURS + 1 - kept :].copy()
        recent[:, kept:] = 0
        stream["hour"] = hour
        self._changed.update(np.flatnonzero(learning).tolist())
        self._expect()

    def _expect(self) -> None:
        hourly = rates(self._documents.astype(np.float64), self._hours.astype(np.float64))
        self._expectation = Expectation(hourly)
        self._daily = self._expectation.of_last_day(int(self._rows["hour"][0]))

    def _unheard(self, start: int) -> NDArray[np.bool_]:
        """Who was blind in the bucket that starts here, [slots]."""
        rows = self._rows
        found: NDArray[np.bool_] = (rows["state"] == _BLIND) | (rows["back"] > start)
        return found | self.deaf(start)

    def _missing(self, now: float) -> NDArray[np.float64]:
        """Documents expected of each source since it was last known to live, [slots]."""
        since = np.fmax(self._rows["alive"], self._rows["heard"][0])
        return self._expectation.between(np.fmin(since, now), now)

    def _silence(self, now: float) -> NDArray[np.float64]:
        """Seconds since each source was last known to live, [slots]."""
        found: NDArray[np.float64] = now - np.fmax(self._rows["alive"], self._rows["heard"][0])
        return found

    def _doubtful(
        self, now: float, behind: int | None, often: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Whose silence is too rare to be one of its own, [slots]."""
        if behind != 0 or now < self._rows["pause"][0]:
            return np.zeros(len(often), bool)
        silence = self._silence(now)
        silence[0] *= 2  # the stream goes first
        long_enough = silence >= self._settings.minimum_silence
        found: NDArray[np.bool_] = self._established() & long_enough & (often < self._allowed())
        return found

    def _allowed(self) -> float:
        """How rare, a month, a silence must be: the budget is shared by all that may be blind."""
        return self._settings.budget / (1 + int(self._established().sum()))

    def _established(self) -> NDArray[np.bool_]:
        rows = self._rows
        age = rows["judged"][0] - rows["first"]
        known: NDArray[np.bool_] = (
            self._active
            & (age >= self._settings.minimum_history)
            & ((rows["counts"][:, 0] >= _FEWEST) | (rows["state"] == _BLIND))
        )
        return known

    def _judge_stream(
        self,
        now: float,
        behind: int | None,
        often: NDArray[np.float64],
        doubtful: NDArray[np.bool_],
    ) -> list[Turn]:
        s, stream = self._settings, self._rows[0]
        state = int(stream["state"])
        if state == _BLIND:
            # Records that wait are a sign of life: whether of Kafka or of the sources.
            if behind or (behind == 0 and stream["failed"]):
                stream["heard"] = now
                return [self._turn(0, _QUIET, now)]
            return []
        if behind is None and now - stream["known"] >= s.minimum_silence:
            stream["failed"] = True
            return [self._turn(0, _BLIND, now, reason=UNKNOWN_END)]
        silence = self._silence(now)
        silent = float(silence[0])
        # Where nobody spoke for most of a source's silence, it is not this one that is silent.
        alike = doubtful & (silence <= 2 * silent)
        if alike.any():
            return [self._turn(0, _BLIND, now, float(often[alike].min()), self._allowed())]
        wanted = _NEW
        if self._established()[0]:
            speaking = silent < s.minimum_silence or (state == _SPEAKING and behind != 0)
            wanted = _SPEAKING if speaking else _QUIET
        return [self._turn(0, wanted, now)] if state != wanted else []

    def _judge_each(
        self,
        now: float,
        behind: int | None,
        often: NDArray[np.float64],
        doubtful: NDArray[np.bool_],
        contacts: Mapping[str, Contact],
        depends: Callable[[str], Sequence[str]],
    ) -> list[Turn]:
        s, rows = self._settings, self._rows
        allowed, established = self._allowed(), self._established()
        speaking = self._silence(now) < s.minimum_silence
        if behind != 0:  # what waits in the log may be theirs
            speaking |= rows["state"] == _SPEAKING
        calm = np.where(established, np.where(speaking, _SPEAKING, _QUIET), _NEW)
        blind = rows["state"] == _BLIND
        wanted = np.where(blind | doubtful, _BLIND, calm)
        turns: list[Turn] = []
        asked = {self._slots[name]: c for name, c in contacts.items() if name in self._slots}
        for slot in sorted(asked):
            contact = asked[slot]
            failing = contact.failures >= s.failures
            if failing:
                wanted[slot] = _BLIND
                if not blind[slot]:
                    rows["failed"][slot] = True
                    self._reasons[slot] = (
                        f"the last {contact.failures} attempts to reach it failed: {contact.reason}"
                    )
            elif self._answered(contact, now) and wanted[slot] == _BLIND:
                wanted[slot] = calm[slot]
        for slot in np.flatnonzero(self._active & (wanted != rows["state"])).tolist():
            if slot == 0:
                continue
            if wanted[slot] == _BLIND:
                self._keys[slot] = tuple(depends(self._names[slot]))
                if not rows["failed"][slot]:
                    censor(rows["excess"][slot], float(rows["missing"][slot]))
            turns.append(
                self._turn(slot, int(wanted[slot]), now, float(often[slot]), allowed,
                           self._reasons.get(slot, ""))
            )  # fmt: skip
        return turns

    def _answered(self, contact: Contact, now: float) -> bool:
        """Whether the source has answered of late."""
        at, lasts = contact.succeeded, _CONTACT_LASTS * self._settings.minimum_silence
        return contact.failures == 0 and at is not None and now - at.timestamp() <= lasts

    def _turn(
        self,
        slot: int,
        state: int,
        now: float,
        often: float = 0.0,
        allowed: float = 0.0,
        reason: str = "",
    ) -> Turn:
        rows = self._rows
        was = int(rows["state"][slot])
        rows["state"][slot], rows["since"][slot] = state, now
        if state == _BLIND:
            if reason:
                self._reasons[slot] = reason
        else:
            rows["failed"][slot] = False
            self._reasons.pop(slot, None)
        if was == _BLIND:
            rows["silent"][slot] = 0.0
        self._dirty.add(slot)
        last = float(rows["last"][slot])
        return Turn(
            self._names[slot],
            _STATES[state],
            _STATES[was],
            now,
            None if np.isnan(last) else last,
            float(rows["missing"][slot]),
            often,
            allowed,
            reason,
        )

    def _forget(self, now: float) -> list[Turn]:
        """Give up those that are blind, or new and silent, for too long."""
        rows, turns = self._rows, list[Turn]()
        oldest = now - self._settings.forget
        heard = np.where(rows["state"] == _NEW, np.fmax(rows["last"], rows["since"]), np.inf)
        since = np.where(rows["state"] == _BLIND, rows["since"], heard)
        late = set(np.flatnonzero(self._active & (since < oldest)).tolist()) - {0}
        for name in sorted(name for name, slot in self._slots.items() if slot in late):
            turns.append(self._turn(self._slots[name], _NEW, now)._replace(gone=True))
            self._drop(name)
        return turns

    def _made(self, slots: Sequence[int]) -> list[SourceRow]:
        """The rows of these slots, in their order."""
        rows = self._rows[slots]
        cells: dict[int, list[tuple[float, ...]]] = {}
        for start, opened in sorted(self._open.items()):
            for slot, cell in opened.items():
                cells.setdefault(slot, []).append((start, *cell))
        return [
            SourceRow(
                self._names[slot],
                self._kinds.get(slot),
                _STATES[state],
                _moment(since),
                None if isnan(last) else _moment(last),
                expected,
                sum(recent[1:]),
                missing,
                self._reasons.get(slot, ""),
                tuple(recent),
                self._keys.get(slot, ()),
                _VERSION + row.tobytes() + np.array(cells.get(slot, []), _CELL).tobytes(),
            )
            for slot, row, state, since, last, expected, recent, missing in zip(
                slots,
                rows,
                rows["state"].tolist(),
                rows["since"].tolist(),
                rows["last"].tolist(),
                self._daily[slots].tolist(),
                rows["recent"].tolist(),
                rows["missing"].tolist(),
                strict=True,
            )
        ]


def _merge(cells: _Cells, slot: int, cell: list[float]) -> None:
    known = cells.get(slot)
    if known is None:
        cells[slot] = list(cell)
    else:
        known[0] += cell[0]
        known[1] = min(known[1], cell[1])
        known[2] = max(known[2], cell[2])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
