"""Labelled pairs of documents, and how well a way to tell copies agrees with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from monitor.events import Document, Kind, Origin
from monitor.story.stories import Stories, StoriesSettings

PAIRS = Path(__file__).parents[1] / "testdata" / "story_pairs.jsonl"
T0 = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Pair:
    """Two documents, a minute apart, and whether one is a copy of the other."""

    a: Document
    b: Document
    same: bool
    kind: str


class Score(NamedTuple):
    precision: float
    recall: float
    f1: float


def pairs(split: Literal["dev", "test"]) -> list[Pair]:
    found = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    return [
        Pair(
            _document("a", row["a"], T0),
            _document("b", row["b"], T0 + timedelta(minutes=1)),
            row["same"],
            row["kind"],
        )
        for row in found
        if row["split"] == split
    ]


def _document(identifier: str, row: dict[str, str], at: datetime) -> Document:
    return Document(
        id=identifier,
        kind=Kind.NEWS if row["title"] else Kind.COMMENT,
        source=row["source"],
        published_at=at,
        title=row["title"],
        text=row["text"],
        url=None,
        author=row.get("author"),
        lang="en",
        tickers=(),
        origin=Origin("news", 0, 0),
        appended_at=at,
    )


def told(pair: Pair) -> bool:
    """Whether `Stories` tells the second as a copy of the first."""
    stories = Stories(StoriesSettings(capacity=64))
    return stories.tell([pair.a, pair.b])[1].copy_of is not None


def score(labels: Sequence[bool], answers: Sequence[bool]) -> Score:
    """Of the class of copies."""
    both = sum(label and answer for label, answer in zip(labels, answers, strict=True))
    precision = both / sum(answers) if any(answers) else 0.0
    recall = both / sum(labels) if any(labels) else 0.0
    total = precision + recall
    return Score(precision, recall, 2 * precision * recall / total if total else 0.0)
