"""``POST /v1/documents`` over HTTP: see docs/push.md."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.errors import StoreError
from monitor.events import Kind
from monitor.push.body import documents_of, too_large, unpacked
from monitor.push.keys import ApiKey, Keyring, Meter
from monitor.push.refusal import PROBLEM, RefusedError, answer_to, later
from monitor.push.service import Push
from monitor.store.receiving.base import Answer

log = logging.getLogger(__name__)

PATH = "/v1/documents"
_LONGEST_KEY = 255
_AT_ONCE = 16  # requests whose bodies are held
_WORKING = 2  # of them, threads that check and store
_STORE_RETRY = 5.0


@dataclass(frozen=True, slots=True)
class PushLimits:
    """Of one request."""

    body_bytes: int = 8 << 20
    """Packed and unpacked."""
    documents: int = 1_000
    seconds: float = 30.0
    """Until its body has come."""


class RequestMetrics(Protocol):
    """What is reported of requests."""

    def answered(self, status: int) -> None:
        """A request got this status."""
        ...


def routes(
    push: Push, keyring: Keyring, meter: Meter, limits: PushLimits, metrics: RequestMetrics
) -> list[Route]:
    """The endpoint, for `monitor.http.application`. Without keys it is off, and says so."""
    endpoint = _Endpoint(push, keyring, meter, limits, metrics)
    methods = ["POST"] if len(keyring) else ["GET", "POST"]
    return [Route(PATH, endpoint.answer, methods=methods)]


class _Endpoint:
    def __init__(
        self,
        push: Push,
        keyring: Keyring,
        meter: Meter,
        limits: PushLimits,
        metrics: RequestMetrics,
    ) -> None:
        self._push = push
        self._keyring = keyring
        self._meter = meter
        self._limits = limits
        self._metrics = metrics
        self._open = 0
        self._threads: anyio.CapacityLimiter | None = None

    async def answer(self, request: Request) -> Response:
        """One request, from its headers to its answer."""
        try:
            answer = await self._taken(request)
            kind = "application/json" if answer.status == 202 else PROBLEM
            response = Response(answer.body, answer.status, media_type=kind)
        except RefusedError as refused:
            response = answer_to(refused)
        except ClientDisconnect:
            response = Response(status_code=400)
        self._metrics.answered(response.status_code)
        return response

    async def _taken(self, request: Request) -> Answer:
        if not len(self._keyring):
            raise RefusedError(
                404,
                "documents are not taken here: no API key is configured; add one under "
                "[[http.keys]] (docs/push.md)",
            )
        caller = self._keyring.caller(request.headers.get("authorization"))
        self._meter.admit(caller)
        if self._open >= _AT_ONCE:
            raise later(1, f"{_AT_ONCE} requests are being read; send this one again")
        self._open += 1
        try:
            kind, key = _kind(request), _key(request)
            body = await self._body(request)
            if self._threads is None:
                self._threads = anyio.CapacityLimiter(_WORKING)
            work = partial(self._work, caller, request, body, kind, key)
            return await anyio.to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._open -= 1

    async def _body(self, request: Request) -> bytes:
        limit = self._limits.body_bytes
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise too_large(limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > limit:
                        raise too_large(limit)
        except TimeoutError:
            raise RefusedError(
                408, f"the body did not come within {self._limits.seconds:g} s", _CLOSE
            ) from None
        return bytes(body)

    def _work(
        self, caller: ApiKey, request: Request, body: bytes, kind: Kind | None, key: str | None
    ) -> Answer:
        headers = request.headers
        plain = unpacked(body, headers.get("content-encoding"), self._limits.body_bytes)
        values = documents_of(plain, headers.get("content-type"), self._limits.documents)
        self._meter.charge(caller, len(values))
        digest = hashlib.sha256(f"{kind or ''}\n".encode() + plain).hexdigest()
        try:
            return self._push.take(caller, values, kind, key, digest)
        except StoreError as error:
            # What is wrong with the database is for the operator alone.
            log.warning("documents could not be taken: %s", error)
            raise later(
                _STORE_RETRY,
                "the database does not answer as it should; send the request again later (what "
                "was taken already will be a duplicate)",
                503,
            ) from None


_CLOSE = {"Connection": "close"}


def _kind(request: Request) -> Kind | None:
    given = request.query_params.get("kind")
    if given is None:
        return None
    try:
        return Kind(given)
    except ValueError:
        raise RefusedError(400, f"kind must be news or comment, not {ascii(given)[:40]}") from None


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
        raise RefusedError(
            400, f"the Idempotency-Key must have 1 to {_LONGEST_KEY} printable characters"
        )
    return key
