"""Stored documents through the live code path: the same windows, detectors and life cycles.

Polls between which the watermark passes no whole minute of event time change nothing but sums, so
they are counted together: looks into open buckets are made once a minute, closings at every fifth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import numpy as np

from monitor.aggregate.rollup import bucket_start
from monitor.counting import Counting, history_of
from monitor.detect.correction import Correction
from monitor.detect.gates import Exhibit
from monitor.detect.surroundings import Context
from monitor.detect.watch import LOOK
from monitor.events import BUCKET_SECONDS, Alert, Heard, Partition
from monitor.lab.archive import Archive, Postings
from monitor.lab.backlog import Backlog
from monitor.lab.blindness import Blindness
from monitor.lab.history import Known, Page
from monitor.lab.ledger import Ledger
from monitor.lab.rewatch import Rewatch
from monitor.lab.rules import Rules
from monitor.ruling import make_watch, make_watermarks, make_window
from monitor.store.base import KeyState
from monitor.store.rows import moment
from monitor.story.base import Flip

_MOST = 4_096  # documents heard at once
_FOREVER = float(1 << 43)  # seconds
_MINUTES = BUCKET_SECONDS // LOOK

CorrectionOf = Callable[[str, str], Correction]
"""(key, version of the model)."""


class Trial:
    """One set of rules: its detectors with their life cycles, and what they came to."""

    def __init__(
        self,
        rules: Rules,
        exhibit: Callable[[str, int, int, int], Exhibit],
        correction: CorrectionOf,
    ) -> None:
        self.watch = make_watch(rules.detect, exhibit, correction)
        self.ledger = Ledger()
        self._states: dict[tuple[str, str], KeyState] = {}

    def note(self, alerts: Iterable[Alert], until: int) -> None:
        """Alerts that changed by ``until`` (event time, seconds)."""
        self.ledger.note(alerts, moment(until * 1000))

    def follow_model(self, before: str, after: str) -> None:
        """Another model judges: what of the states means the same goes on, as in a reload."""
        for state in self.watch.drain(before):
            if state.state:
                self._states[state.detector, state.key] = state
            else:
                self._states.pop((state.detector, state.key), None)
        states = [state for _, state in sorted(self._states.items())]
        self.watch.restore(states, self.ledger.live, after)


class Lane:
    """Trials that count alike: the same windows of event time and the same watched items."""

    def __init__(
        self,
        rules: Sequence[Rules],
        archive: Archive,
        correction: CorrectionOf,
        backlog: Backlog,
        taught: Callable[[int], frozenset[str]],
        event_clock: Callable[[datetime], datetime],
        *,
        blindness: Blindness | None = None,
        rewatch: Rewatch | None = None,
        undated: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        """``event_clock``: from the wall time of a poll to the daemon's clock of event times;
        ``taught``: `History.taught`; ``undated``: whether a document that was not counted, and is
        not late here, had none but an invented date. Without ``blindness`` nobody was ever blind.
        """
        self._archive = archive
        self._postings = Postings()
        self.come = 0
        """Documents that were gone through."""
        self._watermarks = make_watermarks(rules[0].aggregate)
        self._counting = Counting(make_window(rules[0].aggregate))
        self._taught = taught
        self._is_undated = undated
        self._blindness = blindness
        self._clock = event_clock
        self._behind = rules[0].aggregate.out_of_orderness
        self._rewatch = rewatch
        self._backlog = backlog
        self._pending: dict[str, Heard] = {}
        self._flips: list[Flip] = []
        self._minute = -1  # of event time that the watermark has passed
        self._idle_at = 0.0  # no partition falls idle before
        self._due = False  # one has fallen idle at this very moment
        self._at = 0.0  # seconds of wall time
        self._version = ""
        self._appended = 0
        self.undated: set[str] = set()
        """Documents, by id, that were left out though they had come in time."""
        self.trials = [Trial(r, self.exhibit, correction) for r in rules]

    @property
    def closed_until(self) -> int:
        """How far event time is complete, in seconds since the epoch; 0: nothing is."""
        return self._counting.closed_until or 0

    def exhibit(self, key: str, since: int, until: int, limit: int) -> Exhibit:  # noqa: ARG002
        """What is known now of a window of a key."""
        return self._archive.exhibit(key, since, until, self._postings, self.come)

    def finish(self, until: int | None) -> None:
        """Nothing more is ever read: partitions fall idle, by which buckets close, up to ``until``
        (event time, seconds) at most."""
        self._idle(_FOREVER, until)

    def take(
        self,
        page: Page,
        documents: Sequence[Known],
        flips: Sequence[tuple[int, Flip]],
        until: float,
    ) -> bool:
        """Go through polls, up to an event time (seconds since the epoch) that has become complete:
        whether they all were.

        ``documents`` and ``flips``: those of the page as the `Archive` has them, to which they
        were added last.
        """
        seen = documents if self._rewatch is None else self._rewatch.seen(documents)
        self._postings.add(self.come, seen)
        if not self._at:
            first = float(page.at[0])
            self._watermarks.assign(dict.fromkeys(self._backlog.partitions), first)
        course = _Course(page, documents, self._behind)
        turned = deque((number - self.come, flip) for number, flip in flips)
        begin = self.come
        poll = 0
        while poll < len(page.at):
            if self.closed_until >= until:
                return False
            self._idle(float(page.at[poll]))
            end = self._next_move(course, poll)
            if self._blindness is not None:  # it is told of each poll
                now = self._event_ms(float(page.at[poll]))
                self._blindness.begin(now)
                self._blindness.hear(documents[page.first[poll] : page.first[end]], now)
            self._hear(page, seen, poll, end)
            last = page.first[end]
            self.come = begin + last
            while turned and turned[0][0] < last:
                self._flip(turned.popleft()[1])
            poll = end
            # What is not as new as that moves no watermark past the next minute.
            if self._due or course.newest[end - 1] >= (self._minute + 1) * LOOK:
                self._due = False
                self._move(self._at)
            if len(self._pending) > _MOST:
                self._tell()
        return True

    def _idle(self, now: float, until: int | None = None) -> None:
        """Nothing is read up to ``now`` (wall time): partitions may fall idle. While something
        waits to be read no poll sees it but the one that reads on."""
        if not self._at or self._idle_at >= now:
            return
        last = min(now, self._backlog.since(self._at))
        while True:
            self._watermarks.reached_end(self._backlog.partitions)
            idle = self._watermarks.next_idle(self._at)
            if idle is None or idle + 0.001 >= last:
                self._idle_at = now if idle is None else idle
                self._due = idle is not None and idle <= now
                self._watermarks.reached_end(self._backlog.at_end(self._at))
                return
            self._at = idle + 0.001
            self._move(self._at, until)

    def _next_move(self, course: _Course, poll: int) -> int:
        """The polls from ``poll`` up to here move no watermark past the next minute, but for the
        last of them, which may."""
        at = course.page.at
        if self._due or self._blindness is not None:
            return poll + 1
        waiting = self._watermarks.holding((self._minute + 1) * LOOK, float(at[poll]))
        if not waiting:
            return poll + 1
        end = max(course.reach(partition, (self._minute + 1) * LOOK) for partition in waiting)
        idle = int(at.searchsorted(self._idle_at))  # who falls idle holds nothing back
        return max(min(end + 1, idle, course.same_model(poll)), poll + 1)

    def _hear(self, page: Page, documents: Sequence[Known], poll: int, end: int) -> None:
        """Put what counts into the pending documents."""
        version = page.model_version[poll]
        if version != self._version:
            self._tell()
            if self._version:
                for trial in self.trials:
                    trial.follow_model(self._version, version)
            self._version = version
        self._appended = max(self._appended, int(page.appended[poll:end].max()))
        pending, observe = self._pending, self._watermarks.observe
        open_since = self._counting.open_since
        for i, at in enumerate(page.at[poll:end].tolist(), poll):
            self._at = at
            old = []
            for known in documents[page.first[i] : page.first[i + 1]]:
                heard = known.heard
                observe(known.place, heard.at, at)
                if known.counted and heard.at >= open_since:
                    pending[heard.id] = heard
                elif not known.counted and self._is_old(heard, at):
                    old.append(heard)
            if old:
                past = history_of(old)
                for trial in self.trials:
                    trial.watch.learn(past, self._counting.closed_until)

    def _is_old(self, heard: Heard, at: float) -> bool:
        """Whether a document that was not counted was known to be old; one that had no date is
        noted, and any other one counts here."""
        start = bucket_start(heard.at)
        if start < self._counting.since(self._clock(_moment(at))) and heard.id in self._taught(
            start
        ):
            return True
        if not self._counting.is_late(start):
            if self._is_undated(heard.id):
                self.undated.add(heard.id)
            else:
                self._pending[heard.id] = heard
        return False

    def _flip(self, flip: Flip) -> None:
        """A document has turned out to be a copy."""
        held = self._pending.get(flip.document)
        if held is None:
            self._flips.append(flip)
        else:
            self._pending[flip.document] = held._replace(copy=True)

    def _move(self, at: float, until: int | None = None) -> None:
        """Event time moves on, as of a moment of wall time."""
        self._watermarks.reached_end(self._backlog.at_end(at))
        watermark = self._watermarks.current(at)
        if watermark is None:
            return
        if until is not None:
            watermark = min(watermark, until)
        minute = int(watermark // LOOK)
        if minute <= self._minute:
            return
        closes = minute // _MINUTES > self._minute // _MINUTES
        self._minute = minute
        if not closes and not any(trial.watch.looking for trial in self.trials):
            return
        self._tell()
        now = _moment(at)
        if self._blindness is not None:
            self._blindness.begin(self._event_ms(at))
        context = Context(now, moment(self._appended), self._version)
        self._look(watermark, context)
        if not closes:
            return
        self._counting.add()
        for closed in self._counting.close(watermark):
            blind = self._blindness.keys(closed.start) if self._blindness is not None else ()
            if self._blindness is not None:
                self._blindness.close(closed.start)
            for trial in self.trials:
                changed = trial.watch.step(closed.start, closed.sums, context, blind)
                trial.note(changed, closed.start + BUCKET_SECONDS)
            self._look(watermark, context)
        self._counting.prune()

    def _look(self, watermark: float, context: Context) -> None:
        start = self._counting.closed_until
        if start is None:
            return
        blind = self._blindness.keys(start) if self._blindness is not None else ()
        for trial in self.trials:
            changed = trial.watch.look(start, watermark, self._counting.part, context, blind)
            trial.note(changed, int(watermark))

    def _tell(self) -> None:
        """What is pending is heard."""
        if self._pending or self._flips:
            self._counting.hear(self._pending.values(), self._flips)
            self._pending, self._flips = {}, []

    def _event_ms(self, at: float) -> int:
        return round(self._clock(_moment(at)).timestamp() * 1000)


class _Course:
    """How the event time of a page goes on, by its polls."""

    def __init__(self, page: Page, documents: Sequence[Known], behind: float) -> None:
        """``behind``: seconds by which watermarks follow."""
        self.page = page
        times = np.array([known.heard.at for known in documents]) - behind
        self.newest = np.maximum.reduceat(times, page.first[:-1]).tolist()
        """What each would make of the watermark of its partition, seconds since the epoch."""
        poll_of = np.repeat(np.arange(len(page.at)), np.diff(page.first))
        places: dict[Partition, list[int]] = {}
        for i, known in enumerate(documents):
            places.setdefault(known.place, []).append(i)
        self._reached = {
            place: (np.maximum.accumulate(times[of]), poll_of[of]) for place, of in places.items()
        }
        versions = page.model_version
        self._changes = [i for i in range(1, len(versions)) if versions[i] != versions[i - 1]]

    def reach(self, partition: Partition, time: float) -> int:
        """The first poll that moves the watermark of a partition to ``time``; if none does, how
        many there are."""
        if partition not in self._reached:
            return len(self.page.at)
        times, polls = self._reached[partition]
        i = int(times.searchsorted(time))
        return int(polls[i]) if i < len(polls) else len(self.page.at)

    def same_model(self, poll: int) -> int:
        """The polls from ``poll`` up to here were judged by one model."""
        return next((i for i in self._changes if i > poll), len(self.page.at))


def _moment(seconds: float) -> datetime:
    return moment(round(seconds * 1000))
