"""The verdicts over HTTP: for programs with an API key, and for people with a signed link."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from monitor.errors import StoreError
from monitor.push.keys import Keyring
from monitor.push.refusal import RefusedError, answer_to, later
from monitor.store.verdicts.base import NOTE, WHO, Judgement, Verdict, Verdicts
from monitor.verdict.links import LinkError, Links

log = logging.getLogger(__name__)

_BODY = 16 << 10  # bytes of a verdict
_RETRY = 5.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # No script, no frame, nothing from elsewhere; the form goes back to where it came from.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}
_WORDS = {
    Judgement.TRUE: "true: it had to be told",
    Judgement.FALSE: "false: there was nothing",
    Judgement.DUPLICATE: "a duplicate: another alert has told it",
    Judgement.EXPECTED: "expected: it was known beforehand",
}


class VerdictWeb:
    """The endpoints, as routes for `monitor.http.application`."""

    def __init__(
        self,
        verdicts: Verdicts,
        keyring: Keyring,
        links: Links | None,
        wall: Callable[[], datetime],
    ) -> None:
        """``keyring``: the keys that may judge; without one the API is off, as are the links
        without ``links``."""
        self._verdicts = verdicts
        self._keyring = keyring
        self._links = links
        self._wall = wall

    @property
    def routes(self) -> list[Route]:
        """Both ways in."""
        return [
            Route("/v1/alerts/{alert}/verdict", self._api, methods=["GET", "POST"]),
            Route("/v1/alerts/{alert}/verdict/{verdict}", self._page, methods=["GET", "POST"]),
        ]

    async def _api(self, request: Request) -> Response:
        try:
            who, alert = self._caller(request), request.path_params["alert"]
            if request.method == "POST":
                judgement, note = _stated(await _body(request))
                await self._give(Verdict(alert, judgement, who, note, self._wall()))
            return JSONResponse(await self._history(alert))
        except RefusedError as refused:
            return answer_to(refused)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _page(self, request: Request) -> Response:
        try:
            alert, judgement = self._linked(request)
            if request.method != "POST":
                told = await _stored(lambda: self._verdicts.summary(alert))
                if told is None:
                    raise _unknown()
                about = f"<p>{html.escape(told)}</p>"
                return _html(200, f"This alert was {_WORDS[judgement]}.", about + _FORM)
            who, note = _form(await _body(request))
            await self._give(Verdict(alert, judgement, who, note, self._wall()))
            return _html(200, "Noted. Thank you.", f"<p>The alert was {_WORDS[judgement]}.</p>")
        except LinkError as error:
            return _html(410 if error.expired else 403, "This does not work.", _said(str(error)))
        except RefusedError as refused:
            page = _html(refused.status, "This does not work.", _said(str(refused)))
            page.headers.update(refused.headers)
            return page
        except ClientDisconnect:
            return Response(status_code=400)

    def _caller(self, request: Request) -> str:
        """Who asks, by the API key."""
        if not len(self._keyring):
            raise RefusedError(
                404,
                "verdicts are not taken here: no API key may give any; set verdicts = true "
                "under [[http.keys]] (docs/verdicts.md)",
            )
        return self._keyring.caller(request.headers.get("authorization")).name

    def _linked(self, request: Request) -> tuple[str, Judgement]:
        """What a link is for, once it is known to be good."""
        if self._links is None:
            raise RefusedError(404, "no links are made here: [verdicts] secret is not set")
        alert, judgement = request.path_params["alert"], _parse(request.path_params["verdict"])
        self._links.check(alert, judgement, request.query_params, self._wall())
        return alert, judgement

    async def _give(self, verdict: Verdict) -> None:
        if not await _stored(lambda: self._verdicts.give(verdict)):
            raise _unknown()

    async def _history(self, alert: str) -> dict[str, Any]:
        found = await _stored(lambda: self._verdicts.of(alert))
        if found is None:
            raise _unknown()
        history = [
            {
                "verdict": verdict.judgement.value,
                "who": verdict.who,
                "note": verdict.note,
                "at": verdict.at.isoformat().replace("+00:00", "Z"),
            }
            for verdict in found
        ]
        current = history[0]["verdict"] if history else None
        return {"alert_id": alert, "verdict": current, "history": history}


_FORM = (
    '<form method="post"><p><label>Your name <input name="who" maxlength="100"></label></p>'
    '<p><label>A note <input name="note" maxlength="500" size="40"></label></p>'
    "<p><button>Yes, note it</button></p></form>"
)


async def _stored(work: Callable[[], Any]) -> Any:
    try:
        return await anyio.to_thread.run_sync(work)
    except StoreError as error:
        log.warning("a verdict could not be noted or read: %s", error)
        raise later(_RETRY, "the database does not answer as it should; try again", 503) from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _BODY:
            raise RefusedError(413, f"a verdict has at most {_BODY:,} bytes")
    return bytes(body)


def _stated(body: bytes) -> tuple[Judgement, str]:
    """The verdict and the note of a request of the API."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not {*value} <= {"verdict", "note"}:
        raise RefusedError(400, 'send {"verdict": "…", "note": "…"} as JSON')
    note = value.get("note") or ""
    if not isinstance(note, str) or len(note) > NOTE:
        raise RefusedError(400, f"note must be a string of at most {NOTE:,} characters")
    return _parse(value.get("verdict")), _clean(note)


def _parse(value: object) -> Judgement:
    try:
        return Judgement(value)  # type: ignore[arg-type]
    except ValueError:
        known = ", ".join(Judgement)
        raise RefusedError(400, f"verdict must be one of {known}") from None


def _form(body: bytes) -> tuple[str, str]:
    """Who says it and the note, from the page."""
    fields = parse_qs(body.decode(errors="replace"), max_num_fields=8)
    who, note = (_clean(fields.get(name, [""])[0]).strip() for name in ("who", "note"))
    return f"{who or 'somebody'} (link)"[:WHO], note[:NOTE]


def _clean(text: str) -> str:
    """Without what no database takes: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _unknown() -> RefusedError:
    return RefusedError(404, "there is no such alert, or it belongs to a drill")


def _said(text: str) -> str:
    return f"<p>{html.escape(text[:1].upper() + text[1:])}.</p>"


def _html(status: int, title: str, body: str) -> Response:
    """A small page; ``body`` is HTML."""
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>body{{font:1rem/1.5 system-ui;max-width:34rem;"
        "margin:4rem auto;padding:0 1rem;overflow-wrap:anywhere}input{font:inherit;max-width:100%;"
        "box-sizing:border-box}button{font:inherit;padding:.4rem 1rem}</style>"
        f"<h1>{html.escape(title)}</h1>{body}</html>",
        status,
        _HEADERS,
    )
