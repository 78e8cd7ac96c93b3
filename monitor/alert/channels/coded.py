"""Answers that say in a JSON field, under HTTP 200, whether they are a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from monitor.alert.base import Answer
from monitor.alert.retry import judge_answer, printable
from monitor.errors import DeliveryError


def judge_code(
    answer: Answer, now: datetime, field: str, said: str, busy: Mapping[int, float | None]
) -> DeliveryError | None:
    """None when the status is 2xx and ``field`` is 0.

    ``said`` is the field with the reason, ``busy`` the codes that mean "later", with the seconds
    after which; every other code needs a person. An answer without a code came from somebody on
    the way and is tried again.
    """
    if fault := judge_answer(answer, now):
        return fault
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    code = found.get(field) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(code, int) or isinstance(code, bool):
        shown = printable(answer.body.decode(errors="replace")) or "nothing"
        return DeliveryError(
            f"the receiver answered {answer.status} without {field}: {shown}", retryable=True
        )
    if code == 0:
        return None
    reason = printable(str(found.get(said, "")))
    return DeliveryError(
        f"the receiver refused with {field} {code}: {reason}",
        retryable=code in busy,
        retry_after=busy.get(code),
    )
