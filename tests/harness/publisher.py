"""A publisher of feeds on loopback: an HTTP server whose answers are written down beforehand."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from monitor.guard import Guard

LOOPBACK = ("127.0.0.0/8",)


def inside() -> Guard:
    """Lets loopback through, and what else is public."""
    return Guard(LOOPBACK, ("0.0.0.0/0", "::/0"), what="feed")


@dataclass(frozen=True)
class Reply:
    """One answer. ``drip`` sends the body byte by byte until the reader hangs up."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    """Content-Length where it lies; None: the truth."""
    drip: bool = False


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]


Script = Callable[[Asked], Reply]


class Publisher:
    """Answers by path; ``alive`` False: it hangs up without a word."""

    def __init__(self) -> None:
        self.pages: dict[str, Reply | Script] = {}
        self.asked: list[Asked] = []
        self.alive = True
        self.ended = threading.Event()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()})
                publisher.asked.append(asked)
                self.close_connection = True
                if not publisher.alive:
                    return
                page = publisher.pages.get(self.path, Reply(status=404))
                with suppress(OSError):
                    self.answer(page if isinstance(page, Reply) else page(asked))

            def answer(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                length = len(reply.body) if reply.length is None else reply.length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if not reply.drip:
                    self.wfile.write(reply.body)
                    return
                for byte in reply.body:
                    if publisher.ended.wait(0.05):
                        return
                    self.wfile.write(bytes([byte]))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/feed") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def publishing() -> Iterator[Publisher]:
    publisher = Publisher()
    try:
        yield publisher
    finally:
        publisher.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@dataclass(frozen=True)
class Entry:
    """One item as a publisher writes it."""

    guid: str
    title: str
    published: datetime | str | None = None
    text: str = ""
    link: str = ""


def rss(*entries: Entry, title: str = "The Wire") -> bytes:
    """RSS 2.0."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel>'
        f"<title>{escape(title)}</title><link>https://wire.example/</link>"
        + "".join(map(_item, entries))
        + "</channel></rss>"
    ).encode()


def _item(entry: Entry) -> str:
    date = entry.published
    written = format_datetime(date) if isinstance(date, datetime) else date
    parts = [
        f'<guid isPermaLink="false">{escape(entry.guid)}</guid>' if entry.guid else "",
        f"<title>{escape(entry.title)}</title>",
        f"<link>{escape(entry.link)}</link>" if entry.link else "",
        f"<pubDate>{escape(written)}</pubDate>" if written else "",
        f"<description>{escape(entry.text)}</description>" if entry.text else "",
    ]
    return f"<item>{''.join(parts)}</item>"


def conditional(body: Callable[[], bytes]) -> Script:
    """Answers 304 to whoever brings the ETag of what there is now, and gzip to whoever takes it."""

    def answer(asked: Asked) -> Reply:
        now = body()
        tag = f'"{hash(now):x}"'
        if asked.headers.get("if-none-match") == tag:
            return Reply(status=304, headers={"ETag": tag})
        packed = "gzip" in asked.headers.get("accept-encoding", "")
        headers = {"ETag": tag, "Content-Type": "application/rss+xml"}
        if packed:
            return Reply(gzip.compress(now), headers=headers | {"Content-Encoding": "gzip"})
        return Reply(now, headers=headers)

    return answer


def bomb(size: int) -> bytes:
    """Gzip that unpacks to so many zeros."""
    return gzip.compress(bytes(size))
