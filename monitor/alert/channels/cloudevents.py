"""CloudEvents 1.0 in structured mode: the webhook's body as the data of one event, signed alike.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md,
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md.
"""

from __future__ import annotations

import json

from monitor.alert.base import Notice
from monitor.alert.codec import compact_json, timestamp
from monitor.alert.payload import webhook_body
from monitor.alert.webhook import Webhook
from monitor.events import AlertStatus

TYPE = "monitor.alerts"
"""Followed by ``.firing`` or ``.resolved``."""


class CloudEvents(Webhook):
    """The channel."""

    content_type = "application/cloudevents+json; charset=utf-8"

    def render(self, notice: Notice) -> bytes:
        """The event; its ``id`` is the notification's, so ``source`` and ``id`` name it once."""
        data = webhook_body(
            notice.receiver,
            notice.key,
            notice.alerts,
            notice.external_url,
            notice.links,
            notice.at,
        )
        firing = any(alert.status is not AlertStatus.RESOLVED for alert in notice.alerts)
        return compact_json(
            {
                "specversion": "1.0",
                "id": notice.id,
                "source": notice.external_url or "/monitor",
                "type": f"{TYPE}.{'firing' if firing else 'resolved'}",
                "subject": notice.key,
                "time": timestamp(notice.at),
                "datacontenttype": "application/json",
                "data": json.loads(data),
            }
        )
