"""The demo's webhook receiver: what a receiver of your own has to do, in 150 lines.

It verifies every signature, takes each ``webhook-id`` once, and answers 2xx only then.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from monitor.alert.signing import SignatureError, Signer

log = logging.getLogger(__name__)

_BODY_LIMIT = 4 << 20
_TIMEOUT = 10.0  # seconds that a client may be silent


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified notification."""

    id: str
    body: bytes
    payload: dict[str, Any]
    """The body, parsed: Alertmanager's webhook, version 4."""
    received_at: datetime

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts in it."""
        return [alert for alert in self.payload.get("alerts", []) if isinstance(alert, dict)]


class WebhookReceiver:
    """Listens on loopback from construction to ``close``; usable as a context manager.

    ``on_alert`` is called with each new delivery and each alert in it, from the thread of the
    request; what it raises is logged, the delivery counts all the same.
    """

    def __init__(
        self,
        signer: Signer,
        port: int = 0,
        *,
        on_alert: Callable[[Delivery, dict[str, Any]], None] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``port`` 0 takes a free one. Raises ``OSError`` when the port is in use."""
        self._signer = signer
        self._on_alert = on_alert
        self._now = now
        self._lock = threading.Lock()
        self._by_id: dict[str, Delivery] = {}
        self.received: list[Delivery] = []
        """Verified deliveries in order of arrival, each id once."""
        self.rejected = 0
        """Requests whose signature could not be trusted."""
        self.repeated = 0
        """Deliveries that had been taken before."""
        self.conflicts = 0
        """Deliveries under a known id with another body: must stay 0."""
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="webhook-receiver",
            daemon=True,
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to send to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/alerts"

    def latencies(self) -> list[float]:
        """Seconds from the publication of the newest document to the receipt of each alert that
        fired; an alert that was repeated or resolved later counts once, one without the times not
        at all."""
        with self._lock:
            deliveries = list(self.received)
        seen: dict[str, float] = {}
        for delivery in deliveries:
            for alert in delivery.alerts:
                try:
                    name, status = alert["labels"]["alert_id"], alert["status"]
                    published = datetime.fromisoformat(alert["annotations"]["appended_at"])
                    seconds = (delivery.received_at - published).total_seconds()
                except (KeyError, TypeError, ValueError):
                    continue
                if status == "firing":
                    seen.setdefault(name, seconds)
        return list(seen.values())

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Judge one request: the HTTP status to answer with, and why."""
        now = self._now()
        try:
            identity = self._signer.verify(headers, body, now)
        except SignatureError as error:
            with self._lock:
                self.rejected += 1
            return 401, str(error)
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            return 400, "the body is not JSON"
        if not isinstance(payload, dict) or not isinstance(payload.get("alerts"), list):
            return 400, "the body is not a notification"
        delivery = Delivery(identity, body, payload, now)
        with self._lock:
            known = self._by_id.get(identity)
            if known is None:
                self._by_id[identity] = delivery
                self.received.append(delivery)
            elif known.body == body:
                self.repeated += 1
                return 200, "taken before"
            else:
                self.conflicts += 1
                return 409, "this webhook-id came with another body"
        self._announce(delivery)
        return 200, "taken"

    def _announce(self, delivery: Delivery) -> None:
        if self._on_alert is None:
            return
        for alert in delivery.alerts:
            try:
                self._on_alert(delivery, alert)
            except Exception:
                log.exception("The callback of the webhook receiver failed")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that hangs up is no traceback on the demo's screen."""
        log.debug("The request of %s broke off: %r", client_address, sys.exception())


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit()):
                self._answer(411, "Content-Length is missing")
            elif len(length) > len(str(_BODY_LIMIT)) or int(length) > _BODY_LIMIT:
                self._answer(413, f"at most {_BODY_LIMIT} bytes")
            else:
                body = self.rfile.read(int(length))
                if len(body) == int(length):
                    self._answer(*receiver.take(dict(self.headers.items()), body))

        def do_GET(self) -> None:
            self._answer(405, "POST a signed notification here")

        def _answer(self, status: int, text: str) -> None:
            body = f"{text}\n".encode()
            self.close_connection = True
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
            log.debug(format, *args)

    return Handler
