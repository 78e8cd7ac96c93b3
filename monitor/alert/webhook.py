"""Signed webhooks: Alertmanager's body with the headers of Standard Webhooks (docs/webhook.md)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.payload import webhook_body
from monitor.alert.post import HttpNotifier
from monitor.alert.retry import judge_answer
from monitor.alert.signing import Signer
from monitor.dial import USUAL, Limits
from monitor.errors import DeliveryError
from monitor.guard import Guard
from monitor.store.base import Notification


class Webhook:
    """The default channel."""

    rates: tuple[Rate, ...] = ()
    status_only = True
    content_type = "application/json"

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def render(self, notice: Notice) -> bytes:
        """Alertmanager's webhook, version 4."""
        return webhook_body(
            notice.receiver,
            notice.key,
            notice.alerts,
            notice.external_url,
            notice.links,
            notice.at,
        )

    def requests(
        self,
        notification: Notification,
        path: str,  # noqa: ARG002 - as the URL says
        now: datetime,
    ) -> Iterator[Request]:
        """One POST, signed for this moment."""
        signed = self._signer.headers(notification.id, now, notification.body)
        yield Request(notification.body, {"Content-Type": self.content_type, **signed})

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """The status alone: `monitor.alert.retry.judge`."""
        return judge_answer(answer, now)


class WebhookNotifier(HttpNotifier):
    """One receiver of signed webhooks."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        guard: Guard,
        *,
        limits: Limits = USUAL,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """See `HttpNotifier`."""
        super().__init__(Webhook(signer), url, guard, limits=limits, tls=tls)
