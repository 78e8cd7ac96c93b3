"""What a drill came to: the first stop that it has not reached, and what to look at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from monitor.drill.texts import DOCUMENTS
from monitor.store.base import NotificationStatus
from monitor.store.drills.base import Drill, DrillOutcome, Sent


class Stop(NamedTuple):
    """One stop of a drill."""

    name: str
    at: datetime | None
    """Wall time; None: not reached."""


def stops(drill: Drill, sent: Sequence[Sent], receivers: Sequence[str]) -> list[Stop]:
    """Every stop on its way, in order; the last ones for each of the ``receivers`` that are
    configured. Of the documents, the last to arrive."""
    ahead = [
        Stop("published", drill.started_at),
        Stop("appended", drill.appended_at),
        Stop("ingested", drill.ingested_at),
        Stop("scored", drill.scored_at),
        Stop("fired", drill.fired_at),
    ]
    for receiver in receivers:
        told = _best(sent, receiver)
        ahead.append(Stop(f"queued for {receiver}", told.queued_at if told else None))
        ahead.append(Stop(f"delivered to {receiver}", told.delivered_at if told else None))
    return ahead


def judge(
    drill: Drill, sent: Sequence[Sent], receivers: Sequence[str], now: datetime
) -> tuple[DrillOutcome, str]:
    """Its outcome, and in words the stop that it did not reach, and what to look at. It fails
    before its deadline where nothing can come any more. Without a receiver it ends when it fires.
    """
    if drill.outcome is not DrillOutcome.RUNNING:
        return drill.outcome, drill.reason
    if drill.arrived == DOCUMENTS and drill.negative < DOCUMENTS:
        return DrillOutcome.FAILED, (
            f"scored: {drill.model_version} judged only {drill.negative} of {DOCUMENTS} clearly "
            "negative texts as negative; look at the model that scores (`python -m models "
            "registry`)"
        )
    missing, hopeless = _missing(drill, sent, receivers)
    if missing is None:
        return DrillOutcome.PASSED, ""
    if hopeless:
        return DrillOutcome.FAILED, missing
    if now >= drill.deadline_at:
        seconds = (drill.deadline_at - drill.started_at).total_seconds()
        return DrillOutcome.FAILED, f"not within {seconds:g} s: {missing}"
    return DrillOutcome.RUNNING, missing


def _missing(
    drill: Drill, sent: Sequence[Sent], receivers: Sequence[str]
) -> tuple[str | None, bool]:
    """The first stop that is missing, in words, and whether waiting is hopeless."""
    if drill.arrived == 0:
        return (
            "ingested: none of its documents has come through; look whether `monitor run` runs and "
            "is ready (/readyz), and at monitor_offset_lag_records"
        ), False
    if drill.fired_at is None:
        return (
            f"scored: {drill.arrived} of {DOCUMENTS} documents have come through; look at the dead "
            "letters, and at monitor_offset_lag_records"
        ), False
    for receiver in (drill.receiver,) if drill.receiver else receivers:
        told = _best(sent, receiver)
        if told is None:
            return (
                f"queued for {receiver}: no notification has been made; look at [delivery] "
                "group_wait, at what keeps alerts from this receiver, and at "
                "monitor_outbox_lag_seconds"
            ), False
        if told.delivered_at is None:
            error = f": {told.last_error}" if told.last_error else ""
            given_up = told.status is NotificationStatus.DEAD
            what = "given up" if given_up else "not taken yet"
            return (
                f"delivered to {receiver}: {what} after {told.attempts} attempts{error}; look at "
                "the receiver (`monitor check`)"
            ), given_up
    return None, False


def _best(sent: Sequence[Sent], receiver: str) -> Sent | None:
    """The notification that was taken first, else the one that still may be, else the last."""
    mine = [each for each in sent if each.receiver == receiver]
    taken = [each for each in mine if each.delivered_at is not None]
    waiting = [each for each in mine if each.status is NotificationStatus.PENDING]
    return next(iter(taken or waiting or mine[-1:]), None)
