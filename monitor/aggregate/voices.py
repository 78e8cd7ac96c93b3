"""Which documents are independent voices: copies add nothing, an author speaks once an hour.

A document is a voice for a key unless it repeats an earlier document (`Heard.copy`), or its author
has spoken for this key before it within the same hour of event time. "Before" is by event time, and
by id where that is the same, never by arrival: in whatever order documents come, the counts end up
alike. One that comes in before another takes its place, and the other is taken back.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Iterable

from monitor.aggregate.rollup import Place, add, bucket_start, deltas, named, views_of
from monitor.events import Heard, Kind, Sums, View
from monitor.keys import is_named, keys_for
from monitor.story.base import Flip

HOUR = 3600

_Turn = tuple[float, str, View]  # event time, id, what was said for the key
_Turns = dict[str, list[_Turn]]


class Voices:
    """What has been heard of late: as far back as a bucket can still be corrected."""

    def __init__(self, is_late: Callable[[int], bool]) -> None:
        """``is_late(start)``: whether the bucket that starts there takes no more corrections."""
        self._is_late = is_late
        self._heard: dict[str, Heard] = {}
        self._by_bucket: dict[int, list[str]] = {}
        # By hour and author, copies left out: the only document, or by key all that was said, in
        # order. Most authors speak once.
        self._said: dict[int, dict[str, Heard | _Turns]] = {}
        # What was heard since the last count: documents, and whether each is a voice for all that
        # it counts for; and what else has changed by them.
        self._posts: list[tuple[Heard, bool]] = []
        self._changed: dict[Place, Sums] = {}

    def restore(self, recent: Iterable[Heard]) -> None:
        """Forget everything and go on from what the store has counted."""
        self._heard.clear()
        self._by_bucket.clear()
        self._said.clear()
        self._posts, self._changed = [], {}
        for heard in recent:
            self._remember(heard)
            self._speak(heard, {})

    def hear(self, batch: Iterable[Heard], flips: Iterable[Flip] = ()) -> None:
        """More documents, none of which may be late; ``flips``: documents of earlier batches that
        are copies now."""
        for flip in flips:
            self._silence(flip.document, self._changed)
        for heard in batch:
            self._remember(heard)
            self._posts.append((heard, self._speak(heard, self._changed)))

    def count(self, batch: Iterable[Heard] = (), flips: Iterable[Flip] = ()) -> dict[Place, Sums]:
        """Hear these, too: what has changed since the last count, by (key, bucket start)."""
        self.hear(batch, flips)
        sums = deltas(self._posts)
        for place, more in self._changed.items():
            if (of := sums.get(place)) is None:
                sums[place] = more
            else:
                of.add(more)
        self._posts, self._changed = [], {}
        return sums

    def part(self, keys: Collection[str], start: int, until: int) -> dict[str, Sums]:
        """What the voices of the bucket at ``start`` that spoke before ``until`` (seconds since the
        epoch) say for these keys."""
        wanted = frozenset(keys)
        whole: dict[tuple[Kind, int], list[str]] = {}  # those of a kind and a topic
        by_name = any(is_named(key) for key in wanted)
        sums: dict[Place, Sums] = {}
        for identifier in self._by_bucket.get(start, ()):
            heard = self._heard[identifier]
            if heard.copy or heard.at >= until:
                continue
            of = heard.kind, heard.topic
            if (mine := whole.get(of)) is None:
                mine = whole[of] = [key for key in keys_for(*of) if key in wanted]
            for key in mine:
                if self._speaks(heard, key):
                    add(sums, View(key, heard.sentiment, heard.score), start, 1)
            if by_name and heard.views:
                for view in named(heard):
                    if view.key in wanted and self._speaks(heard, view.key):
                        add(sums, view, start, 1)
        return {key: of_key for (key, _), of_key in sums.items()}

    def prune(self, horizon: int) -> None:
        """Forget what no bucket from ``horizon`` (seconds since the epoch) on can depend on."""
        for start in [s for s in self._by_bucket if s < horizon]:
            for identifier in self._by_bucket.pop(start):
                self._heard.pop(identifier, None)
        for hour in [h for h in self._said if h + HOUR <= horizon]:
            del self._said[hour]

    def is_voice(self, identifier: str, key: str) -> bool:
        """Whether a document that is remembered is a voice for a key that it counts for."""
        heard = self._heard[identifier]
        return not heard.copy and self._speaks(heard, key)

    @property
    def remembered(self) -> int:
        """Documents held in memory."""
        return len(self._heard)

    def _remember(self, heard: Heard) -> None:
        self._heard[heard.id] = heard
        self._by_bucket.setdefault(bucket_start(heard.at), []).append(heard.id)

    def _speaks(self, heard: Heard, key: str) -> bool:
        """Whether it is its author's first word for this key within the hour."""
        if heard.author is None:
            return True
        said = self._said.get(hour_of(heard.at), {}).get(heard.author)
        if isinstance(said, dict):
            turns = said.get(key, [])
            return bool(turns) and turns[0][1] == heard.id
        return said is not None and said.id == heard.id

    def _speak(self, heard: Heard, sums: dict[Place, Sums]) -> bool:
        """Whether it is a voice for all that it counts for; where it is for some, or takes the
        place of others, ``sums`` are told."""
        author = heard.author
        if author is None or heard.copy:
            return not heard.copy
        start = hour_of(heard.at)
        if (hour := self._said.get(start)) is None:
            hour = self._said[start] = {}
        if (said := hour.get(author)) is None:
            hour[author] = heard
            return True
        if not isinstance(said, dict):
            first = said
            said = hour[author] = {v.key: [(first.at, first.id, v)] for v in views_of(first)}
        for view in views_of(heard):
            turn = heard.at, heard.id, view
            if not (turns := said.get(view.key)):
                said[view.key] = [turn]
                add(sums, view, bucket_start(heard.at), 1)
                continue
            before = turns[0]
            insort(turns, turn)
            self._replace(before, turns[0], sums)
        return False

    def _silence(self, identifier: str, sums: dict[Place, Sums]) -> None:
        heard = self._heard.get(identifier)
        if heard is None or heard.copy:
            return
        self._heard[identifier] = heard._replace(copy=True)
        hour = self._said.get(hour_of(heard.at), {})
        said = hour.get(heard.author) if heard.author is not None else heard
        if isinstance(said, dict):
            for view in views_of(heard):
                turn, turns = (heard.at, heard.id, view), said.get(view.key, [])
                first = turns[0] if turns else None
                if turn in turns:
                    turns.remove(turn)
                self._replace(first, turns[0] if turns else None, sums)
        elif said is not None and said.id == identifier:
            if heard.author is not None:
                del hour[heard.author]
            for view in views_of(heard):
                self._replace((heard.at, heard.id, view), None, sums)

    def _replace(self, old: _Turn | None, new: _Turn | None, sums: dict[Place, Sums]) -> None:
        if old == new:
            return
        for turn, sign in ((old, -1), (new, 1)):
            if turn is not None and not self._is_late(start := bucket_start(turn[0])):
                add(sums, turn[2], start, sign)


def hour_of(event_time: float) -> int:
    """Start of the hour of an event time; both in seconds since the epoch."""
    return int(event_time // HOUR) * HOUR
