"""A request that is not taken, in the words of RFC 9457 (problem details)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

PROBLEM = "application/problem+json"


class RefusedError(Exception):
    """What is wrong with a request as a whole, and how to mend it."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.body = problem(status, detail, **more)


def problem(status: int, detail: str, **more: object) -> dict[str, object]:
    """The members of a problem; ``more`` are extensions. Its type is ``about:blank``, so the title
    is the status in words."""
    return {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}


def answer_to(refused: RefusedError) -> JSONResponse:
    """What the caller is told."""
    return JSONResponse(refused.body, refused.status, headers=refused.headers, media_type=PROBLEM)


def later(seconds: float, detail: str, status: int = 429) -> RefusedError:
    """Not now: come again after so many seconds (at least 1)."""
    whole = max(1, -int(-seconds // 1))
    return RefusedError(status, detail, {"Retry-After": str(whole)})
