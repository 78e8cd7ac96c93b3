"""Every detector with the life cycle of its alerts: what the main loop steps once a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from monitor.detect.base import Detector
from monitor.detect.calendar import Calendar
from monitor.detect.correction import UNCORRECTED, Correction
from monitor.detect.lifecycle import Lifecycle
from monitor.detect.roster import NAME as ROSTER
from monitor.detect.roster import VERSION as ROSTER_VERSION
from monitor.detect.roster import Roster
from monitor.detect.surroundings import (
    Context,
    ExhibitOf,
    Inhibited,
    LifecycleSettings,
    Seal,
    Surroundings,
    no_receipt,
)
from monitor.detect.table import Spoken
from monitor.events import BUCKET_SECONDS, Alert, Bucket, Sums
from monitor.store.base import KeyState

LOOK = 60
"""Seconds of event time between two looks into the open bucket."""
_PROGRESS = "watch"  # name under which the rest is stored: which model judged, how far was looked
_PROGRESS_VERSION = "watch-2"
_KEY = "@progress"

PartOf = Callable[[Collection[str], int, int], Mapping[str, Sums]]
"""(keys, start of the open bucket, until): their sums over the documents before ``until``."""


class Watch:
    """The detectors, in a fixed order, and one `Lifecycle` for each."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        exhibit: ExhibitOf,
        settings: LifecycleSettings,
        seal: Seal = no_receipt,
        *,
        roster: Roster | None = None,
        calendar: Calendar | None = None,
        correction: Callable[[str, str], Correction] = lambda _key, _model: UNCORRECTED,
    ) -> None:
        self._settings = settings
        self._roster = roster or Roster()
        self._pairs = [
            (
                detector,
                Lifecycle(
                    detector.name,
                    detector.version,
                    exhibit,
                    settings,
                    Surroundings(detector.recent, calendar or Calendar(), correction, seal),
                ),
            )
            for detector in detectors
        ]
        self._model = ""  # that judged the last bucket
        self._changed_at: int | None = None  # bucket in which another took over
        self._looked = 0  # up to here into the open bucket
        self._stored = self._progress()

    @property
    def firing(self) -> int:
        """How many alerts fire now."""
        return sum(len(lifecycle.firing) for _, lifecycle in self._pairs)

    @property
    def looking(self) -> bool:
        """Whether a look into the open bucket could find anything, until the next step."""
        return any(set(d.hot).difference(lifecycle.firing) for d, lifecycle in self._pairs)

    def step(
        self,
        start: int,
        sums: Mapping[str, Sums],
        context: Context,
        blind: Collection[str] = (),
    ) -> Iterator[Alert]:
        """Update everything with the bucket that starts at ``start``; the alerts that changed.

        Nobody is paged of the keys in ``blind``, for which a source does not speak though it
        should, nor for a while of what another model has come to judge.
        """
        self._note_model(start, context)
        active = {key for _, lifecycle in self._pairs for key in lifecycle.active}
        spoken, gone = self._roster.admit(start, dict(sums), active)
        for detector, lifecycle in self._pairs:
            detector.forget(gone)
            readings = detector.step(start, spoken, lifecycle.firing, blind)
            inhibited = self._inhibited(start, detector, blind)
            changed, accepted = lifecycle.advance(start, readings, context, inhibited)
            for key in accepted:
                detector.accept(key)
            yield from changed

    def look(
        self,
        start: int,
        until: float,
        part_of: PartOf,
        context: Context,
        blind: Collection[str] = (),
    ) -> Iterator[Alert]:
        """Look into the open bucket at ``start``, minute by minute up to the watermark ``until``:
        what cannot be by chance any more need not wait for the bucket's end.

        Minutes of event time, not batches, so that a replay sees what was seen live.
        """
        last = min(int(until), start + BUCKET_SECONDS - LOOK)
        for end in range(max(start, self._looked) + LOOK, last + 1, LOOK):
            for detector, lifecycle in self._pairs:
                hot = sorted(set(detector.hot).difference(lifecycle.firing))
                if not hot:
                    continue
                spoken = Spoken.of(part_of(hot, start, end))
                readings = detector.look(start, spoken, lifecycle.firing)
                inhibited = self._inhibited(start, detector, blind)
                yield from lifecycle.look(start, end, readings, context, inhibited)
                self._looked = end

    def learn(self, history: Sequence[Bucket], closed_until: int | None) -> None:
        """Known history changes baselines and pages nobody; it ends where the stream begins."""
        past = self._roster.count(history)
        if past:
            now = max(b.start for b in past) if closed_until is None else closed_until
            for detector, _ in self._pairs:
                detector.learn(past, now)

    def drain(self, model_version: str) -> Iterator[KeyState]:
        """The states that changed since the last drain; empty ones are of keys to be forgotten."""
        for detector, lifecycle in self._pairs:
            version = _version(detector, model_version)
            drained = detector.drain()
            for key, state in drained:
                yield KeyState(detector.name, key, version, state)
            if drained:
                for key, state in lifecycle.dump():
                    yield KeyState(_lifecycle_name(detector), key, version, state)
        for key, state in self._roster.drain():
            yield KeyState(ROSTER, key, ROSTER_VERSION, state)
        progress = self._progress()
        if progress != self._stored:
            self._stored = progress
            yield KeyState(_PROGRESS, _KEY, _PROGRESS_VERSION, progress)

    def restore(
        self, states: Iterable[KeyState], alerts: Sequence[Alert], model_version: str
    ) -> None:
        """Go on from the store; states of another detector version are left out, and those of
        another model where they say nothing under this one."""
        by_name: dict[str, list[KeyState]] = {}
        for state in states:
            by_name.setdefault(state.detector, []).append(state)
        self._roster.restore(
            (s.key, s.state) for s in by_name.get(ROSTER, ()) if s.version == ROSTER_VERSION
        )
        cooling = self._restore_progress(by_name.get(_PROGRESS, ()))
        for detector, lifecycle in self._pairs:
            version = _version(detector, model_version)
            mine = by_name.get(detector.name, [])
            detector.restore(
                (s.key, s.state)
                for s in mine
                if s.version == version
                or (s.version.startswith(f"{detector.version}/") and detector.outlives_model(s.key))
            )
            observed = by_name.get(_lifecycle_name(detector), [])
            lifecycle.restore(
                alerts, ((s.key, s.state) for s in observed), cooling.get(detector.name, {})
            )
        self._stored = self._progress()

    def _restore_progress(self, states: Sequence[KeyState]) -> Mapping[str, Mapping[str, int]]:
        """What is stored beside the detectors; the cool-downs by detector."""
        self._model, self._changed_at, self._looked, cooling = "", None, 0, {}
        for state in states:
            if state.version == _PROGRESS_VERSION:
                self._model, self._changed_at, self._looked, cooling = json.loads(state.state)
        return cooling

    def _progress(self) -> bytes:
        cooling = {of.name: dict(lifecycle.cooling) for of, lifecycle in self._pairs}
        return json.dumps([self._model, self._changed_at, self._looked, cooling]).encode()

    def _note_model(self, start: int, context: Context) -> None:
        if self._model not in ("", context.model_version):
            self._changed_at = start
        self._model = context.model_version

    def _inhibited(self, start: int, detector: Detector, blind: Collection[str]) -> Inhibited:
        changed_at = self._changed_at
        if changed_at is None or start - changed_at >= self._settings.change_over:
            return Inhibited(blind)
        return Inhibited(blind, lambda key: not detector.outlives_model(key))


def _version(detector: Detector, model_version: str) -> str:
    """Baselines belong to a detector and to a model: another model is another baseline."""
    return f"{detector.version}/{model_version}"


def _lifecycle_name(detector: Detector) -> str:
    return f"{detector.name}/alerts"
