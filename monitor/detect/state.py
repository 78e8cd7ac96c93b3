"""The life of an alert: pending → firing → resolved."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from monitor.detect.base import Reading
from monitor.events import BUCKET_SECONDS, Alert, AlertStatus, Evidence, Severity, Waterfall
from monitor.keys import display_name

_NAMESPACE = uuid.UUID("6f0c8a52-1f0e-5d0b-9f55-6b3f5c0a4c11")


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """Gates and times, all in seconds of event time unless said otherwise."""

    min_documents: int = 10
    """Documents in the window before anybody is paged."""
    min_sources: int = 3
    """Distinct sources among the evidence before anybody is paged."""
    min_firing: int = 900
    recovery: int = 1800
    """A key has recovered when it was normal for this long …"""
    recovery_documents: int = 20
    """… and over at least this many documents: in a sparse feed silence is not recovery."""
    accept_after: int = 86_400
    """After so long a firing key's level is accepted as the new normal."""
    critical_excess: float = 100.0
    """evalue / threshold from which an alert is critical."""
    evidence: int = 10
    """Documents kept as evidence."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an alert carries about the pass in which it changed."""

    now: datetime
    """Wall time."""
    appended_at: datetime
    """Publication (wall time) of the newest record read."""
    model_version: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What a window of a key holds."""

    evidence: tuple[Evidence, ...]
    """Its most negative documents, one of each story."""
    stories: Mapping[str, int]
    """How many documents tell each of its stories."""
    waterfall: Waterfall | None = None
    """Of the newest document of the evidence."""


ExhibitOf = Callable[[str, int, int, int], Exhibit]
"""(key, since, until, limit of the evidence); the times in seconds since the epoch."""

_Observation = tuple[int, float, float, int]  # bucket start, observed, upper, documents


class Lifecycle:
    """The active alerts of one detector, one at most for each key."""

    def __init__(
        self,
        detector: str,
        version: str,
        exhibit: ExhibitOf,
        settings: LifecycleSettings | None = None,
    ) -> None:
        self._detector = detector
        self._version = version
        self._exhibit = exhibit
        self._settings = settings or LifecycleSettings()
        self._active: dict[str, Alert] = {}
        self._observations: dict[str, list[_Observation]] = {}

    @property
    def firing(self) -> Collection[str]:
        """Keys whose baseline is frozen."""
        return {k for k, a in self._active.items() if a.status is AlertStatus.FIRING}

    @property
    def active(self) -> Mapping[str, Alert]:
        """Pending and firing alerts by key."""
        return self._active

    def restore(self, alerts: Iterable[Alert], observations: Iterable[tuple[str, bytes]]) -> None:
        """Go on from the store."""
        self._active = {a.key: a for a in alerts if a.detector == self._detector}
        self._observations = {
            key: [tuple(o) for o in json.loads(state)]
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
        blind: Collection[str] = (),
    ) -> tuple[list[Alert], list[str]]:
        """The alerts that the bucket at ``start`` changed, and the keys to accept as normal.

        What fires goes on firing while its key is ``blind``: not to hear is not to have recovered.
        """
        by_key = {r.key: r for r in readings}
        changed: list[Alert] = []
        accepted: list[str] = []
        for key, alert in list(self._active.items()):
            reading = by_key.get(key)
            if alert.status is AlertStatus.PENDING and not (reading and reading.alarm):
                changed.append(self._end(alert, start, context))
            elif key in blind:
                continue
            elif alert.status is AlertStatus.FIRING and reading is not None:
                change, accept = self._watch(alert, reading, start, context)
                changed += [change] if change else []
                accepted += [key] if accept else []
            elif alert.status is AlertStatus.FIRING and self._outlived(alert, start):
                # The detector does not know this key any more: nothing else would ever end it.
                changed.append(self._end(alert, start, context))
        for reading in readings:
            current = self._active.get(reading.key)
            if reading.alarm and (current is None or current.status is AlertStatus.PENDING):
                alert = self._raise(reading, start, context, current)
                if alert != current:
                    changed.append(alert)
        return changed, accepted

    def _raise(
        self, reading: Reading, start: int, context: Context, current: Alert | None
    ) -> Alert:
        s = self._settings
        end = start + BUCKET_SECONDS
        exhibit = self._exhibit(reading.key, reading.since, end, s.evidence)
        evidence = exhibit.evidence
        passed = (
            reading.documents >= s.min_documents
            and len({e.source for e in evidence}) >= s.min_sources
        )
        if current is not None and not passed:
            return current
        status = AlertStatus.FIRING if passed else AlertStatus.PENDING
        critical = reading.evalue >= s.critical_excess * reading.threshold
        alert = Alert(
            id=current.id if current else self._alert_id(reading),
            key=reading.key,
            detector=self._detector,
            detector_version=self._version,
            status=status,
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            started_at=_time(reading.since),
            fired_at=_time(end) if passed else None,
            resolved_at=None,
            value=reading.value,
            baseline=reading.baseline,
            evalue=reading.evalue,
            threshold=reading.threshold,
            documents=reading.documents,
            negative=reading.negative,
            window_start=_time(reading.since),
            window_end=_time(end),
            summary=summarise(self._detector, reading, exhibit.stories),
            model_version=context.model_version,
            appended_at=context.appended_at,
            updated_at=context.now,
            evidence=evidence,
            posts=sum(exhibit.stories.values()),
            stories=len(exhibit.stories),
            largest_story=max(exhibit.stories.values(), default=0),
            waterfall=exhibit.waterfall if passed else None,
        )
        self._active[reading.key] = alert
        self._observations[reading.key] = []
        return alert

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
        if _lasted(alert, end) >= s.min_firing and self._recovered(observations, end):
            return self._end(alert, start, context), False
        return None, False

    def _outlived(self, alert: Alert, start: int) -> bool:
        return _lasted(alert, start + BUCKET_SECONDS) >= self._settings.accept_after

    def _recovered(self, observations: list[_Observation], end: int) -> bool:
        """Whether the shortest run of last buckets that suffices was normal as a whole."""
        s = self._settings
        observed = upper = 0.0
        documents = 0
        for start, seen, limit, n in reversed(observations):
            observed += seen
            upper += limit
            documents += n
            long_enough = end - start >= s.recovery
            if long_enough and (documents >= s.recovery_documents or self._detector == "volume"):
                return observed <= upper
        return False

    def _end(self, alert: Alert, start: int, context: Context) -> Alert:
        del self._active[alert.key]
        self._observations.pop(alert.key, None)
        return replace(
            alert,
            status=AlertStatus.RESOLVED,
            resolved_at=_time(start + BUCKET_SECONDS),
            updated_at=context.now,
        )

    def _alert_id(self, reading: Reading) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{reading.key}|{reading.since}|{self._version}"))


def summarise(detector: str, reading: Reading, stories: Mapping[str, int]) -> str:
    """What moved, from what to what, in one sentence; and how many told it in how many words."""
    name = display_name(reading.key)
    voices = counted(reading.documents, stories)
    if detector == "volume":
        return (
            f"{name}: {reading.value:.1f} voices an hour where {reading.baseline:.1f} are usual "
            f"({voices} since it rose, {reading.negative} negative)"
        )
    return (
        f"{name}: {reading.value:.0%} negative where {reading.baseline:.0%} is usual "
        f"({reading.negative} negative; {voices} since it rose)"
    )


def counted(voices: int, stories: Mapping[str, int]) -> str:
    """Posts against voices, as a person would say it: "312 posts = 41 voices, 68 % one text"."""
    posts = sum(stories.values())
    if posts <= voices:
        return f"{voices} voices"
    share = max(stories.values()) / posts
    one = f", {share:.0%} one text" if share >= 0.1 and max(stories.values()) > 1 else ""
    return f"{posts} posts = {voices} voices{one}"


def _lasted(alert: Alert, end: int) -> int:
    """Seconds from when it fired to ``end``."""
    return end - int((alert.fired_at or alert.started_at).timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
