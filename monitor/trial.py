"""``monitor notify-test``: send one receiver a test alert and say what it answered."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta

from rich.console import Console

from monitor.alert.base import Notice, Receiver
from monitor.config import Settings
from monitor.errors import ConfigError, DeliveryError
from monitor.events import Alert, AlertStatus, Evidence, Severity
from monitor.notifying import make_receiver
from monitor.store.base import Notification

_KEY = "topic:Test"


def run_trial(settings: Settings, name: str, console: Console, now: datetime) -> int:
    """Print a line for each message; 0 when all were taken. Nothing is stored, nothing is retried.

    A receiver that keeps alerts open is sent the end as well. Raises ``ConfigError`` for a name
    that is not configured.
    """
    found = {receiver.name: receiver for receiver in settings.delivery.receivers}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigError(f"no receiver {name} is configured; configured are: {known}")
    with ExitStack() as stack:
        receiver = make_receiver(found[name], stack)
        alert = trial_alert(now)
        stages = [alert]
        if receiver.stateful:
            stages.append(replace(alert, status=AlertStatus.RESOLVED, resolved_at=now))
        for stage in stages:
            notification = _notification(settings, receiver, name, stage, now)
            try:
                said = receiver.notifier.send(notification, now)
            except DeliveryError as error:
                again = "would be tried again" if error.retryable else "would not be tried again"
                console.print(f"{name}: {stage.status.value}: FAULT ({again}): {error}")
                return 1
            console.print(f"{name}: {stage.status.value}: taken: {said or 'no answer to show'}")
    return 0


def trial_alert(now: datetime) -> Alert:
    """An alert that says of itself that nothing has happened."""
    return Alert(
        id=str(uuid.uuid4()),
        key=_KEY,
        detector="share",
        detector_version="test",
        status=AlertStatus.FIRING,
        severity=Severity.WARNING,
        started_at=now - timedelta(minutes=10),
        fired_at=now - timedelta(minutes=5),
        resolved_at=None,
        value=0.6,
        baseline=0.2,
        evalue=1.0,
        threshold=1.0,
        documents=5,
        negative=3,
        window_start=now - timedelta(minutes=10),
        window_end=now,
        summary="TEST, nothing has happened: somebody tries this receiver",
        model_version="test",
        appended_at=now,
        updated_at=now,
        evidence=(
            Evidence(
                "test",
                now,
                "monitor",
                "TEST: this is where the documents behind an alert stand",
                "https://example.com/",
                0.9,
            ),
        ),
        posts=8,
        stories=4,
        largest_story=3,
    )


def _notification(
    settings: Settings, receiver: Receiver, name: str, alert: Alert, now: datetime
) -> Notification:
    identity = f"msg_{uuid.uuid4().hex}"
    notice = Notice(
        identity, name, alert.key, (alert,), settings.delivery.external_url, now, test=True
    )
    return Notification(identity, name, alert.key, receiver.render(notice), now, now)
