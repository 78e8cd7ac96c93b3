"""Where an alert stands between the detector and people, in words. Pure."""

from __future__ import annotations

from enum import StrEnum

from monitor.events import Alert, AlertStatus
from monitor.keys import display_name, names_in


class Standing(StrEnum):
    """What a person is shown of an alert's life."""

    INSUFFICIENT = "insufficient evidence"
    """The statistic has crossed its threshold, and that alone: nobody is told."""
    FIRING = "firing"
    EXPECTED = "expected"
    """It fires while the calendar has an event: nobody is told."""
    UNDER = "shown under another"
    """It fires, and another alert tells of it."""
    RESOLVED = "resolved"


def standing(alert: Alert) -> Standing:
    """Where it stands."""
    if alert.status is AlertStatus.RESOLVED:
        return Standing.RESOLVED
    if alert.status is AlertStatus.PENDING:
        return Standing.INSUFFICIENT
    if alert.setting.expected:
        return Standing.EXPECTED
    return Standing.UNDER if alert.setting.under else Standing.FIRING


def not_sent(alert: Alert) -> str:
    """Why nobody is or was paged, in words; empty: they are."""
    setting = alert.setting
    if alert.fired_at is None:
        return f"{Standing.INSUFFICIENT}: {setting.insufficient or 'a gate was not passed'}"
    if setting.expected:
        return f"expected: {setting.expected}"
    return f"shown under {display_name(setting.under, names_in(alert))}" if setting.under else ""
