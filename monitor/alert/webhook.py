"""Delivers notifications by HTTP POST, signed, to a checked address."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException, HTTPResponse

from monitor.alert.retry import judge
from monitor.alert.signing import Signer
from monitor.dial import USUAL, Dialer, Limits, look_up
from monitor.errors import AddressError, DeliveryError
from monitor.guard import Address, Guard
from monitor.store.base import Notification

_USER_AGENT = "monitor-webhook/1"
_RESPONSE_LIMIT = 4096  # bytes of the answer that are read; the rest is never fetched


class WebhookNotifier:
    """One receiver of signed webhooks. ``send`` belongs to one thread, ``close`` to any.

    Each attempt makes a connection of its own: notifications are minutes apart, and a connection
    kept over that time would be one that the receiver has forgotten, to an address judged long ago.
    Proxy variables of the environment are not looked at, redirects are not followed.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        guard: Guard,
        *,
        limits: Limits = USUAL,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ``ConfigError`` for a URL that the guard refuses.

        ``tls`` adds authorities for receivers inside; the certificate is verified in any case.
        """
        self._target = guard.target(url)
        self._signer = signer
        self._guard = guard
        self._limits = limits
        self._dialer = Dialer(limits, tls)

    def __repr__(self) -> str:
        return f"WebhookNotifier({self._target})"

    def send(self, notification: Notification, now: datetime) -> None:
        """See ``Notifier.send``. At most `Limits.resolve` + `Limits.total` + the connects."""
        if self._dialer.closed:
            raise DeliveryError(f"{self._target}: the notifier is closed", retryable=True)
        headers = {
            "Host": self._target.host_header,
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Connection": "close",
            **self._signer.headers(notification.id, now, notification.body),
        }
        addresses = self._addresses()
        try:
            with self._dialer.connected(self._target, addresses) as (connection, cut):
                connection.request("POST", self._target.path, notification.body, headers)
                response = connection.getresponse()
                status, retry_after = response.status, response.getheader("Retry-After")
                detail = b"" if 200 <= status < 300 else _beginning(response)
                if cut.is_set():
                    raise TimeoutError("cut off before its answer was complete")
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(
                f"{self._target}: its certificate is not valid ({error.verify_message})",
                retryable=True,
            ) from error
        except (HTTPException, OSError) as error:
            said = f": {error}" if str(error) else ""
            raise DeliveryError(
                f"{self._target}: {type(error).__name__}{said}", retryable=True
            ) from error
        if verdict := judge(status, retry_after, now, detail.decode(errors="replace")):
            raise verdict

    def close(self) -> None:
        """Refuse further sends and cut the one in flight. Idempotent."""
        self._dialer.close()

    def _addresses(self) -> tuple[Address, ...]:
        try:
            return look_up(self._guard, self._target, self._limits.resolve)
        except AddressError as error:
            raise DeliveryError(str(error), retryable=True) from error


def _beginning(response: HTTPResponse) -> bytes:
    """What the receiver says about its refusal; its status counts even if that can't be read."""
    with suppress(HTTPException, OSError):
        return response.read(_RESPONSE_LIMIT)
    return b""
