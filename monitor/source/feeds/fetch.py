"""One conditional GET: every hop judged by the guard, everything bounded."""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http.client import HTTPException, HTTPResponse
from threading import Event
from urllib.parse import quote, urldefrag, urljoin

from monitor.dial import Dialer, Limits, look_up, parse_retry_after
from monitor.errors import AddressError, ConfigError, MonitorError
from monitor.guard import Guard, Target

REDIRECTS = 5
_CHUNK = 64 << 10
_VALIDATOR = 512  # characters of an ETag or a date that are worth keeping
_ACCEPT = (
    "application/rss+xml, application/atom+xml, application/rdf+xml;q=0.9, "
    "application/xml;q=0.8, text/xml;q=0.8, */*;q=0.1"
)
_MOVED = frozenset({301, 302, 303, 307, 308})
_FOR_GOOD = frozenset({301, 308})
_BUSY = frozenset({429, 503})
_AS_IT_IS = "%/:=&?~#+!$,;'@()*[]"


class Fault(StrEnum):
    """Why a poll gave nothing. Also the label of a metric, so the set is closed."""

    REFUSED = "refused"
    """The guard forbids the address, or the URL it redirects to."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "status"
    THROTTLED = "throttled"
    GONE = "gone"
    REDIRECTS = "redirects"
    TOO_LARGE = "too_large"
    BROKEN = "broken"
    """The answer is cut short, or its compression is damaged."""
    NOT_A_FEED = "not_a_feed"


class FeedError(MonitorError):
    """A poll that gave nothing; the next one is tried later, ``retry_after`` seconds at least."""

    retryable = True

    def __init__(self, fault: Fault, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What a feed's server said."""

    url: str
    """Where it was found in the end."""
    body: bytes | None
    """Decompressed; None: not modified."""
    content_type: str = ""
    etag: str | None = None
    last_modified: str | None = None
    moved: str | None = None
    """The feed has moved there for good."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for. ``headers`` go to the feed's own origin alone."""

    url: str
    guard: Guard
    headers: Mapping[str, str]
    etag: str | None = None
    last_modified: str | None = None


class Fetcher:
    """Fetches feeds, several at once from several threads; ``close`` cuts them all off."""

    def __init__(
        self,
        user_agent: str,
        limits: Limits = Limits(10, 10, 15, 60),  # noqa: B008  frozen
        max_bytes: int = 8 << 20,
        *,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``limits.total`` is for a poll with all of its redirects; ``max_bytes`` of a body, packed
        or not."""
        self._user_agent = user_agent
        self._limits = limits
        self._max_bytes = max_bytes
        self._dialer = Dialer(limits, tls)
        self._now = now
        self._monotonic = monotonic

    def fetch(self, request: Request) -> Answer:
        """The answer to a conditional GET, at most `REDIRECTS` redirects on. Blocks; raises
        ``FeedError``."""
        deadline = self._monotonic() + self._limits.total
        url, moved, lasting = request.url, None, True
        first = None
        for _ in range(REDIRECTS + 1):
            target = _target(request.guard, url)
            origin = (target.scheme, target.host, target.port)
            first = first or origin
            if first[0] == "https" and target.scheme == "http":
                raise FeedError(
                    Fault.REFUSED, f"{target} is where it redirects to, which is not encrypted"
                )
            headers = self._headers(request, target, own=origin == first)
            with self._asking(request.guard, target, headers, deadline) as (response, cut):
                if response.status not in _MOVED:
                    return self._answer(response, cut, url, moved)
                place = response.getheader("Location")
            if not place:
                raise FeedError(
                    Fault.STATUS, f"{target} answered {response.status} without a place"
                )
            url = _joined(url, place)
            lasting = lasting and response.status in _FOR_GOOD
            moved = url if lasting else moved
        raise FeedError(
            Fault.REDIRECTS, f"more than {REDIRECTS} redirects, the last one to {target}"
        )

    @property
    def closed(self) -> bool:
        """Whether what fails now fails because of `close`."""
        return self._dialer.closed

    def close(self) -> None:
        """Cut off what is under way. Idempotent."""
        self._dialer.close()

    def _headers(self, request: Request, target: Target, *, own: bool) -> dict[str, str]:
        headers = {
            "Host": target.host_header,
            "User-Agent": self._user_agent,
            "Accept": _ACCEPT,
            "Accept-Encoding": "gzip",
            "Connection": "close",
        }
        if request.etag:
            headers["If-None-Match"] = request.etag
        if request.last_modified:
            headers["If-Modified-Since"] = request.last_modified
        return headers | dict(request.headers) if own else headers

    @contextmanager
    def _asking(
        self, guard: Guard, target: Target, headers: dict[str, str], deadline: float
    ) -> Iterator[tuple[HTTPResponse, Event]]:
        left = deadline - self._monotonic()
        if left <= 0:
            raise self._too_slow(target)
        try:
            addresses = look_up(guard, target, min(self._limits.resolve, left))
        except AddressError as error:
            fault = Fault.REFUSED if error.refused else Fault.UNREACHABLE
            raise FeedError(fault, str(error)) from error
        cut = None
        try:
            with self._dialer.connected(target, addresses, left) as (connection, cut):
                connection.request("GET", target.path, headers=headers)
                yield connection.getresponse(), cut
                if cut.is_set():
                    raise self._too_slow(target)
        except ssl.SSLCertVerificationError as error:
            raise FeedError(
                Fault.UNREACHABLE,
                f"{target}: its certificate is not valid ({error.verify_message})",
            ) from error
        except (HTTPException, OSError, ValueError) as error:
            if isinstance(error, TimeoutError) or (cut is not None and cut.is_set()):
                raise self._too_slow(target) from error
            said = f": {error}" if str(error) else ""
            raise FeedError(
                Fault.UNREACHABLE, f"{target}: {type(error).__name__}{said}"[:300]
            ) from error

    def _too_slow(self, target: Target) -> FeedError:
        return FeedError(
            Fault.TIMEOUT,
            f"{target} did not answer in time ({self._limits.total:g} s in all, "
            f"{self._limits.read:g} s of silence)",
        )

    def _answer(self, response: HTTPResponse, cut: Event, url: str, moved: str | None) -> Answer:
        status = response.status
        if status == 304:
            return Answer(url, None, moved=moved)
        if status != 200:
            raise self._status(response)
        body = self._body(response, cut)
        return Answer(
            url,
            body,
            response.getheader("Content-Type") or "",
            _kept(response.getheader("ETag")),
            _kept(response.getheader("Last-Modified")),
            moved,
        )

    def _status(self, response: HTTPResponse) -> FeedError:
        status = response.status
        said = f"the server answered {status} {response.reason[:80]}".rstrip()
        wait = parse_retry_after(response.getheader("Retry-After"), self._now())
        if status == 410:
            return FeedError(
                Fault.GONE, f"{said}: the feed is gone; remove it, or give its new url"
            )
        if status in _BUSY:
            return FeedError(Fault.THROTTLED, said, wait)
        return FeedError(Fault.STATUS, said, wait)

    def _body(self, response: HTTPResponse, cut: Event) -> bytes:
        coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
        if coding not in ("identity", "gzip", "x-gzip"):
            raise FeedError(Fault.BROKEN, f"the server packed it as {coding!r:.40}, unasked")
        inflate = None if coding == "identity" else _Inflater(self._max_bytes)
        body = bytearray()
        read = 0
        while chunk := response.read(_CHUNK):
            read += len(chunk)
            body += inflate.add(chunk) if inflate else chunk
            if max(read, len(body)) > self._max_bytes:
                raise FeedError(
                    Fault.TOO_LARGE,
                    f"the feed has more than {self._max_bytes:,} bytes; "
                    "raise [feeding] max_bytes if that is right",
                )
        if cut.is_set():
            raise TimeoutError
        if response.length or (inflate and not inflate.complete):
            raise FeedError(Fault.BROKEN, f"the answer was cut off after {read:,} bytes")
        return bytes(body)


class _Inflater:
    """Gzip, of which no more than the limit and a little is ever unpacked."""

    def __init__(self, limit: int) -> None:
        self._left = limit + 1
        self._member = zlib.decompressobj(31)
        self.complete = False

    def add(self, data: bytes) -> bytes:
        """What these bytes unpack to, or the beginning of it that the limit leaves."""
        out = bytearray()
        try:
            while data and self._left > 0:
                if self._member.eof:  # gzip may follow gzip (RFC 1952, 2.2)
                    self._member = zlib.decompressobj(31)
                piece = self._member.decompress(data, self._left)
                self._left -= len(piece)
                out += piece
                data = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error as error:
            raise FeedError(Fault.BROKEN, f"its compression is damaged ({error})") from error
        self.complete = self._member.eof
        return bytes(out)


def _target(guard: Guard, url: str) -> Target:
    try:
        return guard.target(url)
    except ConfigError as error:
        raise FeedError(Fault.REFUSED, str(error)) from error


def _joined(base: str, place: str) -> str:
    """Where a Location leads; http.client reads headers as Latin-1."""
    quoted = quote(place.strip().encode("latin-1", "replace"), safe=_AS_IT_IS)
    try:
        return urldefrag(urljoin(base, quoted)).url
    except ValueError as error:
        raise FeedError(Fault.REDIRECTS, f"it redirects to no URL ({error})") from error


def _kept(validator: str | None) -> str | None:
    """An ETag or a date as it will be sent back."""
    if validator is None or len(validator) > _VALIDATOR or not validator.isprintable():
        return None
    return validator.strip() or None
