"""The life of an alert: pending → firing → resolved."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from monitor.detect.base import Reading, Recent
from monitor.detect.calendar import Calendar
from monitor.detect.correction import UNCORRECTED, Correction, Estimate, rate_bounds
from monitor.detect.gates import Exhibit, Gate, Gates, gate_for, lacks
from monitor.detect.hierarchy import arrange
from monitor.detect.hierarchy import context as explain
from monitor.events import BUCKET_SECONDS, About, Alert, AlertStatus, Setting, Severity, told_rates
from monitor.keys import display_name, is_company, is_pair

_NAMESPACE = uuid.UUID("6f0c8a52-1f0e-5d0b-9f55-6b3f5c0a4c11")
_HOUR = 3600

BLIND = "a source that it depends on does not speak"
CHANGED = "the model has just changed"
WITHIN_ERROR = "the corrected share may be as usual"


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """Gates and times, all in seconds of event time unless said otherwise."""

    gates: Gates = field(default_factory=Gates)
    min_firing: int = 900
    recovery: int = 1800
    """A key has recovered when it was normal for this long …"""
    recovery_documents: int = 20
    """… and over at least this many documents: in a sparse feed silence is not recovery."""
    recovery_voices: float = 3.0
    """… and, where their number is what rose, for as long as it takes to hear so many at the rate
    at which it fired: of three that were to be expected none comes in one case of twenty."""
    accept_after: int = 86_400
    """After so long a firing key's level is accepted as the new normal."""
    accept_pending: int = 3 * 86_400
    """So long after its rise began, an alarm whose evidence still does not suffice is accepted."""
    critical_excess: float = 100.0
    """evalue / threshold from which an alert is critical …"""
    critical_points: float = 0.1
    """… if the lower bound of the corrected share lies so far above its baseline …"""
    critical_factor: float = 3.0
    """… or there are so many times the usual voices."""
    evidence: int = 10
    """Documents kept as evidence."""
    cool_down: int = 86_400
    """For so long after a company's alert has ended, what fires of it on one topic is shown under
    it, and the reverse."""
    change_over: int = 3600
    """After a change of model nothing that depends on it pages for so long."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an alert carries about the pass in which it changed."""

    now: datetime
    """Wall time."""
    appended_at: datetime
    """Publication (wall time) of the newest record read."""
    model_version: str


ExhibitOf = Callable[[str, int, int, int], Exhibit]
"""(key, since, until, limit of the evidence); the times in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert at the moment at which it fires, and what it follows from."""

    alert: Alert
    reading: Reading
    exhibit: Exhibit
    gate: Gate
    """What the exhibit had to show."""


Seal = Callable[[Fired], str]
"""Keeps what an alert followed from; gives the SHA-256 of that, or nothing."""


def no_receipt(_fired: Fired) -> str:
    """Keeps nothing."""
    return ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beyond the readings of one detector."""

    recent: Callable[[str, int, int], Recent] = lambda _key, _since, _start: Recent(0, 0.0, 0.0)
    """`Detector.recent`."""
    calendar: Calendar = field(default_factory=Calendar)
    correction: Callable[[str, str], Correction] = lambda _key, _model: UNCORRECTED
    """Of the verdicts for a key by a version of the model."""
    seal: Seal = no_receipt


@dataclass(frozen=True, slots=True)
class Inhibited:
    """Keys of which nobody is paged in one bucket."""

    blind: Collection[str] = ()
    changed: Callable[[str], bool] = lambda _key: False

    def reason(self, key: str) -> str:
        """Why; empty: it may page. Who is not heard outranks whose judge has changed."""
        if key in self.blind:
            return BLIND
        return CHANGED if self.changed(key) else ""


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
        self._version = version
        self._exhibit = exhibit
        self._settings = settings or LifecycleSettings()
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
                draft = self._draft(reading, exhibit, end, context, current, inhibited)
                if draft.status is AlertStatus.FIRING or not early:
                    drafts[reading.key] = draft
                    seen[reading.key] = reading, exhibit
        fire = [key for key, draft in drafts.items() if draft.status is AlertStatus.FIRING]
        under: Mapping[str, str] = {}
        if fire:
            under = arrange(
                fire, self._shown(), self._recent_of(start), share=self._detector == "share"
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

    def _draft(
        self,
        reading: Reading,
        exhibit: Exhibit,
        end: int,
        context: Context,
        current: Alert | None,
        inhibited: Inhibited,
    ) -> Alert:
        s = self._settings
        setting = self._setting(reading, end, context, exhibit, inhibited)
        passed = not setting.insufficient
        if current is not None and not passed:
            # A pending one stays as it was first seen, but for what it lacks.
            if current.setting.insufficient == setting.insufficient:
                return current
            return replace(current, setting=setting, updated_at=context.now)
        about = exhibit.about() if passed else About()
        names = {subject.key: subject.name for subject in about.named}
        return Alert(
            id=current.id if current else self._alert_id(reading),
            key=reading.key,
            detector=self._detector,
            detector_version=self._version,
            status=AlertStatus.FIRING if passed else AlertStatus.PENDING,
            severity=severity(self._detector, reading, setting, s),
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
            summary=summarise(self._detector, reading, exhibit.stories, setting, names),
            model_version=context.model_version,
            appended_at=context.appended_at,
            updated_at=context.now,
            evidence=exhibit.evidence,
            posts=sum(exhibit.stories.values()),
            stories=len(exhibit.stories),
            largest_story=max(exhibit.stories.values(), default=0),
            setting=setting,
            waterfall=exhibit.waterfall if passed else None,
            about=about,
        )

    def _setting(
        self,
        reading: Reading,
        end: int,
        context: Context,
        exhibit: Exhibit,
        inhibited: Inhibited,
    ) -> Setting:
        lacking = inhibited.reason(reading.key) or lacks(reading, exhibit, self._settings.gates)
        share = self._detector == "share"
        corrected: Estimate | None = None
        baseline: float | None = None
        if share and reading.documents:
            correction = self._around.correction(reading.key, context.model_version)
            corrected = correction.estimate(reading.negative, reading.documents)
            baseline = correction.share(reading.baseline)
            lacking = lacking or (WITHIN_ERROR if corrected.low <= baseline else "")
        event = self._around.calendar.expected(reading.key, reading.since, end)
        start = (end - 1) // BUCKET_SECONDS * BUCKET_SECONDS
        return Setting(
            insufficient=lacking,
            expected=event.label if event and not lacking else "",
            explained=() if lacking else explain(reading.key, self._recent_of(start), share=share),
            corrected=corrected and (corrected.value, corrected.low, corrected.high),
            corrected_baseline=baseline,
            rate=None if share else rate_bounds(reading.documents, reading.value),
        )

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

    def _recent_of(self, start: int) -> Callable[[str], Recent]:
        since = start + BUCKET_SECONDS - _HOUR
        found: dict[str, Recent] = {}

        def recent(key: str) -> Recent:
            if key not in found:
                found[key] = self._around.recent(key, since, start)
            return found[key]

        return recent

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
        least = s.recovery_voices * _HOUR / max(alert.value, 1e-6) if volume else 0.0
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
            resolved_at=_time(start + BUCKET_SECONDS),
            updated_at=context.now,
        )

    def _alert_id(self, reading: Reading) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{reading.key}|{reading.since}|{self._version}"))


def _was_seen_by(alert: Alert, start: int) -> bool:
    """Whether the bucket at ``start`` ended after the alert had fired."""
    return alert.fired_at is not None and start + BUCKET_SECONDS > alert.fired_at.timestamp()


def severity(
    detector: str, reading: Reading, setting: Setting, settings: LifecycleSettings
) -> Severity:
    """Critical is what is beyond doubt and large: of a busy key a small shift is soon beyond doubt,
    and of a small one a large shift may be chance."""
    if reading.evalue < settings.critical_excess * reading.threshold:
        return Severity.WARNING
    if detector == "volume":
        large = reading.value >= settings.critical_factor * reading.baseline
    else:
        baseline, corrected = setting.corrected_baseline, setting.corrected
        large = (
            corrected is not None
            and baseline is not None
            and corrected[1] - baseline >= settings.critical_points
        )
    return Severity.CRITICAL if large else Severity.WARNING


def summarise(
    detector: str,
    reading: Reading,
    stories: Mapping[str, int],
    setting: Setting | None = None,
    names: Mapping[str, str] | None = None,
) -> str:
    """What moved, from what to what and within which bounds, in one sentence; and how many told it
    in how many words."""
    setting = setting or Setting()
    name = display_name(reading.key, names or {})
    voices = counted(reading.documents, stories)
    if detector == "volume":
        (usual, value, *rate), span = told_rates(
            reading.baseline, reading.value, *(setting.rate or ())
        )
        bounds = " ({:.1f} to {:.1f})".format(*rate) if rate else ""
        return (
            f"{name}: {value:.1f} voices {span}{bounds} where {usual:.1f} are "
            f"usual ({voices} since it rose, {reading.negative} negative)"
        )
    bounds = ""
    if setting.corrected is not None and setting.corrected_baseline is not None:
        _, low, high = setting.corrected
        bounds = f"; corrected {low:.0%} to {high:.0%}, usual {setting.corrected_baseline:.0%}"
    return (
        f"{name}: {reading.value:.0%} negative where {reading.baseline:.0%} is usual{bounds} "
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
