"""Small valid values of the pipeline's types, and a detector's days from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading
from monitor.events import (
    BUCKET_SECONDS,
    Alert,
    AlertStatus,
    DeadLetter,
    Document,
    Evidence,
    Kind,
    Origin,
    Reason,
    Scored,
    Severity,
    Sums,
)

MONDAY = 1_772_409_600
"""2026-03-02T00:00:00Z, the start of a bucket."""
NOW = datetime(2026, 3, 9, tzinfo=UTC)
DAY = 86_400
DAY_BUCKETS = DAY // BUCKET_SECONDS


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as a datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def scored(
    number: int = 0,
    at: float = MONDAY,
    sentiment: tuple[float, float, float] = (0.8, 0.15, 0.05),
    topic: int = 5,
    kind: Kind = Kind.NEWS,
) -> Scored:
    """A document with its verdict."""
    document = Document(
        id=f"d{number}",
        kind=kind,
        source="northgate-wire",
        published_at=moment(at),
        title="Orders fell",
        text="The plant will close a line.",
        url=None,
        author=None,
        lang="en",
        tickers=("NGT",),
        origin=Origin("news", 0, number),
        appended_at=moment(at + 1),
    )
    return Scored(document, sentiment, topic, 0.9, "memory-1", moment(at + 2))


def dead_letter(value: bytes | None = b"\xff", reason: Reason = Reason.NOT_UTF8) -> DeadLetter:
    """A rejected record."""
    return DeadLetter(Origin("news", 2, 7), reason, "byte 0 is not UTF-8", value, NOW)


def alert(status: AlertStatus = AlertStatus.FIRING, fired: bool = True) -> Alert:
    """An alert of the share detector."""
    return Alert(
        id="6b1f6b0e-0000-5000-8000-000000000001",
        key="all",
        detector="share",
        detector_version="share-1/x",
        status=status,
        severity=Severity.WARNING,
        started_at=moment(MONDAY),
        fired_at=moment(MONDAY + 900) if fired else None,
        resolved_at=None,
        value=0.6,
        baseline=0.2,
        evalue=20_000.0,
        threshold=15_000.0,
        documents=40,
        negative=24,
        window_start=moment(MONDAY),
        window_end=moment(MONDAY + 900),
        summary="Whole stream: 60% negative where 20% is usual",
        model_version="memory-1",
        appended_at=NOW,
        updated_at=NOW,
    )


def evidence(sources: int, number: int = 10) -> tuple[Evidence, ...]:
    """Documents of so many distinct sources."""
    return tuple(
        Evidence(f"d{i}", moment(MONDAY), f"source-{i % sources}", f"Title {i}", None, 0.9)
        for i in range(number)
    )


def reading(
    key: str = "all",
    *,
    alarm: bool = True,
    evalue: float = 20_000.0,
    documents: int = 40,
    since: int = MONDAY,
    bucket_documents: int = 10,
    observed: float = 6.0,
    upper: float = 3.0,
) -> Reading:
    """What a detector says of a key; by default it is in alarm."""
    return Reading(
        key=key,
        alarm=alarm,
        evalue=evalue,
        threshold=15_000.0,
        bucket_documents=bucket_documents,
        observed=observed,
        upper=upper,
        value=0.6,
        baseline=0.2,
        documents=documents,
        negative=min(24, documents),
        since=since,
    )


def sums_of(
    keys: list[str], n: NDArray[np.int64], negative: NDArray[np.int64] | None = None
) -> Mapping[str, Sums]:
    """One bucket's sums of the keys that spoke."""
    x = np.zeros_like(n) if negative is None else negative
    return {keys[i]: Sums(int(n[i]), int(x[i])) for i in np.flatnonzero(n)}
