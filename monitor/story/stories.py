"""Stories in a stream: which documents are copies of one another, over a sliding window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from models.text import normalise
from monitor.events import Document
from monitor.story.base import Changes, Flip, Rename, Told, ToldRow
from monitor.story.fingerprint import WIDTH, Forms, Prints, packed, prints, unpacked
from monitor.story.index import MOST, Index, Keys, enough, keys_of
from monitor.story.likeness import LEAST, copies
from monitor.tuples import maker

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CHUNK = 1_024  # documents looked up together
_SWEEPS = 48  # of expired rows in one window
_ROOM = 16  # a full table loses this part of its rows, the oldest
_as_told, _as_row = maker(Told), maker(ToldRow)

_First = tuple[int, str]
"""A document's place in time: milliseconds and, between those of one moment, its id."""


@dataclass(frozen=True, slots=True)
class StoriesSettings:
    """What is remembered."""

    window: timedelta = timedelta(hours=72)
    """Two documents further apart in event time are never copies of one another."""
    lateness: timedelta = timedelta(hours=24)
    """Documents that come up to so far behind the newest are told as if they had come in order;
    rows are kept for ``window`` and this."""
    capacity: int = 1 << 18
    """Wordings remembered. With more in the window the oldest are forgotten early. About 0.7 KB of
    memory each, where they are in use."""

    def __post_init__(self) -> None:
        if self.window <= timedelta(0) or self.lateness < timedelta(0):
            raise ValueError("the window must be longer than nothing, the lateness not negative")
        if not _ROOM <= self.capacity <= MOST:
            raise ValueError(f"capacity {self.capacity:,}: between {_ROOM} and {MOST:,}")


class _Story:
    """A story of several wordings; one of a single wording needs none of this."""

    __slots__ = ("first", "newest", "number", "rows")

    def __init__(self, number: int, first: _First, row: int) -> None:
        self.number = number
        self.first = first
        self.newest = row  # lives as long as the story: its stored row has the story's first
        self.rows = {row}


class Stories:
    """Tells copies from own words, and the story that a document belongs to.

    Copies have the same words but for edits (`likeness.copies`), and are at most ``window`` apart.
    A story is a component of copies. Documents of exactly the same words are one row, whatever
    their number. Memory is bounded by ``capacity``; the cost of a document does not depend on how
    many have been told.

    The outcome does not depend on the order of arrival, as long as no document comes later than
    ``lateness`` and neither ``capacity`` nor the depth of the index (eight wordings to a turn of
    phrase) forgets a partner before.
    """

    def __init__(self, settings: StoriesSettings | None = None) -> None:
        self._settings = settings or StoriesSettings()
        self._window = self._settings.window // _MILLISECOND
        self._keep = self._window + self._settings.lateness // _MILLISECOND
        self._clear()

    def _clear(self) -> None:
        capacity = self._settings.capacity
        # The system gives pages to these as they are touched.
        self._words = np.zeros((capacity, WIDTH), np.uint16)
        self._sizes = np.zeros(capacity, np.intp)
        self._forms = np.zeros(capacity, np.uint64)
        self._numbers = np.zeros(capacity, np.int64)
        self._story = np.zeros(capacity, np.int64)
        self._first = np.zeros(capacity, np.int64)
        self._last = np.zeros(capacity, np.int64)
        self._live = np.zeros(capacity, bool)
        # The same memory by single rows: a fifth of the time that numpy takes for one number.
        self._number_of, self._story_of = self._numbers.data, self._story.data
        self._first_of, self._last_of = self._first.data, self._last.data
        self._ids: list[str] = [""] * capacity  # of the first documents
        self._origins: dict[int, _First] = {}
        self._stories: dict[int, _Story] = {}
        self._rows: dict[int, int] = {}  # by form
        self._free: list[int] = []
        self._used = 0  # rows ever in use: those behind have never been touched
        self._index = Index(capacity)
        self._next = 0
        self._newest: int | None = None
        self._horizon: int | None = None
        self._forgotten = False
        self._changed: set[int] = set()
        self._flips: dict[str, Flip] = {}
        self._renames: dict[str, str] = {}
        # What was told before the chunk in hand of what it touches: rows whose first document had
        # its own words, and stories, with a row of each.
        self._owned: dict[int, str] = {}
        self._called: dict[str, int] = {}
        self._start = 0  # number of the first row that the chunk in hand makes

    def __len__(self) -> int:
        """Wordings remembered."""
        return self._used - len(self._free)

    def tell(self, documents: Sequence[Document], texts: Sequence[str] | None = None) -> list[Told]:
        """What each document is, as of the end of the batch, in their order.

        ``texts`` are what `models.text.normalise` makes of their contents, where the caller has
        them. What the batch changes about earlier documents is in `changes`.
        """
        if texts is None:
            texts = [normalise(document.content) for document in documents]
        told: list[Told] = []
        size = min(_CHUNK, self._settings.capacity // _ROOM)
        for first in range(0, len(documents), size):
            told += self._tell(documents[first : first + size], texts[first : first + size])
        if self._flips and len(documents) > size:
            # A later part of the batch may have changed what an earlier part was told.
            told = [
                self._flips.pop(d.id).told if d.id in self._flips else t
                for d, t in zip(documents, told, strict=True)
            ]
        if self._renames and len(documents) > size:
            renamed = self._renames
            told = [
                t if t.story not in renamed else t._replace(story=self._name(t.story)) for t in told
            ]
        return told

    def changes(self) -> Changes:
        """What has changed about documents told before, since this was last asked."""
        changes = Changes(
            [
                f._replace(told=f.told._replace(story=self._name(f.told.story)))
                for f in self._flips.values()
            ],
            [Rename(old, self._name(old)) for old in self._renames],
        )
        self._flips, self._renames = {}, {}
        return changes

    def drain(self) -> tuple[list[ToldRow], datetime | None]:
        """Rows new or changed since the last drain, and the time before which all others are to be
        forgotten (by ``last_ms``; None: none).

        Forgetting comes first: a document that came too late to be kept may be among the rows.
        """
        rows = self._drained(np.fromiter(self._changed, np.intp, len(self._changed)))
        self._changed.clear()
        before = None
        if self._forgotten and self._horizon is not None:
            before = _EPOCH + self._horizon * _MILLISECOND
            self._forgotten = False
        return rows, before

    def restore(self, rows: Iterable[ToldRow]) -> None:
        """Go on from stored rows, as if there had been no end. Everything else is forgotten."""
        self._clear()
        stored = sorted(rows)[-self._settings.capacity :]
        for first in range(0, len(stored), _CHUNK):
            chunk = stored[first : first + _CHUNK]
            found = unpacked([row.words for row in chunk])
            numbers = np.arange(first, first + len(chunk))
            forms = found.forms()
            for row, form, kept in zip(numbers.tolist(), forms.tolist(), chunk, strict=True):
                self._numbers[row] = kept.number
                self._story[row] = kept.story
                self._first[row], self._last[row] = kept.first_ms, kept.last_ms
                self._ids[row] = kept.first_id
                if kept.origin_id is not None and kept.origin_ms is not None:
                    self._origins[row] = (kept.origin_ms, kept.origin_id)
                self._rows[form] = row
                self._next = max(self._next, kept.number + 1, kept.story + 1)
            self._enter(found, forms, keys_of(found), numbers)
        self._used = len(stored)
        if stored:
            self._newest = int(self._last[: self._used].max())
        members: dict[int, list[int]] = {}
        for row, kept in enumerate(stored):
            members.setdefault(kept.story, []).append(row)
        for number, of_story in members.items():
            named = min((stored[row].story_ms, stored[row].story_id) for row in of_story)
            if len(of_story) > 1 or named != self._earliest(of_story[0]):
                story = self._stories[number] = _Story(number, named, of_story[0])
                story.rows.update(of_story)
                story.newest = max(of_story, key=self._last.__getitem__)

    # ------------------------------------------------------------------ one chunk

    def _tell(self, documents: Sequence[Document], texts: Sequence[str]) -> list[Told]:
        found = prints(texts)
        forms = found.forms()
        times = [(d.published_at - _EPOCH) // _MILLISECOND for d in documents]
        self._make_room(len(documents))
        self._start = self._next
        self._owned, self._called = {}, {}
        rows: list[int] = []
        fresh: dict[int, int] = {}  # new row: its document
        again: dict[int, int] = {}  # row whose partners may be others now: a document of it
        short = (found.sizes < LEAST).tolist()
        first_of, last_of, window = self._first_of, self._last_of, self._window
        for i, (document, at, form) in enumerate(
            zip(documents, times, forms.tolist(), strict=True)
        ):
            if short[i]:
                rows.append(-1)
                continue
            row = self._rows.get(form)
            if row is None or not (first_of[row] - window <= at <= last_of[row] + window):
                row = self._new_row(form, at, document.id)
                fresh[row] = i
            elif self._extend(row, at, document.id):
                again[row] = i
            if self._newest is None or at > self._newest:
                self._newest = at
            rows.append(row)
        keys = keys_of(found)
        sources = np.fromiter(fresh.values(), np.intp, len(fresh))
        added = np.fromiter(fresh, np.intp, len(fresh))
        self._enter(found[sources], forms[sources], keys[sources], added)
        self._changed.update(fresh)
        again = {row: i for row, i in again.items() if row not in fresh}
        asked = np.concatenate([added, np.fromiter(again, np.intp, len(again))])
        asking = np.concatenate([sources, np.fromiter(again.values(), np.intp, len(again))])
        for left, right in self._edges(asked, keys[asking]):
            self._link(left, right)
        told = [
            _as_told((document.id, None))
            if row < 0 or self._is_alone(row, at, document.id)
            else self._told(row, (at, document.id))
            for document, at, row in zip(documents, times, rows, strict=True)
        ]
        self._note()
        self._sweep()
        return told

    def _new_row(self, form: int, at: int, identifier: str) -> int:
        """A row for words not seen within the window; `_enter` fills in the rest."""
        if self._free:
            row = self._free.pop()
        else:
            row = self._used
            self._used += 1
        self._rows[form] = row
        self._first_of[row] = self._last_of[row] = at
        self._ids[row] = identifier
        self._number_of[row] = self._story_of[row] = self._next
        self._next += 1
        return row

    def _extend(self, row: int, at: int, identifier: str) -> bool:
        """One more document of these words; whether others may be within its window now."""
        nearer = False
        if at > self._last_of[row]:
            nearer = self._newest is not None and self._newest > self._last_of[row] + self._window
            self._last_of[row] = at
            self._changed.add(row)
            story = self._stories.get(self._story_of[row])
            if story is not None and at >= self._last_of[story.newest]:
                story.newest = row
        if (at, identifier) < self._earliest(row):
            self._remember(row)
            nearer = True
            self._first_of[row], self._ids[row] = at, identifier
            if self._origins.get(row, (at, identifier)) >= (at, identifier):
                self._origins.pop(row, None)
            self._changed.add(row)
            story = self._stories.get(self._story_of[row])
            if story is not None and (at, identifier) < story.first:
                story.first = at, identifier
                self._changed.add(story.newest)
        return nearer

    def _enter(self, found: Prints, forms: Forms, keys: Keys, rows: npt.NDArray[np.intp]) -> None:
        self._words[rows] = found.words
        self._sizes[rows] = found.sizes
        self._forms[rows] = forms
        self._live[rows] = True
        self._index.add(keys, rows)

    def _edges(self, asked: npt.NDArray[np.intp], keys: Keys) -> list[tuple[int, int]]:
        """Pairs of rows that are copies, of the rows asked for and all others."""
        source, right, shared = self._index.near(keys)
        left = asked[source]
        apart = np.maximum(self._first[left], self._first[right]) - np.minimum(
            self._last[left], self._last[right]
        )
        keep = (left != right) & (apart <= self._window)
        keep &= enough(shared, self._sizes[left], self._sizes[right])
        left, right = left[keep], right[keep]
        pairs = np.sort(np.minimum(left, right) << 32 | np.maximum(left, right))
        pairs = pairs[np.diff(pairs, prepend=-1) != 0]
        left, right = pairs >> 32, pairs & 0xFFFFFFFF
        alike = copies(Prints(self._words, self._sizes), left, right)
        left, right = left[alike], right[alike]
        # By number: rows lie elsewhere after a restart.
        one, other = self._numbers[left], self._numbers[right]
        order = np.lexsort((np.maximum(one, other), np.minimum(one, other)))
        return list(zip(left[order].tolist(), right[order].tolist(), strict=True))

    # ------------------------------------------------------------------ rows and stories

    def _earliest(self, row: int) -> _First:
        return self._first_of[row], self._ids[row]

    def _link(self, left: int, right: int) -> None:
        """Two rows are copies of one another."""
        if self._earliest(right) < self._earliest(left):
            left, right = right, left
        self._remember(left)
        self._remember(right)
        if self._earliest(left) < self._origins.get(right, self._earliest(right)):
            self._origins[right] = self._earliest(left)
            self._changed.add(right)
        one, other = self._several(left), self._several(right)
        if one is other:
            return
        if len(one.rows) < len(other.rows):
            one, other = other, one
        for row in other.rows:
            self._story_of[row] = one.number
        self._changed |= other.rows
        one.rows |= other.rows
        if self._last_of[other.newest] > self._last_of[one.newest]:
            one.newest = other.newest
        del self._stories[other.number]
        first = min(one.first, other.first)
        one.first = first
        self._changed.add(one.newest)

    def _several(self, row: int) -> _Story:
        number = self._story_of[row]
        story = self._stories.get(number)
        if story is None:
            story = self._stories[number] = _Story(number, self._earliest(row), row)
        return story

    def _remember(self, row: int) -> None:
        """Note what was told of a row before this chunk, if anything was, before that changes."""
        if self._number_of[row] >= self._start:
            return
        if row not in self._origins:
            self._owned.setdefault(row, self._ids[row])
        story = self._stories.get(self._story_of[row])
        first = self._earliest(row) if story is None else story.first
        self._called.setdefault(first[1], row)

    def _note(self) -> None:
        """What this chunk has changed about earlier ones."""
        for row, document in self._owned.items():
            told = self._told(row, None)
            if told.copy_of is not None and told.copy_of != document:
                self._flips[document] = Flip(document, told)
        for old, row in self._called.items():
            new = self._told(row, None).story
            if new != old:
                self._renames[old] = new

    def _is_alone(self, row: int, at: int, identifier: str) -> bool:
        """Whether a document is the first of its words, and those are like no others: most are."""
        return (
            self._ids[row] == identifier
            and self._first_of[row] == at
            and self._story_of[row] not in self._stories
            and row not in self._origins
        )

    def _told(self, row: int, place: _First | None) -> Told:
        """What a document of this row is; None for ``place``: one that is not the row's first."""
        story = self._stories.get(self._story_of[row])
        earliest = self._earliest(row)
        first = earliest if story is None else story.first
        before = self._origins.get(row, earliest)
        return Told(first[1], before[1] if place is None or before < place else None)

    def _name(self, story: str) -> str:
        """The name of a story after all renames."""
        while (new := self._renames.get(story)) is not None:
            story = new
        return story

    def _drained(self, rows: npt.NDArray[np.intp]) -> list[ToldRow]:
        rows = rows[np.argsort(self._numbers[rows])]
        drained = []
        for row, words, number, first_ms, last_ms, story in zip(
            rows.tolist(),
            packed(self._words[rows], self._sizes[rows]),
            self._numbers[rows].tolist(),
            self._first[rows].tolist(),
            self._last[rows].tolist(),
            self._story[rows].tolist(),
            strict=True,
        ):
            first = first_ms, self._ids[row]
            several = self._stories.get(story)
            story_ms, story_id = first if several is None else several.first
            origin_ms, origin_id = self._origins.get(row, (None, None))
            drained.append(
                _as_row(
                    (
                        number,
                        words,
                        first[1],
                        first_ms,
                        last_ms,
                        origin_id,
                        origin_ms,
                        story,
                        story_id,
                        story_ms,
                    )
                )
            )
        return drained

    # ------------------------------------------------------------------ forgetting

    def _sweep(self) -> None:
        """Forget what the window has left behind, now and then."""
        if self._newest is None:
            return
        # Of the newest time alone, so that a restart finds the same.
        stride = max(1, self._window // _SWEEPS)
        horizon = (self._newest - self._keep) // stride * stride
        if self._horizon is None or horizon > self._horizon:
            self._forget(horizon)

    def _make_room(self, rows: int) -> None:
        """Forget the oldest where the table is full: a part of it, which costs little a row."""
        capacity = self._settings.capacity
        while capacity - len(self) < rows:
            lasts = self._last[np.flatnonzero(self._live)]
            place = min(len(lasts) - 1, capacity // _ROOM)
            # Rows of the very same moment go together.
            self._forget(int(np.partition(lasts, place)[place]) + 1)

    def _forget(self, horizon: int) -> None:
        self._horizon = horizon
        self._forgotten = True
        old = np.flatnonzero(self._live[: self._used] & (self._last[: self._used] < horizon))
        self._live[old] = False
        gone = Prints(self._words[old], self._sizes[old])
        self._index.remove(keys_of(gone), old)
        for row, form in zip(old.tolist(), self._forms[old].tolist(), strict=True):
            if self._rows.get(form) == row:
                del self._rows[form]
            self._ids[row] = ""
            self._origins.pop(row, None)
            self._changed.discard(row)
            number = self._story_of[row]
            story = self._stories.get(number)
            if story is not None:
                story.rows.discard(row)
                if not story.rows:
                    del self._stories[number]
            self._free.append(row)
