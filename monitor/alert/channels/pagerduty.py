"""PagerDuty: Events API v2, one event for each alert.

https://developer.pagerduty.com/docs/send-alert-event (event, 202),
https://developer.pagerduty.com/docs/events-api-v2-overview (``dedup_key`` of up to 255 characters).

``dedup_key`` is the alert's id: a repetition changes an open incident and opens none, and the end
of an alert resolves its own. The routing key is a secret and joins the event when it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.channels.message import Entry, cut, message_of
from monitor.alert.codec import compact_json, timestamp
from monitor.alert.payload import alert_name
from monitor.alert.retry import judge_answer
from monitor.errors import DeliveryError
from monitor.events import Alert, AlertStatus
from monitor.store.base import Notification

URL = "https://events.pagerduty.com/v2/enqueue"
_SUMMARY = 1024  # characters


class PagerDuty:
    """The channel; one receiver is one integration of a service."""

    rates: tuple[Rate, ...] = ()
    status_only = True

    def __init__(self, routing_key: str) -> None:
        self._routing_key = routing_key

    def render(self, notice: Notice) -> bytes:
        """The events of all alerts, as a JSON list."""
        return compact_json([_event(alert, notice) for alert in notice.alerts])

    def requests(
        self,
        notification: Notification,
        path: str,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Iterator[Request]:
        """One POST for each event."""
        for event in json.loads(notification.body):
            yield Request(compact_json({"routing_key": self._routing_key, **event}))

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """202, and nothing else."""
        if answer.status != 202 and 200 <= answer.status < 300:
            return DeliveryError(
                f"the receiver answered {answer.status} where PagerDuty answers 202", retryable=True
            )
        return judge_answer(answer, now)


def _event(alert: Alert, notice: Notice) -> dict[str, Any]:
    message = message_of(replace(notice, alerts=(alert,)))
    (entry,) = message.entries
    ended = alert.status is AlertStatus.RESOLVED
    event: dict[str, Any] = {
        "event_action": "resolve" if ended else "trigger",
        "dedup_key": cut(alert.id, 255),
        "payload": {
            "summary": cut(message.title, _SUMMARY),
            "source": "monitor",
            "severity": "info" if notice.test else alert.severity.value,
            "timestamp": timestamp(alert.fired_at or alert.started_at),
            "component": cut(alert.key, 255),
            "group": alert.detector,
            "class": alert_name(alert),
            "custom_details": _details(entry),
        },
        "client": "monitor",
        "links": [{"href": d.url, "text": d.title} for d in entry.documents if d.url],
    }
    if message.link:
        event["client_url"] = message.link
    return event


def _details(entry: Entry) -> dict[str, str]:
    documents = [f"{d.title} ({d.about})" for d in entry.documents]
    return dict(entry.facts) | ({"Documents": "\n".join(documents)} if documents else {})
