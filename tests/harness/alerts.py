"""An alert, and who is told of it, for tests that do not care how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.alert.base import Notifier, Receiver
from monitor.alert.signing import Signer, new_secret
from monitor.alert.webhook import Webhook
from monitor.events import Alert, AlertStatus, Severity

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
"""Wall time."""
START = datetime(2023, 3, 10, 8, tzinfo=UTC)
"""Event time."""


def an_alert(name: str = "a", key: str = "topic:Financials", **changes: Any) -> Alert:
    """A firing share alert, ten minutes old; ``changes`` replace fields."""
    made = Alert(
        id=name,
        key=key,
        detector="share",
        detector_version="share-1",
        status=AlertStatus.FIRING,
        severity=Severity.WARNING,
        started_at=START,
        fired_at=START + timedelta(minutes=10),
        resolved_at=None,
        value=0.6,
        baseline=0.2,
        evalue=1200.0,
        threshold=1000.0,
        documents=40,
        negative=24,
        window_start=START,
        window_end=START + timedelta(minutes=10),
        summary=f"{key} turned negative",
        model_version="m1",
        appended_at=NOW,
        updated_at=NOW,
    )
    return replace(made, **changes)


def receivers(notifiers: Mapping[str, Notifier]) -> dict[str, Receiver]:
    """Receivers of the default format."""
    render = Webhook(Signer([new_secret()])).render
    return {name: Receiver(notifier, render) for name, notifier in notifiers.items()}
