"""Which keys depend on a source: because it gives much of what their baselines are made of.

For each key the heaviest sources are kept, by Misra and Gries's counters
("Finding repeated elements", Science of Computer Programming, 1982): with `COUNTERS` of them no
source is undercounted by more than 1 / (COUNTERS + 1) of the whole, however many there are. That is
for every sort of key; counts per source, kind and topic would miss the watched items.

Counted are documents that repeat no other. An author's second one within the hour counts here too:
a share changes little by it, and a document's voice may still be taken back.

Of companies, names and pairs, of which there may be any number, those that were spoken of most are
kept: the others have too few documents for a source to be missed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from monitor.aggregate.rhythm import HOUR
from monitor.events import Kind, Scored
from monitor.keys import WHOLE, is_capped, keys_for, keys_of
from monitor.store.base import KeyState

COUNTERS = 32
MOST = 2_000
"""Companies, names and pairs whose counts are kept."""
NAME = "sources"
"""Under which the counters lie among the detectors' states."""
_VERSION = "shares-1"
_CLOCK = "@hour"  # not a key of the aggregates
_FEWEST = 10.0  # decayed documents below which nothing depends on anybody


class Said(NamedTuple):
    """What a document counts for, and whose it is."""

    kind: Kind
    topic: int
    """Index into ``TOPICS``."""
    source: str
    keys: tuple[str, ...]
    """Those that it names, and its companies on its topic."""


class Dependence:
    """Decayed counts of documents, by key and source."""

    def __init__(self, share: float = 0.2, half_life: float = 7 * 86_400.0) -> None:
        """A key depends on the sources that gave it more than ``share``; ``half_life`` in seconds
        of event time."""
        self._share = share
        self._decay = 0.5 ** (HOUR / half_life)
        self._hour = 0
        self._totals: dict[str, float] = {}
        self._counts: dict[str, dict[str, float]] = {}
        self._dirty: set[str] = set()

    def count(self, batch: Iterable[Scored]) -> None:
        """Add the documents that are counted and repeat no other."""
        self.add(
            Said(
                s.document.kind,
                s.topic,
                s.document.source,
                keys_of(s)[WHOLE:] if s.mentions else (),
            )
            for s in batch
            if s.counted and s.copy_of is None and not s.document.history
        )

    def add(self, said: Iterable[Said]) -> None:
        """Add what so many documents said."""
        # First by all that the keys are made of: there are fewer of these than of documents.
        cells: Counter[tuple[Kind, int, str]] = Counter()
        added: Counter[tuple[str, str]] = Counter()
        for kind, topic, source, keys in said:
            cells[kind, topic, source] += 1
            for key in keys:
                added[key, source] += 1
        for (kind, topic, source), n in cells.items():
            for key in keys_for(kind, topic):
                added[key, source] += n
        for (key, source), n in sorted(added.items()):
            self._add(key, source, float(n))

    def close(self, start: int) -> None:
        """The bucket of event time that starts here (seconds since the epoch) is complete."""
        hour = start // HOUR
        passed = hour - self._hour if self._hour else 0
        if hour == self._hour or passed < 0:
            return
        self._hour = hour
        factor = self._decay**passed
        for key, counts in self._counts.items():
            self._totals[key] *= factor
            self._counts[key] = {source: n * factor for source, n in counts.items()}
        self._dirty.update(self._counts)
        capped = [key for key in self._counts if is_capped(key)]
        capped.sort(key=lambda key: (-self._totals[key], key))
        for key in capped[MOST:]:
            del self._counts[key], self._totals[key]

    @property
    def counted(self) -> Iterable[str]:
        """Every key that ever counted a document."""
        return self._counts

    def keys(self, source: str) -> Sequence[str]:
        """The keys that depend on this source, in order."""
        return sorted(
            key
            for key, counts in self._counts.items()
            if self._totals[key] >= _FEWEST
            and counts.get(source, 0.0) > self._share * self._totals[key]
        )

    def drain(self) -> list[KeyState]:
        """The states that changed since the last drain; empty ones are of keys to be forgotten."""
        if not self._dirty:
            return []
        states = [KeyState(NAME, key, _VERSION, self._state(key)) for key in sorted(self._dirty)]
        self._dirty.clear()
        return [*states, KeyState(NAME, _CLOCK, _VERSION, str(self._hour).encode())]

    def restore(self, states: Iterable[KeyState]) -> None:
        """Forget everything and go on from these; those of others are passed over."""
        self._totals.clear()
        self._counts.clear()
        self._dirty.clear()
        self._hour = 0
        for state in states:
            if state.detector != NAME or state.version != _VERSION:
                continue
            if state.key == _CLOCK:
                self._hour = int(state.state)
            else:
                self._totals[state.key], self._counts[state.key] = json.loads(state.state)

    def _state(self, key: str) -> bytes:
        counts = self._counts.get(key)
        return b"" if counts is None else json.dumps([self._totals[key], counts]).encode()

    def _add(self, key: str, source: str, n: float) -> None:
        counts = self._counts.setdefault(key, {})
        self._totals[key] = self._totals.get(key, 0.0) + n
        self._dirty.add(key)
        if source in counts:
            counts[source] += n
        elif len(counts) < COUNTERS:
            counts[source] = n
        else:
            paid = min(n, min(counts.values()))
            kept = {name: left for name, had in counts.items() if (left := had - paid) > 0}
            if n > paid:
                kept[source] = n - paid
            self._counts[key] = kept
