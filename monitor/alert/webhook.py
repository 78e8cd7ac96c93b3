"""Delivers notifications by HTTP POST, signed, to a checked address."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse

from monitor.alert.guard import Address, Guard
from monitor.alert.retry import judge
from monitor.alert.signing import Signer
from monitor.errors import DeliveryError
from monitor.store.base import Notification

_USER_AGENT = "monitor-webhook/1"
_RESPONSE_LIMIT = 4096  # bytes of the answer that are read; the rest is never fetched
_TRIED_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of one attempt, in seconds."""

    resolve: float = 5.0
    connect: float = 5.0
    read: float = 10.0
    """The longest silence of the receiver."""
    total: float = 20.0
    """The whole exchange after connecting, however slowly the receiver goes on answering."""


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
        limits: Limits = Limits(),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ``ConfigError`` for a URL that the guard refuses.

        ``tls`` adds authorities for receivers inside; the certificate is verified in any case.
        """
        self._target = guard.target(url)
        self._signer = signer
        self._guard = guard
        self._limits = limits
        self._tls = tls or ssl.create_default_context()
        if self._tls.verify_mode is not ssl.CERT_REQUIRED or not self._tls.check_hostname:
            raise ValueError("webhooks are sent with verified certificates only")
        self._lock = threading.Lock()
        self._open: tuple[socket.socket, threading.Event] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"WebhookNotifier({self._target})"

    def send(self, notification: Notification, now: datetime) -> None:
        """See ``Notifier.send``. At most `Limits.resolve` + `Limits.total` + the connects."""
        with self._lock:
            self._refuse_if_closed()
        headers = {
            "Host": self._target.host_header,
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Connection": "close",
            **self._signer.headers(notification.id, now, notification.body),
        }
        addresses = self._addresses()
        try:
            with self._connected(addresses) as (connection, cut):
                connection.request("POST", self._target.path, notification.body, headers)
                response = connection.getresponse()
                status, retry_after = response.status, response.getheader("Retry-After")
                detail = b"" if 200 <= status < 300 else _beginning(response)
                # http.client takes the end of a connection for the end of the headers.
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
        with self._lock:
            self._closed = True
            self._cut()

    def _addresses(self) -> tuple[Address, ...]:
        """What the guard answers, within the time limit that the system's resolver lacks."""
        answer: queue.SimpleQueue[tuple[Address, ...] | DeliveryError] = queue.SimpleQueue()

        def work() -> None:
            try:
                answer.put(self._guard.addresses(self._target))
            except DeliveryError as error:
                answer.put(error)

        threading.Thread(target=work, name="resolve", daemon=True).start()
        try:
            found = answer.get(timeout=self._limits.resolve)
        except queue.Empty:
            raise DeliveryError(
                f"{self._target.host} was not resolved within {self._limits.resolve:g} s",
                retryable=True,
            ) from None
        if isinstance(found, DeliveryError):
            raise found
        return found

    @contextmanager
    def _connected(
        self, addresses: tuple[Address, ...]
    ) -> Iterator[tuple[HTTPConnection, threading.Event]]:
        """A connection to the first address that answers, and whether it has been cut: by `close`,
        or because the total time was over."""
        opened = self._connect(addresses[:_TRIED_ADDRESSES])
        cut = threading.Event()
        with self._lock:
            self._open = (opened, cut)
            if self._closed:
                self._cut()
        timer = threading.Timer(self._limits.total, self._cut_late)
        timer.daemon = True
        timer.start()
        connection = HTTPConnection(self._target.host, self._target.port)
        connection.sock = opened
        try:
            yield connection, cut
        finally:
            timer.cancel()
            with self._lock:
                self._open = None
            connection.close()
            opened.close()

    def _connect(self, addresses: tuple[Address, ...]) -> socket.socket:
        """To an address that was checked; the name in TLS (SNI, certificate) stays the URL's."""
        fault: OSError = OSError("no address")
        for address in addresses:
            try:
                opened = socket.create_connection(
                    (str(address), self._target.port), self._limits.connect
                )
            except OSError as error:
                fault = error
                continue
            try:
                if self._target.scheme == "https":
                    name = self._target.host.removesuffix(".")
                    opened = self._tls.wrap_socket(opened, server_hostname=name)
                opened.settimeout(self._limits.read)
            except BaseException:
                opened.close()
                raise
            return opened
        raise fault

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise DeliveryError(f"{self._target}: the notifier is closed", retryable=True)

    def _cut_late(self) -> None:
        with self._lock:
            self._cut()

    def _cut(self) -> None:
        if self._open is not None:
            opened, cut = self._open
            cut.set()
            # Not SSLSocket.shutdown: that one drops the TLS state under the reading thread.
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _beginning(response: HTTPResponse) -> bytes:
    """What the receiver says about its refusal; its status counts even if that can't be read."""
    with suppress(HTTPException, OSError):
        return response.read(_RESPONSE_LIMIT)
    return b""
