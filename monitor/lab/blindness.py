"""Keys whose sources were blind in the rerun: when they were is read from the stored alerts.

Who was blind was decided on the daemon's clock, by polls and contacts that nobody stored; so that
is taken as it was. What depended on them is counted anew, from the documents up to that moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from monitor.aggregate.dependence import Dependence, Said
from monitor.aggregate.rollup import bucket_start, named
from monitor.events import BUCKET_SECONDS
from monitor.keys import ALL, source_key, universe
from monitor.lab.history import Known, Spell

_NEVER = float("inf")


class Blindness:
    """The rerun's stand-in for `monitor.listening.Listening`."""

    def __init__(self, spells: Sequence[Spell], share: float) -> None:
        """``share``: see `Dependence`."""
        self._coming = sorted(spells, key=lambda spell: -spell.begin)
        self._dependence = Dependence(share)
        self._keys: dict[
            str, Collection[str]
        ] = {}  # that depend on a source that is, or was, blind
        self._ends: dict[str, int | None] = {}  # of those that are blind
        self._back: dict[str, float] = {}  # the first bucket in which one was heard again

    def begin(self, now: int) -> None:
        """Those that were found blind before ``now`` (event time, milliseconds)."""
        while self._coming and self._coming[-1].begin < now:
            spell = self._coming.pop()
            self._ends[spell.key] = spell.end
            self._back.pop(spell.key, None)
            source = spell.key.removeprefix(source_key(""))
            self._keys[spell.key] = (
                () if spell.key == ALL else frozenset(self._dependence.keys(source))
            )

    def hear(self, documents: Iterable[Known], now: int) -> None:
        """A poll's documents came at ``now``; ``heard.copy`` says what is known of each."""
        over = {key for key, end in self._ends.items() if end is not None and end <= now}
        said = []
        for known in documents:
            heard = known.heard
            start = bucket_start(heard.at)
            for key in over & {ALL, source_key(known.source)} if over else ():
                self._ends.pop(key, None)
                self._back[key] = min(start, self._back.get(key, _NEVER))
            if known.counted and not heard.copy:
                keys = tuple(view.key for view in named(heard)) if heard.views else ()
                said.append(Said(heard.kind, heard.topic, known.source, keys))
        for key in over & self._ends.keys():  # given up without having spoken
            del self._ends[key], self._keys[key]
        self._dependence.add(said)

    def keys(self, start: int) -> Collection[str]:
        """What is not heard in the bucket that starts here (seconds)."""
        if not self._keys:
            return ()
        blind = [k for k in self._keys if k in self._ends or self._back.get(k, 0) > start]
        if ALL in blind:
            return frozenset((*universe(), *self._dependence.counted))
        return frozenset(key for of in blind for key in self._keys[of])

    def close(self, start: int) -> None:
        """The bucket that starts here is complete."""
        self._dependence.close(start)
        for key in [k for k in self._keys if k not in self._ends]:
            if self._back.get(key, 0) <= start + BUCKET_SECONDS:
                del self._keys[key]
                self._back.pop(key, None)
