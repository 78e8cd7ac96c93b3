"""What an alert says of an alarm: its figures, how they are to be seen, and one sentence."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from monitor.detect.base import Reading
from monitor.detect.correction import Estimate, rate_bounds
from monitor.detect.gates import Exhibit, lacks
from monitor.detect.hierarchy import context as explain
from monitor.detect.surroundings import Context, Inhibited, LifecycleSettings, Surroundings
from monitor.events import BUCKET_SECONDS, About, Alert, AlertStatus, Setting, Severity, told_rates
from monitor.keys import display_name

WITHIN_ERROR = "the corrected share may be as usual"
_NAMESPACE = uuid.UUID("6f0c8a52-1f0e-5d0b-9f55-6b3f5c0a4c11")


class Drafter:
    """Of the alarms of one detector."""

    def __init__(
        self, detector: str, version: str, settings: LifecycleSettings, around: Surroundings
    ) -> None:
        self._detector = detector
        self._version = version
        self._settings = settings
        self._around = around

    def draft(
        self,
        reading: Reading,
        exhibit: Exhibit,
        end: int,
        context: Context,
        current: Alert | None,
        inhibited: Inhibited,
    ) -> Alert:
        """The alert of a key in alarm at ``end``: a new one, or what has become of ``current``,
        which is pending. It fires unless something is lacking."""
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
            severity=severity(self._detector, reading, setting, self._settings),
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
        recent = self._around.recent_of((end - 1) // BUCKET_SECONDS * BUCKET_SECONDS)
        return Setting(
            insufficient=lacking,
            expected=event.label if event and not lacking else "",
            explained=() if lacking else explain(reading.key, recent, share=share),
            corrected=corrected and (corrected.value, corrected.low, corrected.high),
            corrected_baseline=baseline,
            rate=None if share else rate_bounds(reading.documents, reading.value),
        )

    def _alert_id(self, reading: Reading) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{reading.key}|{reading.since}|{self._version}"))


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


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
