"""Quiet or blind: which sources speak, and which should have spoken and did not.

What a source says is learned from closed buckets of event time, as the detectors do: its rate for
each hour of the week (`rhythm`) and how long it is silent (`silence`). Whether it is silent now is
judged on the daemon's clock: the watermark stands still when everybody is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.aggregate.rhythm import DAY_HOURS, HOUR, WEEK_HOURS, hour_of_week
from monitor.aggregate.roster import STATES, Cells, Roster
from monitor.aggregate.silence import a_month, censor, record
from monitor.events import BUCKET_SECONDS, Document, SourceState
from monitor.heartbeat import Contact
from monitor.store.base import RhythmRow, SourceRow

UNKNOWN_END = "Kafka does not say where its log ends"

_HOUR_BUCKETS = HOUR // BUCKET_SECONDS
_NEW, _SPEAKING, _QUIET, _BLIND = map(STATES.index, SourceState)
_WARM_HOURS = 24.0  # until the rates mean something, silences are not learned from
_FEWEST = 10.0  # decayed documents below which a source is not known
_CONTACT_LASTS = 4.0  # silences of the least length that may be blind


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
        self._roster = Roster(self._settings.limit)
        self._restored = False  # and not judged since

    # ------------------------------------------------------------------ documents

    def hear(self, documents: Iterable[Document], now: float | None) -> list[Turn]:
        """A batch was read; ``now``: the daemon's clock if nothing more waits in the log, so that
        what it brought has just been said. The sources that were blind and are not any more."""
        heard: dict[int, float] = {}
        blind = set(np.flatnonzero(self._roster.rows["state"] == _BLIND).tolist())
        back: dict[int, int] = {}  # bucket in which one that was blind speaks again
        closed = int(self._roster.rows["closed"][0])
        places, kinds, open_ = self._roster.slots, self._roster.kinds, self._roster.open
        for document in documents:
            if document.history or document.undated:
                continue
            at = document.published_at.timestamp()
            slot = places.get(document.source)
            if slot is None:
                slot = self._roster.admit(document.source, at)
            kinds[slot] = document.kind
            if at > heard.get(slot, -1.0):
                heard[slot] = at
            start = int(at // BUCKET_SECONDS) * BUCKET_SECONDS
            if blind:
                for again in blind & {0, slot}:
                    back[again] = min(start, back.get(again, start))
            if start < closed:
                continue
            cells = open_.get(start)
            if cells is None:
                cells = open_[start] = {}
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
        if self._roster.rows["since"][0] == 0:
            self._roster.rows["since"][0] = heard[0]
        slots = np.fromiter(heard, np.int64, len(heard))
        at_last = np.fromiter(heard.values(), np.float64, len(heard))
        rows = self._roster.rows
        rows["last"][slots] = np.fmax(rows["last"][slots], at_last)
        alive = at_last if now is None else np.maximum(at_last, now)
        rows["alive"][slots] = np.fmax(rows["alive"][slots], alive)
        rows["first"][slots] = np.fmin(rows["first"][slots], at_last)
        self._roster.dirty.update(slots.tolist())
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
        stream = self._roster.rows[0]
        self._fold(start // HOUR)
        self._roster.crowded = False
        cells: Cells = {}
        for passed in sorted(s for s in self._roster.open if s <= start):
            for slot, cell in self._roster.open.pop(passed).items():
                _merge(cells, slot, cell)
        if cells:
            for cell in list(cells.values()):
                _merge(cells, 0, cell)
        stream["closed"] = start + BUCKET_SECONDS
        n, first, last = self._columns(cells, start)
        rows, learning = self._roster.rows, self._roster.active & ~self._unheard(start)
        expected = self._roster.expectation.hourly[:, hour_of_week(start)] / _HOUR_BUCKETS
        spoke = (n > 0) & learning
        known = spoke & (rows["counts"][:, 0] > 0) & (self._roster.hours.sum(axis=1) >= _WARM_HOURS)
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
        self._roster.dirty.update(np.flatnonzero(self._roster.active).tolist())
        for slot in [s for s in self._roster.keys if rows["state"][s] != _BLIND]:
            if rows["back"][slot] <= start + BUCKET_SECONDS:
                del self._roster.keys[slot]

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
        for name, contact in contacts.items():
            if name not in self._roster.slots and contact.failures >= self._settings.failures:
                self._roster.admit(name, now)
        stream = self._roster.rows[0]
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
        missing = self._missing(now)
        self._roster.rows["missing"] = missing
        hours = self._roster.hours.sum(axis=1)
        often = a_month(self._roster.rows["counts"], self._roster.rows["excess"], hours, missing)
        doubtful = self._doubtful(now, behind, often)
        for name, contact in contacts.items():
            if self._answered(contact, now) and name in self._roster.slots:
                doubtful[self._roster.slots[name]] = False
        turns = self._judge_stream(now, behind, often, doubtful)
        if stream["state"] == _BLIND:
            doubtful[:] = False  # that has been told, once for all of them
        turns += self._judge_each(now, behind, often, doubtful, contacts, depends)
        return turns + self._forget(now)

    def blind_keys(self, start: int) -> frozenset[str]:
        """What depends on a source that was blind in the bucket that starts here."""
        if not self._roster.keys:
            return frozenset()
        unheard = self._unheard(start)
        return frozenset(
            key for slot, keys in self._roster.keys.items() if unheard[slot] for key in keys
        )

    def deaf(self, start: int) -> bool:
        """Whether the whole stream was silent in the bucket that starts here."""
        return bool(self._roster.rows["state"][0] == _BLIND or self._roster.rows["back"][0] > start)

    @property
    def judged(self) -> float:
        """When the last judgement was made: seconds since the epoch; 0: never."""
        return float(self._roster.rows["judged"][0])

    def dependents(self, name: str) -> tuple[str, ...]:
        """The keys that depend on a source, while it is blind."""
        return self._roster.keys.get(self._roster.slots.get(name, 0), ())

    def share_of_stream(self, name: str) -> float:
        """Which part of the documents expected in a week are this source's."""
        weekly = self._roster.expectation.hourly.sum(axis=1)
        slot = self._roster.slots.get(name, 0)
        return float(weekly[slot] / weekly[0]) if weekly[0] > 0 else 0.0

    # ------------------------------------------------------------------ rows

    def drain(self, everything: bool = False) -> tuple[list[SourceRow], list[RhythmRow], list[str]]:
        """What changed since the last drain: rows, rhythms, and the names that are gone.

        ``everything``: all rows, so that what they tell of the present is fresh.
        """
        return self._roster.drain(everything)

    def rows(self) -> list[SourceRow]:
        """All of them, by name."""
        return self._roster.every()

    def restore(self, rows: Iterable[SourceRow], rhythms: Iterable[RhythmRow]) -> None:
        """Forget everything and go on from these."""
        self._roster.restore(rows, rhythms)
        self._restored = bool(self._roster.rows["judged"][0] > 0)

    # ------------------------------------------------------------------ inside

    def _columns(self, cells: Cells, start: int) -> tuple[NDArray[np.int64], ...]:
        size = len(self._roster.rows)
        n = np.zeros(size, np.int64)
        first = np.full(size, float(start))
        last = np.full(size, float(start))
        for slot, (count, begin, end) in cells.items():
            n[slot], first[slot], last[slot] = count, begin, end
        return n, first, last

    def _fold(self, hour: int) -> None:
        """Put the hour that has ended into the rhythms."""
        roster, rows = self._roster, self._roster.rows
        stream = rows[0]
        if stream["closed"] == 0:
            stream["hour"] = hour
        passed = hour - int(stream["hour"])
        if passed <= 0:
            return
        learning = roster.active & (rows["hour_buckets"] > 0)
        cell = int(stream["hour"]) % WEEK_HOURS
        roster.documents[learning] *= np.float32(self._decay)
        roster.hours[learning] *= np.float32(self._decay)
        roster.documents[learning, cell] += rows["hour_n"][learning].astype(np.float32)
        watched = rows["hour_buckets"][learning] / _HOUR_BUCKETS
        roster.hours[learning, cell] += watched.astype(np.float32)
        for name in ("counts", "excess"):
            rows[name][learning] *= self._decay
        rows["hour_n"] = rows["hour_buckets"] = 0.0
        recent = rows["recent"]
        kept = max(DAY_HOURS + 1 - passed, 0)
        recent[:, :kept] = recent[:, DAY_HOURS + 1 - kept :].copy()
        recent[:, kept:] = 0
        stream["hour"] = hour
        roster.changed.update(np.flatnonzero(learning).tolist())
        roster.expect()

    def _unheard(self, start: int) -> NDArray[np.bool_]:
        """Who was blind in the bucket that starts here, [slots]."""
        rows = self._roster.rows
        found: NDArray[np.bool_] = (rows["state"] == _BLIND) | (rows["back"] > start)
        return found | self.deaf(start)

    def _missing(self, now: float) -> NDArray[np.float64]:
        """Documents expected of each source since it was last known to live, [slots]."""
        since = np.fmax(self._roster.rows["alive"], self._roster.rows["heard"][0])
        return self._roster.expectation.between(np.fmin(since, now), now)

    def _silence(self, now: float) -> NDArray[np.float64]:
        """Seconds since each source was last known to live, [slots]."""
        found: NDArray[np.float64] = now - np.fmax(
            self._roster.rows["alive"], self._roster.rows["heard"][0]
        )
        return found

    def _doubtful(
        self, now: float, behind: int | None, often: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Whose silence is too rare to be one of its own, [slots]."""
        if behind != 0 or now < self._roster.rows["pause"][0]:
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
        rows = self._roster.rows
        age = rows["judged"][0] - rows["first"]
        known: NDArray[np.bool_] = (
            self._roster.active
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
        s, stream = self._settings, self._roster.rows[0]
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
        s, rows = self._settings, self._roster.rows
        allowed, established = self._allowed(), self._established()
        speaking = self._silence(now) < s.minimum_silence
        if behind != 0:  # what waits in the log may be theirs
            speaking |= rows["state"] == _SPEAKING
        calm = np.where(established, np.where(speaking, _SPEAKING, _QUIET), _NEW)
        blind = rows["state"] == _BLIND
        wanted = np.where(blind | doubtful, _BLIND, calm)
        turns: list[Turn] = []
        asked = {
            self._roster.slots[name]: c
            for name, c in contacts.items()
            if name in self._roster.slots
        }
        for slot in sorted(asked):
            contact = asked[slot]
            failing = contact.failures >= s.failures
            if failing:
                wanted[slot] = _BLIND
                if not blind[slot]:
                    rows["failed"][slot] = True
                    self._roster.reasons[slot] = (
                        f"the last {contact.failures} attempts to reach it failed: {contact.reason}"
                    )
            elif self._answered(contact, now) and wanted[slot] == _BLIND:
                wanted[slot] = calm[slot]
        for slot in np.flatnonzero(self._roster.active & (wanted != rows["state"])).tolist():
            if slot == 0:
                continue
            if wanted[slot] == _BLIND:
                self._roster.keys[slot] = tuple(depends(self._roster.names[slot]))
                if not rows["failed"][slot]:
                    censor(rows["excess"][slot], float(rows["missing"][slot]))
            turns.append(
                self._turn(slot, int(wanted[slot]), now, float(often[slot]), allowed,
                           self._roster.reasons.get(slot, ""))
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
        rows = self._roster.rows
        was = int(rows["state"][slot])
        rows["state"][slot], rows["since"][slot] = state, now
        if state == _BLIND:
            if reason:
                self._roster.reasons[slot] = reason
        else:
            rows["failed"][slot] = False
            self._roster.reasons.pop(slot, None)
        if was == _BLIND:
            rows["silent"][slot] = 0.0
        self._roster.dirty.add(slot)
        last = float(rows["last"][slot])
        return Turn(
            self._roster.names[slot],
            STATES[state],
            STATES[was],
            now,
            None if np.isnan(last) else last,
            float(rows["missing"][slot]),
            often,
            allowed,
            reason,
        )

    def _forget(self, now: float) -> list[Turn]:
        """Give up those that are blind, or new and silent, for too long."""
        rows, turns = self._roster.rows, list[Turn]()
        oldest = now - self._settings.forget
        heard = np.where(rows["state"] == _NEW, np.fmax(rows["last"], rows["since"]), np.inf)
        since = np.where(rows["state"] == _BLIND, rows["since"], heard)
        late = set(np.flatnonzero(self._roster.active & (since < oldest)).tolist()) - {0}
        for name in sorted(name for name, slot in self._roster.slots.items() if slot in late):
            turns.append(self._turn(self._roster.slots[name], _NEW, now)._replace(gone=True))
            self._roster.drop(name)
        return turns


def _merge(cells: Cells, slot: int, cell: list[float]) -> None:
    known = cells.get(slot)
    if known is None:
        cells[slot] = list(cell)
    else:
        known[0] += cell[0]
        known[1] = min(known[1], cell[1])
        known[2] = max(known[2], cell[2])
