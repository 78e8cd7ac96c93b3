"""Between drills and rows of their table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from monitor.store.alert_rows import evidence_of_text, evidence_text
from monitor.store.base import DrillProgress, Journey
from monitor.store.drills.base import Drill, DrillOutcome, progressed
from monitor.store.rows import (
    Values,
    milliseconds,
    moment,
    optional_moment,
    optional_ms,
)

PROGRESS = (
    *("arrived", "negative", "event_ms", "appended_ms", "ingested_ms", "scored_ms", "fired_ms"),
    *("model_version", "evidence"),
)
"""The pipeline's columns."""


def drill_values(drill: Drill) -> Values:
    """All columns of a drill that begins, or ends before it begins."""
    return {
        "id": drill.id,
        "scheduled": drill.scheduled,
        "receiver": drill.receiver,
        "started_ms": milliseconds(drill.started_at),
        "deadline_ms": milliseconds(drill.deadline_at),
        "arrived": drill.arrived,
        "negative": drill.negative,
        "event_ms": optional_ms(drill.event_at),
        "appended_ms": optional_ms(drill.appended_at),
        "ingested_ms": optional_ms(drill.ingested_at),
        "scored_ms": optional_ms(drill.scored_at),
        "fired_ms": optional_ms(drill.fired_at),
        "model_version": drill.model_version,
        "evidence": "[]",
        "outcome": drill.outcome.value,
        "reason": drill.reason,
        "ended_ms": optional_ms(drill.ended_at),
    }


def drill_of(row: Row[Any]) -> Drill:
    return Drill(
        id=row.id,
        scheduled=row.scheduled,
        started_at=moment(row.started_ms),
        deadline_at=moment(row.deadline_ms),
        receiver=row.receiver,
        arrived=row.arrived,
        negative=row.negative,
        event_at=optional_moment(row.event_ms),
        appended_at=optional_moment(row.appended_ms),
        ingested_at=optional_moment(row.ingested_ms),
        scored_at=optional_moment(row.scored_ms),
        model_version=row.model_version,
        fired_at=optional_moment(row.fired_ms),
        outcome=DrillOutcome(row.outcome),
        reason=row.reason,
        ended_at=optional_moment(row.ended_ms),
    )


def progress_values(progress: DrillProgress) -> Values:
    """All columns, as of a drill that nobody has announced: of one that is known only those of
    ``PROGRESS`` are written."""
    made_up = drill_values(progressed(None, progress))
    return {**made_up, "evidence": evidence_text(progress.evidence)}


def progress_of(row: Row[Any]) -> DrillProgress | None:
    """None: nothing has arrived, and the drill is not over."""
    over = row.outcome != DrillOutcome.RUNNING.value
    if row.scored_ms is None and not over:
        return None
    at = row.started_ms  # of a drill that is over before anything came: nobody looks at it
    journey = Journey(
        moment(row.event_ms or at),
        moment(row.appended_ms or at),
        optional_moment(row.ingested_ms),
        moment(row.scored_ms or at),
    )
    return DrillProgress(
        id=row.id,
        evidence=evidence_of_text(row.evidence),
        negative=row.negative,
        journey=journey,
        model_version=row.model_version,
        fired_at=optional_moment(row.fired_ms),
        over=over,
    )
