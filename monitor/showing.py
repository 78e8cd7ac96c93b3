"""``GET /v1/alerts``: see docs/routing.md."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.alert.codec import alert_to_object, compact_json, timestamp
from monitor.alert.payload import alert_name
from monitor.alert.policy import silencing
from monitor.alert.standing import not_sent, standing
from monitor.errors import StoreError
from monitor.events import Alert, AlertStatus
from monitor.push.admission import Admission
from monitor.push.refusal import RefusedError, answer_to, later
from monitor.store.muting.base import Muted, Muting

log = logging.getLogger(__name__)

USUAL, MOST = 50, 200
"""Alerts of one answer, without ``limit`` and at most."""
_RETRY = 5.0

Latest = Callable[[int, AlertStatus | None], Sequence[Alert]]
One = Callable[[str], Alert | None]


def showing_routes(
    latest: Latest, one: One, muting: Muting, admission: Admission, now: Callable[[], datetime]
) -> list[Route]:
    """The endpoints, for `monitor.http.application`.

    ``latest(limit, status)``: the last alerts; ``one(id)``: one of them, or None.
    """

    def listed(request: Request) -> Response:
        def answer() -> object:
            limit, status = _asked(request)
            muted = muting.muted(now())
            return {"alerts": [_shown(a, muted, now()) for a in latest(limit, status)]}

        return _answered(request, answer)

    def single(request: Request) -> Response:
        def answer() -> object:
            found = one(request.path_params["id"])
            if found is None:
                raise RefusedError(404, "there is no such alert")
            return _shown(found, muting.muted(now()), now())

        return _answered(request, answer)

    def _answered(request: Request, answer: Callable[[], object]) -> Response:
        try:
            admission.check(request)
            return Response(compact_json(answer()), media_type="application/json")
        except RefusedError as refused:
            return answer_to(refused)
        except StoreError as error:
            log.warning("the alerts can't be read: %s", error)
            why = "the database does not answer as it should; try again"
            return answer_to(later(_RETRY, why, 503))

    return [Route("/v1/alerts", listed), Route("/v1/alerts/{id}", single)]


def _asked(request: Request) -> tuple[int, AlertStatus | None]:
    """``limit`` and ``status`` of the query."""
    query = request.query_params
    if unknown := sorted(set(query) - {"limit", "status"}):
        shown = ascii(unknown[0])[:40]
        raise RefusedError(400, f"{shown} is not known; known are limit, status")
    try:
        status = AlertStatus(query["status"]) if "status" in query else None
    except ValueError:
        known = ", ".join(AlertStatus)
        raise RefusedError(400, f"status: expected one of {known}") from None
    limit = query.get("limit", str(USUAL))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9 and 0 < int(limit) <= MOST):
        raise RefusedError(400, f"limit: expected a number from 1 to {MOST}")
    return int(limit), status


def _shown(alert: Alert, muted: Muted, now: datetime) -> dict[str, Any]:
    """The alert as on the topic ``alerts``, and where it stands."""
    taken = next(
        (a for a in muted.acknowledgements if a.alert_id == alert.id and now < a.until), None
    )
    return {
        "state": standing(alert).value,
        "not_sent": not_sent(alert),
        "alertname": alert_name(alert),
        "silenced_by": [silence.id for silence in silencing(alert, muted, now)],
        "acknowledgement": taken
        and {"owner": taken.owner, "note": taken.note, "until": timestamp(taken.until)},
        **alert_to_object(alert),
    }
