"""The daemon's HTTP: metrics for Prometheus, liveness and readiness for the supervisor, and what
else it is handed."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitor.errors import ConfigError

log = logging.getLogger(__name__)

Checks = dict[str, str | None]
"""By name, what is wrong; None: nothing."""


Answer = tuple[int, dict[str, object]]
"""Status and JSON body."""


def application(
    registry: CollectorRegistry,
    alive: Callable[[], Checks],
    ready: Callable[[], Checks],
    reload: Callable[[], Answer] | None = None,
    sources: Callable[[], Answer] | None = None,
    more: Sequence[Route] = (),
) -> Starlette:
    """``/metrics``; ``/livez`` and ``/readyz``: 200 when every check passes, else 503.

    ``POST /-/reload`` calls ``reload``, for this machine alone; ``GET /v1/sources`` ``sources``.
    ``more``: what else is served.
    """

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    def health(checks: Callable[[], Checks]) -> Callable[[Request], Response]:
        def answer(_request: Request) -> Response:
            found = checks()
            passed = not any(found.values())
            body = {"ok": passed, "checks": {k: v or "ok" for k, v in found.items()}}
            return JSONResponse(body, status_code=200 if passed else 503)

        return answer

    def look_again(request: Request) -> Response:
        if not from_this_machine(request):
            return JSONResponse({"ok": False, "news": "for this machine alone"}, status_code=403)
        status, body = reload() if reload else (404, {"ok": False, "news": "nothing to reload"})
        return JSONResponse(body, status_code=status)

    def speaking(_request: Request) -> Response:
        status, body = sources() if sources else (404, {"error": "no sources are followed"})
        return JSONResponse(body, status_code=status)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/livez", health(alive)),
            Route("/readyz", health(ready)),
            Route("/v1/sources", speaking),
            Route("/-/reload", look_again, methods=["POST"]),
            *more,
        ]
    )


def from_this_machine(request: Request) -> bool:
    """Whether a program on this machine asks."""
    host = request.client.host if request.client else ""
    # A page in a browser on this machine may send a POST too, and names its origin.
    return _is_loopback(host) and "origin" not in request.headers


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class HttpServer:
    """Serves an application from a thread of its own."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        """Takes the port at once. Raises ``ConfigError`` when it is in use."""
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise ConfigError(
                f"{host}:{port} cannot be listened on ({os.strerror(error.errno or 0)}); "
                "end the program that uses it or set another [http] port"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering; at most 3 s."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(3)
        self._socket.close()
