"""Delivers by HTTP POST, in the format of a channel, to a checked address."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException, HTTPResponse

from monitor.alert.base import Answer, Channel, Request
from monitor.alert.retry import printable
from monitor.dial import USUAL, Dialer, Limits, look_up
from monitor.errors import AddressError, DeliveryError
from monitor.guard import Address, Guard
from monitor.store.base import Notification

_USER_AGENT = "monitor-webhook/1"
_RESPONSE_LIMIT = 4096  # bytes of the answer that are read; the rest is never fetched


class HttpNotifier:
    """One receiver behind a URL. ``send`` belongs to one thread, ``close`` to any.

    Each attempt makes a connection of its own: notifications are minutes apart, and a connection
    kept over that time would be one that the receiver has forgotten, to an address judged long ago.
    Proxy variables of the environment are not looked at, redirects are not followed.
    """

    def __init__(
        self,
        channel: Channel,
        url: str,
        guard: Guard,
        *,
        limits: Limits = USUAL,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ``ConfigError`` for a URL that the guard refuses.

        ``tls`` adds authorities for receivers inside; the certificate is verified in any case.
        """
        self.channel = channel
        self._target = guard.target(url)
        self._guard = guard
        self._limits = limits
        self._dialer = Dialer(limits, tls)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target})"

    def send(self, notification: Notification, now: datetime) -> str | None:
        """See ``Notifier.send``. Each request of the channel takes at most `Limits.resolve` +
        `Limits.total` + the connects; the first that fails ends the attempt."""
        said = None
        for request in self.channel.requests(notification, self._target.path, now):
            answer = self._exchange(request)
            if verdict := self.channel.verdict(answer, now):
                raise verdict
            said = f"{answer.status} {printable(answer.body.decode(errors='replace'))}".strip()
        return said

    def close(self) -> None:
        """Refuse further sends and cut the one in flight. Idempotent."""
        self._dialer.close()

    def _exchange(self, request: Request) -> Answer:
        if self._dialer.closed:
            raise DeliveryError(f"{self._target}: the notifier is closed", retryable=True)
        headers = {
            "Host": self._target.host_header,
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Connection": "close",
            **request.headers,
        }
        addresses = self._addresses()
        try:
            with self._dialer.connected(self._target, addresses) as (connection, cut):
                path = self._target.path if request.path is None else request.path
                connection.request("POST", path, request.body, headers)
                response = connection.getresponse()
                status, retry_after = response.status, response.getheader("Retry-After")
                taken = self.channel.status_only and 200 <= status < 300
                body = b"" if taken else _beginning(response)
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
        return Answer(status, retry_after, body)

    def _addresses(self) -> tuple[Address, ...]:
        try:
            return look_up(self._guard, self._target, self._limits.resolve)
        except AddressError as error:
            raise DeliveryError(str(error), retryable=True) from error


def _beginning(response: HTTPResponse) -> bytes:
    """The beginning of the body; the status counts even if that can't be read."""
    with suppress(HTTPException, OSError):
        return response.read(_RESPONSE_LIMIT)
    return b""
