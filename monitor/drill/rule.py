"""When a drill fires: all of its documents have come through and were judged negative. Pure.

No statistics: they would need a baseline, and a drill must leave none behind. What is exercised is
the way, from Kafka to the receiver, and that the model judges what nobody could mistake.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from monitor.drill.texts import DOCUMENTS
from monitor.events import Alert, AlertStatus, Evidence, Scored, Severity, Waterfall
from monitor.keys import drill_key
from monitor.store.base import DrillProgress, Journey

DETECTOR = "drill"
VERSION = "drill-1"
_NAMESPACE = uuid.UUID("6f0c8a52-1f0e-5d0b-9f55-6b3f5c0a4c11")


def alert_id(name: str) -> str:
    """The id of the alert of a drill, or of another thing of this detector."""
    return str(uuid.uuid5(_NAMESPACE, f"{DETECTOR}|{name}"))


def alert_labels(drill: str = "any") -> dict[str, str]:
    """What routes and silences see of the alert of a drill."""
    return {
        "alertname": "Drill",
        "severity": Severity.CRITICAL.value,
        "key": drill_key(drill),
        "drill": drill,
        "detector": DETECTOR,
        "alert_id": alert_id(drill),
    }


def rehearse(
    arrived: Iterable[Scored],
    before: Callable[[str], DrillProgress | None],
    ingested_at: datetime,
    now: datetime,
) -> tuple[list[DrillProgress], list[Alert]]:
    """The drills whose documents came, and the alerts that fire; ``before``: how far a drill is."""
    by_drill: dict[str, list[Scored]] = {}
    for scored in arrived:
        by_drill.setdefault(scored.document.drill or "", []).append(scored)
    changed: list[DrillProgress] = []
    fired: list[Alert] = []
    for drill, documents in by_drill.items():
        after, alert = advance(before(drill), drill, documents, ingested_at, now)
        changed += [after] if after is not None else []
        fired += [alert] if alert is not None else []
    return changed, fired


def advance(
    before: DrillProgress | None,
    drill: str,
    arrived: Iterable[Scored],
    ingested_at: datetime,
    now: datetime,
) -> tuple[DrillProgress | None, Alert | None]:
    """The drill once these documents of its have been scored, and the alert that fires.

    ``ingested_at``: wall time of their poll; ``now``: of the transaction. None: nothing changed.
    """
    if before is not None and before.over:
        return None, None
    evidence = before.evidence if before is not None else ()
    negative = before.negative if before is not None else 0
    known = {piece.document_id for piece in evidence}
    last = None
    for scored in arrived:
        if scored.document.id in known or len(evidence) == DOCUMENTS:
            continue
        known.add(scored.document.id)
        evidence = (*evidence, _evidence(scored))
        negative += scored.label == "negative"
        last = scored
    if last is None:
        return None, None
    document = last.document
    journey = Journey(document.published_at, document.appended_at, ingested_at, last.scored_at)
    after = DrillProgress(drill, evidence, negative, journey, last.model_version)
    if negative < DOCUMENTS:
        return after, None
    after = replace(after, fired_at=now)
    return after, _alert(after, Waterfall(*journey, fired_at=now))


def _evidence(scored: Scored) -> Evidence:
    document = scored.document
    return Evidence(
        document_id=document.id,
        published_at=document.published_at,
        source=document.source,
        title=document.title,
        url=document.url,
        negative=scored.sentiment[0],
        topic=scored.topic_name,
        story=document.id,
    )


def _alert(drill: DrillProgress, waterfall: Waterfall) -> Alert:
    since = min(piece.published_at for piece in drill.evidence)
    until = max(piece.published_at for piece in drill.evidence)
    return Alert(
        id=alert_id(drill.id),
        key=drill_key(drill.id),
        detector=DETECTOR,
        detector_version=VERSION,
        status=AlertStatus.FIRING,
        severity=Severity.CRITICAL,  # it must go the way that the loudest alert goes
        started_at=since,
        fired_at=until,
        resolved_at=None,
        value=drill.negative / DOCUMENTS,
        baseline=0.0,
        evalue=float(drill.negative),
        threshold=float(DOCUMENTS),
        documents=DOCUMENTS,
        negative=drill.negative,
        window_start=since,
        window_end=until,
        summary=f"DRILL {drill.id}: nothing has happened, {DOCUMENTS} invented documents came "
        "through and were judged negative",
        model_version=drill.model_version,
        appended_at=waterfall.appended_at,
        updated_at=waterfall.fired_at,
        evidence=drill.evidence,
        posts=DOCUMENTS,
        stories=DOCUMENTS,
        largest_story=1,
        waterfall=waterfall,
    )
