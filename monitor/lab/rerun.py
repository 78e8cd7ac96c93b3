"""Stored documents through the live code path: the same windows, detectors and life cycles.

Polls between which the watermark passes no whole minute of event time change nothing but sums, so
they are counted together: looks into open buckets are made once a minute, closings at every fifth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from monitor.aggregate.rollup import bucket_start
from monitor.counting import Counting, history_of
from monitor.detect.correction import Correction
from monitor.detect.gates import Exhibit
from monitor.detect.state import Context
from monitor.detect.watch import LOOK
from monitor.events import BUCKET_SECONDS, Alert, Heard, Partition
from monitor.lab.archive import Archive, Postings
from monitor.lab.blindness import Blindness
from monitor.lab.history import Known, Poll
from monitor.lab.ledger import Ledger
from monitor.lab.rewatch import Rewatch
from monitor.lab.rules import Rules
from monitor.ruling import make_watch, make_watermarks, make_window
from monitor.store.base import KeyState
from monitor.story.base import Flip

_MOST = 4_096  # documents counted at once
_MINUTES = BUCKET_SECONDS // LOOK
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
        self.ledger.note(alerts, _EPOCH + timedelta(seconds=until))

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
        partitions: Sequence[Partition],
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
        self._watermarks = make_watermarks(rules[0].aggregate)
        self._counting = Counting(make_window(rules[0].aggregate))
        self._taught = taught
        self._is_undated = undated
        self._blindness = blindness
        self._clock = event_clock
        self._behind = rules[0].aggregate.out_of_orderness
        self._rewatch = rewatch
        self._partitions = partitions
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
        return self._archive.exhibit(key, since, until, self._postings)

    def idle(self, at: int, until: int | None = None) -> None:
        """Nothing is read up to ``at`` (milliseconds of wall time): partitions may fall idle, by
        which buckets close, up to ``until`` (event time, seconds) at most."""
        now = at / 1000
        while self._at and self._idle_at < now:
            moment = self._watermarks.next_idle(self._at)
            if moment is None or moment + 0.001 >= now:
                self._idle_at = now if moment is None else moment
                self._due = moment is not None and moment <= now
                return
            self._at = moment + 0.001
            self._move(self._at, until)

    def take(
        self,
        poll: Poll,
        documents: Sequence[tuple[int, Known]],
        flips: Sequence[Flip],
    ) -> None:
        """A poll's documents, numbered as in the archive, as they are known now; ``flips`` are
        those of before that have turned out to repeat them."""
        at = poll.at / 1000
        if not self._at:
            self._watermarks.assign(dict.fromkeys(self._partitions), at)
            self._watermarks.reached_end(self._partitions)
        self._at = at
        if poll.model_version != self._version:
            self._count()
            if self._version:
                for trial in self.trials:
                    trial.follow_model(self._version, poll.model_version)
            self._version = poll.model_version
        self._appended = max(self._appended, poll.appended)
        if self._blindness is not None:
            self._blindness.begin(self._event_ms(at))
            self._blindness.hear([known for _, known in documents], self._event_ms(at))
        newest, old = self._hear(at, documents)
        for flip in flips:
            held = self._pending.get(flip.document)
            if held is None:
                self._flips.append(flip)
            else:
                self._pending[flip.document] = held._replace(copy=True)
        if old:
            past = history_of(old)
            for trial in self.trials:
                trial.watch.learn(past, self._counting.closed_until)
        # What is not as new as that moves no watermark past the next minute.
        if self._due or newest - self._behind >= (self._minute + 1) * LOOK:
            self._due = False
            self._move(at)
        if len(self._pending) > _MOST:
            self._count()

    def _hear(self, at: float, documents: Sequence[tuple[int, Known]]) -> tuple[float, list[Heard]]:
        """Put what counts into the pending documents; the newest event time, and what was known to
        be old."""
        old: list[Heard] = []
        newest: dict[Partition, float] = {}
        counting, postings, pending = self._counting, self._postings, self._pending
        for number, known in documents:
            heard = known.heard
            if self._rewatch is not None:
                heard = heard._replace(views=self._rewatch.views(known))
            for view in heard.views:
                postings.add(view.key, number)
            event_time = heard.at
            if event_time > newest.get(known.place, -1.0):
                newest[known.place] = event_time
            start = bucket_start(event_time)
            late = counting.is_late(start)
            if known.counted:
                if not late:
                    pending[heard.id] = heard
            elif start < counting.since(self._clock(_moment(at))) and heard.id in self._taught(
                start
            ):
                old.append(heard)
            elif not late:
                if self._is_undated(heard.id):
                    self.undated.add(heard.id)
                else:
                    pending[heard.id] = heard
        for place, event_time in newest.items():
            self._watermarks.observe(place, event_time, at)
        return max(newest.values()), old

    def _move(self, at: float, until: int | None = None) -> None:
        """Event time moves on, as of a moment of wall time."""
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
        self._count()
        now = _moment(at)
        if self._blindness is not None:
            self._blindness.begin(self._event_ms(at))
        context = Context(now, _moment(self._appended / 1000), self._version)
        self._look(watermark, context)
        for closed in self._counting.close(watermark):
            blind = self._blindness.keys(closed.start) if self._blindness is not None else ()
            if self._blindness is not None:
                self._blindness.close(closed.start)
            for trial in self.trials:
                changed = trial.watch.step(closed.start, closed.sums, context, blind)
                trial.note(changed, closed.start + BUCKET_SECONDS)
            self._look(watermark, context)
        if closes:
            self._counting.prune()

    def _look(self, watermark: float, context: Context) -> None:
        start = self._counting.closed_until
        if start is None:
            return
        blind = self._blindness.keys(start) if self._blindness is not None else ()
        for trial in self.trials:
            changed = trial.watch.look(start, watermark, self._counting.part, context, blind)
            trial.note(changed, int(watermark))

    def _count(self) -> None:
        if self._pending or self._flips:
            self._counting.add(list(self._pending.values()), self._flips)
            self._pending, self._flips = {}, []

    def _event_ms(self, at: float) -> int:
        return round(self._clock(_moment(at)).timestamp() * 1000)


def _moment(seconds: float) -> datetime:
    return _EPOCH + timedelta(milliseconds=round(seconds * 1000))
