"""HTTP connections to addresses that were checked, with limits on everything.

No proxy of the environment is looked at, and nothing is pooled: a connection kept for minutes would
be one that the other side has forgotten, to an address judged long ago.
"""

from __future__ import annotations

import math
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection

from monitor.errors import AddressError
from monitor.guard import Address, Guard, Target

_TRIED_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of one exchange, in seconds."""

    resolve: float = 5.0
    connect: float = 5.0
    read: float = 10.0
    """The longest silence of the other side."""
    total: float = 20.0
    """The whole exchange after connecting, however slowly the other side goes on answering."""


USUAL = Limits()


def verified(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    """This context, or the system's. Raises ``ValueError`` for one that verifies nothing."""
    tls = tls or ssl.create_default_context()
    if tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname:
        raise ValueError("certificates are always verified")
    return tls


def look_up(guard: Guard, target: Target, seconds: float) -> tuple[Address, ...]:
    """What the guard answers, within the time limit that the system's resolver lacks.

    Raises ``AddressError``.
    """
    answer: queue.SimpleQueue[tuple[Address, ...] | AddressError] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(guard.addresses(target))
        except AddressError as error:
            answer.put(error)

    threading.Thread(target=work, name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise AddressError(f"{target.host} was not resolved within {seconds:g} s") from None
    if isinstance(found, AddressError):
        raise found
    return found


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header (seconds or an HTTP date); None where it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # A thousand digits are a legal header, but no float.
        return float(text) if len(text) <= 9 else math.inf
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000": the RFC reads it as UTC
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


class Dialer:
    """Opens connections; ``close`` cuts those that are open, from any thread."""

    def __init__(self, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits
        self._tls = verified(tls)
        self._lock = threading.Lock()
        self._open: dict[threading.Event, socket.socket] = {}
        self.closed = False

    @contextmanager
    def connected(
        self, target: Target, addresses: tuple[Address, ...], total: float | None = None
    ) -> Iterator[tuple[HTTPConnection, threading.Event]]:
        """A connection to the first address that answers, and whether it has been cut: by `close`,
        or because the total time was over. ``addresses`` have been checked (`look_up`); ``total``
        stands in for the limit of that name.

        http.client takes the end of a connection for the end of headers, or of a body without a
        length: look at the event before an answer is believed. Raises ``OSError``.
        """
        opened = self._connect(target, addresses[:_TRIED_ADDRESSES])
        cut = threading.Event()
        with self._lock:
            self._open[cut] = opened
            if self.closed:
                self._cut(cut)
        timer = threading.Timer(
            self._limits.total if total is None else total, self._cut_late, (cut,)
        )
        timer.daemon = True
        timer.start()
        connection = HTTPConnection(target.host, target.port)
        connection.sock = opened
        try:
            yield connection, cut
        finally:
            timer.cancel()
            with self._lock:
                opened = self._open.pop(cut)
            connection.close()
            opened.close()

    def secure(self, cut: threading.Event, host: str) -> ssl.SSLSocket:
        """TLS over a connection that was opened without it (STARTTLS), with the same limits.

        ``cut`` is what `connected` gave for it. Raises ``OSError``.
        """
        with self._lock:
            secured = self._tls.wrap_socket(
                self._open[cut], server_hostname=host, do_handshake_on_connect=False
            )
            self._open[cut] = secured
            if cut.is_set():
                self._cut(cut)
        secured.do_handshake()
        return secured

    def close(self) -> None:
        """Cut what is open and what will be. Idempotent."""
        with self._lock:
            self.closed = True
            for cut in self._open:
                self._cut(cut)

    def _connect(self, target: Target, addresses: tuple[Address, ...]) -> socket.socket:
        """To an address that was checked; the name in TLS (SNI, certificate) stays the URL's."""
        fault: OSError = OSError("no address")
        for address in addresses:
            try:
                opened = socket.create_connection((str(address), target.port), self._limits.connect)
            except OSError as error:
                fault = error
                continue
            try:
                if target.scheme == "https":
                    name = target.host.removesuffix(".")
                    opened = self._tls.wrap_socket(opened, server_hostname=name)
                opened.settimeout(self._limits.read)
            except BaseException:
                opened.close()
                raise
            return opened
        raise fault

    def _cut_late(self, cut: threading.Event) -> None:
        with self._lock:
            self._cut(cut)

    def _cut(self, cut: threading.Event) -> None:
        if opened := self._open.get(cut):
            cut.set()
            # Not SSLSocket.shutdown: that one drops the TLS state under the reading thread.
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
