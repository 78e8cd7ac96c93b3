"""``GET /v1/alerts/{id}/receipt``: an alert's receipt, byte for byte, for whoever archives it."""

from __future__ import annotations

import logging

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.errors import StoreError
from monitor.push.keys import Keyring
from monitor.push.refusal import RefusedError, answer_to, later
from monitor.receipt.base import sha256_of
from monitor.store.base import KeptReceipt
from monitor.store.receipts.base import Receipts

log = logging.getLogger(__name__)

_RETRY = 5.0


def receipt_routes(receipts: Receipts, keyring: Keyring) -> list[Route]:
    """The endpoint, for `monitor.http.application`. ``keyring``: the keys that may read receipts;
    without one nobody may."""

    async def receipt(request: Request) -> Response:
        try:
            _admit(keyring, request)
            kept = await anyio.to_thread.run_sync(_found, receipts, request.path_params["alert"])
        except RefusedError as refused:
            return answer_to(refused)
        except StoreError as error:
            log.warning("a receipt could not be read: %s", error)
            return answer_to(later(_RETRY, "the database does not answer; try again", 503))
        headers = {"ETag": f'"{sha256_of(kept.body)}"', "Cache-Control": "no-store"}
        return Response(kept.body, headers=headers, media_type="application/json")

    return [Route("/v1/alerts/{alert}/receipt", receipt)]


def _admit(keyring: Keyring, request: Request) -> None:
    if not len(keyring):
        raise RefusedError(
            404,
            "receipts are not given out here: set verdicts = true under [[http.keys]] "
            "(docs/receipt.md)",
        )
    keyring.caller(request.headers.get("authorization"))


def _found(receipts: Receipts, alert: str) -> KeptReceipt:
    if (kept := receipts.find(alert)) is None:
        raise RefusedError(404, "there is no such alert, or it has no receipt")
    return kept
