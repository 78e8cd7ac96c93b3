"""The life of an alert: pending → firing → resolved."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

from monitor.detect.base import Reading
from monitor.detect.draft import Drafter
from monitor.detect.gates import Exhibit, gate_for
from monitor.detect.hierarchy import arrange
from monitor.detect.surroundings import (
    HOUR,
    Context,
    ExhibitOf,
    Fired,
    Inhibited,
    LifecycleSettings,
    Surroundings,
)
from monitor.events import BUCKET_SECONDS, Alert, AlertStatus
from monitor.keys import is_company, is_pair

_Observation = tuple[int, float, float, int]  # bucket start, observed, upper, documents


class Lifecycle:
    """The active alerts of one detector, one at most for each key."""

    def __init__(
        self,
        detector: str,
        version: str,
        exhibit: ExhibitOf,
        settings: LifecycleSettings | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self._around = around or Surroundings()
        self._detector = detector
        self._exhibit = exhibit
        self._settings = settings or LifecycleSettings()
        self._drafter = Drafter(detector, version, self._settings, self._around)
        self._active: dict[str, Alert] = {}
        self._observations: dict[str, list[_Observation]] = {}
        self._cooling: dict[str, int] = {}

    @property
    def firing(self) -> Collection[str]:
        """Keys whose baseline is frozen."""
        return {k for k, a in self._active.items() if a.status is AlertStatus.FIRING}

    @property
    def active(self) -> Mapping[str, Alert]:
        """Pending and firing alerts by key."""
        return self._active

    @property
    def cooling(self) -> Mapping[str, int]:
        """Companies and pairs whose alerts were sent and have ended, and until when (seconds since
        the epoch) they cool down."""
        return self._cooling

    def restore(
        self,
        alerts: Iterable[Alert],
        observations: Iterable[tuple[str, bytes]],
        cooling: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Go on from the store.

        What fires within a bucket is stored before the states of that bucket are: until then those
        of an earlier alert of the key lie there, which are left out.
        """
        self._cooling = dict(cooling)
        self._active = {a.key: a for a in alerts if a.detector == self._detector}
        self._observations = {
            key: [(s, *o) for s, *o in json.loads(state) if _was_seen_by(self._active[key], s)]
            for key, state in observations
            if key in self._active
        }

    def dump(self) -> list[tuple[str, bytes]]:
        """(key, observations since it fired) of the active keys."""
        return [(key, json.dumps(self._observations.get(key, [])).encode()) for key in self._active]

    def advance(
        self,
        start: int,
        readings: Sequence[Reading],
        context: Context,
        inhibited: Inhibited | None = None,
    ) -> tuple[list[Alert], list[str]]:
        """The alerts that the bucket at ``start`` changed, and the keys to accept as normal.

        What fires goes on firing while its key is blind: not to hear is not to have recovered.
        """
        inhibited = inhibited or Inhibited()
        self._cooling = {key: until for key, until in self._cooling.items() if until > start}
        by_key = {r.key: r for r in readings}
        changed: list[Alert] = []
        accepted: list[str] = []
        for key, alert in list(self._active.items()):
            reading = by_key.get(key)
            if alert.status is AlertStatus.PENDING and not (reading and reading.alarm):
                changed.append(self._end(alert, start, context))
            elif key in inhibited.blind:
                continue
            elif alert.status is AlertStatus.FIRING and reading is not None:
                change, accept = self._watch(alert, reading, start, context)
                changed += [change] if change else []
                accepted += [key] if accept else []
            elif alert.status is AlertStatus.FIRING and self._outlived(alert, start):
                # The detector does not know this key any more: nothing else would ever end it.
                changed.append(self._end(alert, start, context))
        changed += self._unmute(start, context)
        end = start + BUCKET_SECONDS
        changed += self._raise(readings, start, end, context, inhibited)
        for key, alert in list(self._active.items()):
            if alert.status is AlertStatus.PENDING and self._was_never_enough(alert, end):
                changed.append(self._end(alert, start, context))
                accepted.append(key)
        return changed, accepted

    def look(
        self,
        start: int,
        end: int,
        readings: Sequence[Reading],
        context: Context,
        inhibited: Inhibited | None = None,
    ) -> list[Alert]:
        """The alerts that fire at ``end``, within the bucket at ``start``; the others wait for the
        whole of it."""
        return self._raise(readings, start, end, context, inhibited or Inhibited(), early=True)

    def _raise(
        self,
        readings: Sequence[Reading],
        start: int,
        end: int,
        context: Context,
        inhibited: Inhibited,
        early: bool = False,
    ) -> list[Alert]:
        """New and changed alerts of the keys in alarm, each in its place among the others."""
        drafts: dict[str, Alert] = {}
        seen: dict[str, tuple[Reading, Exhibit]] = {}
        for reading in readings:
            current = self._active.get(reading.key)
            if reading.alarm and (current is None or current.status is AlertStatus.PENDING):
                exhibit = self._exhibit(reading.key, reading.since, end, self._settings.evidence)
                draft = self._drafter.draft(reading, exhibit, end, context, current, inhibited)
                if draft.status is AlertStatus.FIRING or not early:
                    drafts[reading.key] = draft
                    seen[reading.key] = reading, exhibit
        fire = [key for key, draft in drafts.items() if draft.status is AlertStatus.FIRING]
        under: Mapping[str, str] = {}
        if fire:
            under = arrange(
                fire, self._shown(), self._around.recent_of(start), share=self._detector == "share"
            )
        changed = []
        for key, draft in drafts.items():
            if key in under:
                draft = replace(draft, setting=replace(draft.setting, under=under[key]))
            if draft == self._active.get(key):
                continue
            if draft.status is AlertStatus.FIRING:
                draft = replace(draft, receipt=self._sealed(draft, *seen[key]))
            self._active[key] = draft
            self._observations[key] = []
            changed.append(draft)
        return changed

    def _shown(self) -> list[str]:
        """What people were told of and what cools down, each in the order in which it came."""
        cooling = sorted((until, key) for key, until in self._cooling.items())
        sent = (alert for alert in self._active.values() if alert.sent)
        told = sorted((alert.fired_at or alert.started_at, alert.key) for alert in sent)
        return [key for _, key in cooling] + [key for _, key in told]

    def _sealed(self, alert: Alert, reading: Reading, exhibit: Exhibit) -> str:
        gate = gate_for(reading, self._settings.gates)
        return self._around.seal(Fired(alert, reading, exhibit, gate))

    def _unmute(self, start: int, context: Context) -> list[Alert]:
        """Those that go on firing after what kept them from being sent has ended."""
        changed = []
        for key, alert in self._active.items():
            if alert.status is not AlertStatus.FIRING or alert.sent:
                continue
            setting = alert.setting
            above = self._active.get(setting.under)
            over = above is None or above.status is not AlertStatus.FIRING
            if setting.under and over and setting.under not in self._cooling:
                setting = replace(setting, under="")
            if setting.expected:
                event = self._around.calendar.expected(key, start, start + BUCKET_SECONDS)
                setting = replace(setting, expected=event.label if event else "")
            if setting != alert.setting:
                self._active[key] = replace(alert, setting=setting, updated_at=context.now)
                changed.append(self._active[key])
        return changed

    def _watch(
        self, alert: Alert, reading: Reading, start: int, context: Context
    ) -> tuple[Alert | None, bool]:
        """Resolve a firing alert that has recovered, or that has outlived ``accept_after``."""
        s = self._settings
        end = start + BUCKET_SECONDS
        observations = self._observations.setdefault(alert.key, [])
        observations.append((start, reading.observed, reading.upper, reading.bucket_documents))
        if self._outlived(alert, start):
            return self._end(alert, start, context), True
        if _lasted(alert, end) >= s.min_firing and self._recovered(alert, observations, end):
            return self._end(alert, start, context), False
        return None, False

    def _was_never_enough(self, alert: Alert, end: int) -> bool:
        return end - int(alert.started_at.timestamp()) >= self._settings.accept_pending

    def _outlived(self, alert: Alert, start: int) -> bool:
        return _lasted(alert, start + BUCKET_SECONDS) >= self._settings.accept_after

    def _recovered(self, alert: Alert, observations: list[_Observation], end: int) -> bool:
        """Whether the shortest run of last buckets that suffices was normal as a whole."""
        s = self._settings
        volume = self._detector == "volume"
        # Who is spoken of twice an hour has not calmed down after half an hour of silence.
        least = s.recovery_voices * HOUR / max(alert.value, 1e-6) if volume else 0.0
        run = max(float(s.recovery), least)
        observed = upper = 0.0
        documents = 0
        for start, seen, limit, n in reversed(observations):
            observed += seen
            upper += limit
            documents += n
            if end - start >= run and (volume or documents >= s.recovery_documents):
                return observed <= upper
        return False

    def _end(self, alert: Alert, start: int, context: Context) -> Alert:
        del self._active[alert.key]
        if alert.sent and (is_company(alert.key) or is_pair(alert.key)):
            self._cooling[alert.key] = start + BUCKET_SECONDS + self._settings.cool_down
        self._observations.pop(alert.key, None)
        return replace(
            alert,
            status=AlertStatus.RESOLVED,
            resolved_at=datetime.fromtimestamp(start + BUCKET_SECONDS, UTC),
            updated_at=context.now,
        )


def _was_seen_by(alert: Alert, start: int) -> bool:
    """Whether the bucket at ``start`` ended after the alert had fired."""
    return alert.fired_at is not None and start + BUCKET_SECONDS > alert.fired_at.timestamp()


def _lasted(alert: Alert, end: int) -> int:
    """Seconds from when it fired to ``end``."""
    return end - int((alert.fired_at or alert.started_at).timestamp())
