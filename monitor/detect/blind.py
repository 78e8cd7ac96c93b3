"""Alerts of sources that are blind: firing from the first moment, until they speak again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from monitor.detect.surroundings import Context
from monitor.events import Alert, AlertStatus, Evidence, Severity
from monitor.keys import ALL, display_name, source_key

NAME = "blind"
VERSION = "blind-1"
_NAMESPACE = uuid.UUID("0d1f9a3e-57a4-5b7c-8f52-2f1c6d0b7e55")
_MOST = 1e12


@dataclass(frozen=True, slots=True)
class Missed:
    """A source has turned blind."""

    source: str
    """Empty: the whole stream."""
    at: float
    """On the daemon's clock, seconds since the epoch."""
    last: float | None
    """Publication of its newest document."""
    expected: float
    """Documents expected since."""
    often: float
    """How often in a month such a silence is to be expected …"""
    allowed: float
    """… and below which figure it is an alarm; nought: it is not silence that makes it blind."""
    reason: str
    """Why, where it is not silence."""
    keys: Sequence[str]
    """What depends on it."""
    share: float
    """Its part of the stream."""


class BlindAlerts:
    """The alerts of the detector ``blind``, one at most for each source."""

    def __init__(self, latest: Callable[[str, float], Sequence[Evidence]]) -> None:
        """``latest(source, until)``: its newest documents up to that moment."""
        self._latest = latest
        self._active: dict[str, Alert] = {}

    @property
    def firing(self) -> int:
        """How many fire now."""
        return len(self._active)

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Go on from the store."""
        self._active = {a.key: a for a in alerts if a.detector == NAME}

    def turned_blind(self, missed: Missed, context: Context) -> Alert:
        """A new alert."""
        key = source_key(missed.source) if missed.source else ALL
        began = missed.at if missed.last is None else missed.last
        hours = max(missed.at - began, 1.0) / 3600
        silence = missed.allowed > 0
        alert = Alert(
            id=str(uuid.uuid5(_NAMESPACE, f"{key}|{began}|{missed.at}|{VERSION}")),
            key=key,
            detector=NAME,
            detector_version=VERSION,
            status=AlertStatus.FIRING,
            severity=Severity.CRITICAL if key == ALL or ALL in missed.keys else Severity.WARNING,
            started_at=_moment(began),
            fired_at=_moment(missed.at),
            resolved_at=None,
            value=0.0,
            baseline=missed.expected / hours,
            evalue=min(1 / max(missed.often, 1 / _MOST), _MOST) if silence else 1.0,
            threshold=1 / missed.allowed if silence else 1.0,
            documents=0,
            negative=0,
            window_start=_moment(began),
            window_end=_moment(missed.at),
            summary=summarise(missed),
            model_version=context.model_version,
            appended_at=context.appended_at,
            updated_at=context.now,
            evidence=tuple(self._latest(missed.source, began)),
        )
        self._active[key] = alert
        return alert

    def spoke(self, source: str, at: float, context: Context) -> Alert | None:
        """The end of the source's alert, if there is one."""
        alert = self._active.pop(source_key(source) if source else ALL, None)
        if alert is None:
            return None
        return replace(
            alert,
            status=AlertStatus.RESOLVED,
            resolved_at=max(_moment(at), alert.fired_at or alert.started_at),
            updated_at=context.now,
        )


def summarise(missed: Missed) -> str:
    """What is missing since when, in one sentence, and what depends on it."""
    name = display_name(source_key(missed.source)) if missed.source else "The whole stream"
    what = "is blind" if missed.source else "is silent"
    if missed.last is None:
        since = "it has never said anything"
    else:
        waited = missed.at - missed.last
        since = f"nothing since {_moment(missed.last):%Y-%m-%d %H:%M} UTC ({_waited(waited)})"
    if missed.reason:
        since = f"{missed.reason}; {since}"
    elif missed.last is not None:
        since += f", {missed.expected:.0f} documents were to be expected"
    if not missed.source:
        return f"{name} {what}: {since}"
    named = ", ".join(display_name(key) for key in missed.keys[:3])
    more = f" and {len(missed.keys) - 3} more" if len(missed.keys) > 3 else ""
    depend = f"; {named}{more} depend{'s' if len(missed.keys) == 1 else ''} on it" if named else ""
    return f"{name} {what}: {since} ({missed.share:.0%} of the stream{depend})"


def _waited(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 72 else f"{round(seconds / 86_400)} days"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
