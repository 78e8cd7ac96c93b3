"""Between alerts, with their evidence, and rows of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from monitor.events import (
    About,
    Alert,
    AlertStatus,
    Evidence,
    Explained,
    Setting,
    Severity,
    Subject,
    Term,
    Waterfall,
)
from monitor.store.rows import Values, milliseconds, moment, optional_moment, optional_ms


def alert_values(alert: Alert) -> Values:
    return {
        "id": alert.id,
        "key": alert.key,
        "detector": alert.detector,
        "detector_version": alert.detector_version,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "started_ms": milliseconds(alert.started_at),
        "fired_ms": optional_ms(alert.fired_at),
        "resolved_ms": optional_ms(alert.resolved_at),
        "value": float(alert.value),
        "baseline": float(alert.baseline),
        "evalue": float(alert.evalue),
        "threshold": float(alert.threshold),
        "documents": alert.documents,
        "negative": alert.negative,
        "window_start_ms": milliseconds(alert.window_start),
        "window_end_ms": milliseconds(alert.window_end),
        "summary": alert.summary,
        "model_version": alert.model_version,
        "appended_ms": milliseconds(alert.appended_at),
        "updated_ms": milliseconds(alert.updated_at),
        "evidence": evidence_text(alert.evidence),
        "posts": alert.posts,
        "stories": alert.stories,
        "largest_story": alert.largest_story,
        "setting": json.dumps(asdict(alert.setting)),
        "waterfall": alert.waterfall and json.dumps(_waterfall_values(alert.waterfall)),
        "receipt": alert.receipt,
        "about": None if alert.about == About() else json.dumps(asdict(alert.about)),
    }


def alert_of(row: Row[Any]) -> Alert:
    return Alert(
        id=row.id,
        key=row.key,
        detector=row.detector,
        detector_version=row.detector_version,
        status=AlertStatus(row.status),
        severity=Severity(row.severity),
        started_at=moment(row.started_ms),
        fired_at=optional_moment(row.fired_ms),
        resolved_at=optional_moment(row.resolved_ms),
        value=row.value,
        baseline=row.baseline,
        evalue=row.evalue,
        threshold=row.threshold,
        documents=row.documents,
        negative=row.negative,
        window_start=moment(row.window_start_ms),
        window_end=moment(row.window_end_ms),
        summary=row.summary,
        model_version=row.model_version,
        appended_at=moment(row.appended_ms),
        updated_at=moment(row.updated_ms),
        evidence=evidence_of_text(row.evidence),
        posts=row.posts,
        stories=row.stories,
        largest_story=row.largest_story,
        setting=_setting_of(json.loads(row.setting)),
        waterfall=None if row.waterfall is None else _waterfall_of(json.loads(row.waterfall)),
        receipt=row.receipt,
        about=About() if row.about is None else _about_of(json.loads(row.about)),
    )


def _waterfall_values(waterfall: Waterfall) -> Values:
    return {
        "published_ms": milliseconds(waterfall.published_at),
        "appended_ms": milliseconds(waterfall.appended_at),
        "ingested_ms": optional_ms(waterfall.ingested_at),
        "scored_ms": milliseconds(waterfall.scored_at),
        "fired_ms": milliseconds(waterfall.fired_at),
    }


def _waterfall_of(values: Values) -> Waterfall:
    return Waterfall(
        published_at=moment(values["published_ms"]),
        appended_at=moment(values["appended_ms"]),
        ingested_at=optional_moment(values["ingested_ms"]),
        scored_at=moment(values["scored_ms"]),
        fired_at=moment(values["fired_ms"]),
    )


def evidence_text(evidence: Iterable[Evidence]) -> str:
    """Evidence as a JSON list."""
    return json.dumps([_evidence_values(piece) for piece in evidence])


def evidence_of_text(text: str) -> tuple[Evidence, ...]:
    """The inverse of ``evidence_text``."""
    return tuple(_evidence_of(values) for values in json.loads(text))


def _evidence_values(piece: Evidence) -> Values:
    return {
        "document_id": piece.document_id,
        "published_ms": milliseconds(piece.published_at),
        "source": piece.source,
        "title": piece.title,
        "url": piece.url,
        "negative": float(piece.negative),
        "topic": piece.topic,
        "excerpt": piece.excerpt,
        "story": piece.story,
        "copies": piece.copies,
    }


def _evidence_of(values: Values) -> Evidence:
    return Evidence(
        document_id=values["document_id"],
        published_at=moment(values["published_ms"]),
        source=values["source"],
        title=values["title"],
        url=values["url"],
        negative=values["negative"],
        topic=values["topic"],
        excerpt=values["excerpt"],
        # Earlier versions wrote neither.
        story=values.get("story", ""),
        copies=values.get("copies", 0),
    )


def _setting_of(values: Values) -> Setting:
    corrected, rate = values.get("corrected"), values.get("rate")
    return Setting(
        **{
            **values,
            "explained": tuple(Explained(*pair) for pair in values.get("explained", ())),
            "corrected": None if corrected is None else tuple(corrected),
            "rate": None if rate is None else tuple(rate),
        }
    )


def _about_of(values: Values) -> About:
    return About(
        values["voices"],
        tuple(Term(*term) for term in values["terms"]),
        tuple(Subject(*subject) for subject in values["named"]),
        tuple(Subject(*subject) for subject in values["topics"]),
    )
