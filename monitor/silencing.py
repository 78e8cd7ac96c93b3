"""``/v1/silences`` and ``/v1/acknowledgements``: see docs/routing.md."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitor.alert.codec import moment, timestamp
from monitor.errors import ConfigError, StoreError
from monitor.matchers import Matcher
from monitor.push.admission import Admission
from monitor.push.refusal import RefusedError, answer_to
from monitor.store.muting.base import Acknowledgement, Muting, Silence, newest_first

log = logging.getLogger(__name__)

_BODY = 64 << 10
_WORDS = 1000  # characters of a name, a note, a comment
_MATCHERS = 50
_LONGEST = timedelta(days=366)
_OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}


def silencing_routes(
    muting: Muting, admission: Admission, now: Callable[[], datetime]
) -> list[Route]:
    """The endpoints, for `monitor.http.application`."""
    desk = _Desk(muting, admission, now)
    return [
        Route("/v1/silences", desk.silences, methods=["GET", "POST"]),
        Route("/v1/silences/{id}", desk.silence, methods=["GET", "DELETE"]),
        Route("/v1/acknowledgements", desk.acknowledgements, methods=["GET", "POST"]),
        Route("/v1/acknowledgements/{id}", desk.acknowledgement, methods=["DELETE"]),
    ]


class _Desk:
    def __init__(self, muting: Muting, admission: Admission, now: Callable[[], datetime]) -> None:
        self._muting = muting
        self._admission = admission
        self._now = now

    async def silences(self, request: Request) -> Response:
        """List them, or add one."""
        return await self._answered(
            request, self._list_silences if request.method == "GET" else self._add_silence
        )

    async def silence(self, request: Request) -> Response:
        """Show one, or end it."""
        return await self._answered(
            request, self._show_silence if request.method == "GET" else self._end_silence
        )

    async def acknowledgements(self, request: Request) -> Response:
        """List them, or add one."""
        return await self._answered(
            request, self._list_taken if request.method == "GET" else self._take
        )

    async def acknowledgement(self, request: Request) -> Response:
        """Take one back."""
        return await self._answered(request, self._withdraw)

    async def _answered(
        self, request: Request, work: Callable[[Request, bytes], tuple[int, object]]
    ) -> Response:
        try:
            self._admission.check(request)
            body = await _body(request)
            status, said = await anyio.to_thread.run_sync(work, request, body)
            return JSONResponse(said, status)
        except RefusedError as refused:
            return answer_to(refused)
        except StoreError as error:
            log.warning("silences can't be read or written: %s", error)
            why = "the database does not answer as it should; try again"
            return answer_to(RefusedError(503, why))

    def _list_silences(self, _request: Request, _body: bytes) -> tuple[int, object]:
        now = self._now()
        found = newest_first(self._muting.muted(now).silences)
        return 200, [_silence_shown(silence, now) for silence in found]

    def _show_silence(self, request: Request, _body: bytes) -> tuple[int, object]:
        now = self._now()
        for silence in self._muting.muted(now).silences:
            if silence.id == request.path_params["id"]:
                return 200, _silence_shown(silence, now)
        raise RefusedError(404, "there is no such silence, or it is over")

    def _add_silence(self, _request: Request, body: bytes) -> tuple[int, object]:
        now = self._now()
        fields = _Fields(body, {"matchers", "startsAt", "endsAt", "createdBy", "comment"})
        starts = fields.moment("startsAt", now)
        silence = Silence(
            str(uuid.uuid4()),
            fields.matchers(),
            starts,
            fields.end("endsAt", max(starts, now)),
            fields.words("createdBy", required=True),
            fields.words("comment", required=False),
            now,
        )
        self._muting.silence(silence)
        return 201, {"silenceID": silence.id}

    def _end_silence(self, request: Request, _body: bytes) -> tuple[int, object]:
        if not self._muting.expire(request.path_params["id"], self._now()):
            raise RefusedError(404, "there is no such silence, or it is over")
        return 200, {"ended": request.path_params["id"]}

    def _list_taken(self, _request: Request, _body: bytes) -> tuple[int, object]:
        found = self._muting.muted(self._now()).acknowledgements
        return 200, [_taken_shown(taken) for taken in found]

    def _take(self, _request: Request, body: bytes) -> tuple[int, object]:
        now = self._now()
        fields = _Fields(body, {"alertID", "owner", "note", "until"})
        taken = Acknowledgement(
            fields.words("alertID", required=True),
            fields.words("owner", required=True),
            fields.words("note", required=False),
            fields.end("until", now),
            now,
        )
        if not self._muting.firing(taken.alert_id):
            raise RefusedError(404, "there is no such alert, or it has ended")
        self._muting.acknowledge(taken)
        return 201, _taken_shown(taken)

    def _withdraw(self, request: Request, _body: bytes) -> tuple[int, object]:
        if not self._muting.withdraw(request.path_params["id"]):
            raise RefusedError(404, "this alert is not acknowledged")
        return 200, {"withdrawn": request.path_params["id"]}


class _Fields:
    """The members of a JSON object; each fault is a 400 that names the member."""

    def __init__(self, body: bytes, known: set[str]) -> None:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "the body is not JSON") from None
        if not isinstance(value, dict):
            raise RefusedError(400, "the body is not a JSON object")
        if unknown := sorted(set(value) - known):
            shown = ascii(unknown[0])[:40]
            raise RefusedError(400, f"{shown} is not known; known are {', '.join(sorted(known))}")
        self._value: dict[str, Any] = value

    def words(self, name: str, *, required: bool) -> str:
        """A text for people, at most `_WORDS` characters."""
        value = self._value.get(name, "")
        if not isinstance(value, str) or len(value) > _WORDS or (required and not value.strip()):
            least = "1" if required else "0"
            raise RefusedError(400, f"{name}: expected a text of {least} to {_WORDS} characters")
        if any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in value):
            raise RefusedError(400, f"{name}: holds a character that is none")
        return value.strip()

    def moment(self, name: str, default: datetime) -> datetime:
        """A time with its zone (RFC 3339)."""
        if name not in self._value:
            return default
        try:
            return moment(self._value[name])
        except (TypeError, ValueError, OverflowError):
            raise RefusedError(
                400, f"{name}: expected a time with its zone, as 2026-05-04T12:00:00Z"
            ) from None

    def end(self, name: str, after: datetime) -> datetime:
        """A time that is later than ``after``, by a year at most."""
        if name not in self._value:
            raise RefusedError(400, f"{name} is missing: nothing is silent for ever")
        found = self.moment(name, after)
        if not after < found <= after + _LONGEST:
            least = f"{after:%Y-%m-%dT%H:%M:%SZ}"
            raise RefusedError(
                400, f"{name}: expected a time after {least} and within a year of it"
            )
        return found

    def matchers(self) -> tuple[Matcher, ...]:
        """As Alertmanager writes them: ``{"name", "value", "isRegex", "isEqual"}``."""
        value = self._value.get("matchers")
        if not isinstance(value, list) or not 0 < len(value) <= _MATCHERS:
            raise RefusedError(400, f"matchers: expected a list of 1 to {_MATCHERS}")
        return tuple(_matcher(item) for item in value)


def _matcher(item: object) -> Matcher:
    if not isinstance(item, dict) or set(item) - {"name", "value", "isRegex", "isEqual"}:
        raise RefusedError(400, 'matchers: write {"name": "topic", "value": "Energy"}')
    name, value = item.get("name"), item.get("value")
    equal, regex = item.get("isEqual", True), item.get("isRegex", False)
    if not (isinstance(name, str) and isinstance(value, str)):
        raise RefusedError(400, "matchers: name and value are texts")
    if not (isinstance(equal, bool) and isinstance(regex, bool)):
        raise RefusedError(400, "matchers: isRegex and isEqual are true or false")
    try:
        return Matcher(name, _OPERATORS[equal, regex], value)  # type: ignore[arg-type]
    except ConfigError as error:
        raise RefusedError(400, f"matchers: {error}") from None


def _silence_shown(silence: Silence, now: datetime) -> dict[str, object]:
    return {
        "id": silence.id,
        "status": {"state": "active" if silence.active(now) else "pending"},
        "matchers": [
            {
                "name": m.name,
                "value": m.value,
                "isRegex": m.operator.endswith("~"),
                "isEqual": m.operator.startswith("="),
            }
            for m in silence.matchers
        ],
        "startsAt": timestamp(silence.starts),
        "endsAt": timestamp(silence.ends),
        "createdBy": silence.created_by,
        "comment": silence.comment,
    }


def _taken_shown(taken: Acknowledgement) -> dict[str, object]:
    return {
        "alertID": taken.alert_id,
        "owner": taken.owner,
        "note": taken.note,
        "until": timestamp(taken.until),
        "acknowledgedAt": timestamp(taken.created_at),
    }


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _BODY:
            raise RefusedError(413, f"at most {_BODY} bytes")
    return bytes(body)
