"""An HTTP server on loopback that plays a script, or answers as a documented service does."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Reads one request a connection and plays the next script: raw bytes, or a behaviour.

    ``service`` answers once the script is over.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        service: Callable[[Request], bytes] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.requests: list[Request] = []
        self.script: list[bytes | str] = []
        self.service = service
        self.tls = tls
        self.server_names: list[str | None] = []
        self.released = threading.Event()
        self.answering = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook?a=1"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of these tests."""


class _Connection(socketserver.StreamRequestHandler):
    server: ScriptedServer

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        headers: dict[str, str] = {}
        while header := self.rfile.readline().decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        request = Request(line, headers, body)
        self.server.requests.append(request)
        self.server.answering.set()
        if not self.server.script and self.server.service is not None:
            self.wfile.write(self.server.service(request))
            return
        answer = self.server.script.pop(0)
        if isinstance(answer, bytes):
            self.wfile.write(answer)
        elif answer == "silent":
            self.server.released.wait(30)
        elif answer == "dripping":  # a byte now and then: no single silence is long
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.server.released.wait(0.02):
                self.wfile.write(b"x")
        elif answer == "endless":
            self.wfile.write(b"HTTP/1.1 500 Oops\r\n\r\n")
            while not self.server.released.is_set():
                self.wfile.write(b"x" * 65536)


def answer(status: int, retry_after: str | None = None, extra: str = "", body: str = "") -> bytes:
    """A whole HTTP answer."""
    after = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
    length = len(body.encode())
    return (
        f"HTTP/1.1 {status} Scripted\r\n{after}{extra}Content-Length: {length}\r\n\r\n{body}"
    ).encode()
