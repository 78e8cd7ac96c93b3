"""An existing Alertmanager: ``POST /api/v2/alerts``; routing, silences and paging are its own.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml,
https://prometheus.io/docs/alerting/latest/clients/ (send again while it fires, ``endsAt`` in the
future; an end is an ``endsAt`` in the past).

Alertmanager knows an alert by its labels, and takes it for ended when ``endsAt`` is over. So what
is frozen holds no end for what fires: each attempt says "for another `HOLD`", and the group is
repeated every `RESEND`, in the place of what could not be delivered yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.codec import compact_json, timestamp
from monitor.alert.group import GroupTiming
from monitor.alert.payload import annotations_of, labels_of, link_to
from monitor.alert.retry import judge_answer
from monitor.errors import DeliveryError
from monitor.events import Alert, AlertStatus
from monitor.store.base import Notification

PATH = "/api/v2/alerts"
RESEND = timedelta(minutes=5)
HOLD = 4 * RESEND
"""As Prometheus does it: four times the interval, so that three may be lost."""
TIMING = GroupTiming(timedelta(0), timedelta(minutes=1), RESEND, insist=True)


class Alertmanager:
    """The channel; ``token`` goes into the header Authorization."""

    rates: tuple[Rate, ...] = ()
    status_only = True

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    def render(self, notice: Notice) -> bytes:
        """The list of alerts, without the ends of those that fire."""
        return compact_json([_alert(alert, notice) for alert in notice.alerts])

    def requests(self, notification: Notification, path: str, now: datetime) -> Iterator[Request]:
        """One POST, in which all that fires does so for another `HOLD`."""
        until = timestamp(now + HOLD)
        alerts = [{"endsAt": until, **alert} for alert in json.loads(notification.body)]
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        base, mark, query = path.partition("?")
        base = base.rstrip("/").removesuffix(PATH)
        yield Request(compact_json(alerts), headers, f"{base}{PATH}{mark}{query}")

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """2xx."""
        return judge_answer(answer, now)


def _alert(alert: Alert, notice: Notice) -> dict[str, Any]:
    # Event time that runs ahead of the clock (a replay) would start and end in the future.
    starts = min(alert.fired_at or alert.started_at, notice.at)
    item: dict[str, Any] = {
        "labels": labels_of(alert) | ({"test": "true"} if notice.test else {}),
        "annotations": {**annotations_of(alert), **notice.links(alert)},
        "startsAt": timestamp(starts),
    }
    if link := link_to(alert, notice.external_url):
        item["generatorURL"] = link
    if alert.status is AlertStatus.RESOLVED:
        item["endsAt"] = timestamp(max(starts, min(alert.resolved_at or notice.at, notice.at)))
    return item
