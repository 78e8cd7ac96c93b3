"""What smaller models cost and bring: size, speed, accuracy, against one in float32."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

import numpy as np

from models.dataset.corpus import Corpus
from models.evaluation.document import table
from models.evaluation.metrics import accuracy, confusion_matrix, macro_f1
from models.labels import LABELS, Task
from models.predict import Predictor

ROUNDS: Final = 5
TIMED: Final = 128
"""Texts of a round."""

Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A loaded model and the bytes that it needs on disk."""

    predictor: Predictor
    size: int


@dataclass(frozen=True, slots=True)
class Quality:
    """On the texts of one task; `agreement`: share with the same label as the reference."""

    texts: int
    accuracy: float
    macro_f1: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Row:
    """One model; `speed` is texts/s over the reference's, median of the rounds, with extremes."""

    name: str
    version: str
    size: int  # bytes
    texts_per_second: float
    speed: float
    slowest: float
    fastest: float
    quality: dict[Task, Quality]


def compare(
    candidates: Mapping[str, Candidate],
    corpora: Sequence[Corpus],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
    advance: Advance = lambda _done, _all: None,
) -> list[Row]:
    """Measure all candidates on the same texts; the first is the reference.

    Each round times every candidate once on the same texts, so that a busy machine slows all
    alike; ratios are of one round.
    """
    names = list(candidates)
    texts = [text for corpus in corpora for text in corpus.texts][
        :: max(1, sum(map(len, corpora)) // TIMED)
    ][:TIMED]
    steps = len(names) * (rounds + 1 + len(corpora))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        advance(done, steps)

    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names:
            predictor = candidates[name].predictor
            start = clock()
            predictor.predict(predictor.encode(texts))
            if turn:  # the first warms the kernels up
                seconds[name].append(clock() - start)
            step()
    labels: dict[str, dict[Task, Any]] = {name: {} for name in names}
    for corpus in corpora:
        for name in names:
            predictor = candidates[name].predictor
            logits = predictor.logits(predictor.encode(corpus.texts))[corpus.task]
            labels[name][corpus.task] = logits.argmax(1)
            step()
    rows = []
    for name in names:
        ratios = [first / own for first, own in zip(seconds[names[0]], seconds[name], strict=True)]
        quality: dict[Task, Quality] = {}
        for corpus in corpora:
            predicted = labels[name][corpus.task]
            matrix = confusion_matrix(corpus.labels, predicted, len(LABELS[corpus.task]))
            quality[corpus.task] = Quality(
                texts=len(corpus),
                accuracy=accuracy(matrix),
                macro_f1=macro_f1(matrix),
                agreement=float(np.mean(predicted == labels[names[0]][corpus.task])),
            )
        rows.append(
            Row(
                name=name,
                version=candidates[name].predictor.version,
                size=candidates[name].size,
                texts_per_second=len(texts) / median(seconds[name]),
                speed=median(ratios),
                slowest=min(ratios),
                fastest=max(ratios),
                quality=quality,
            )
        )
    return rows


def sample(corpus: Corpus, limit: int | None, seed: int = 0) -> Corpus:
    """Return at most so many texts of the corpus, drawn without replacement."""
    if limit is None or len(corpus) <= limit:
        return corpus
    chosen = np.random.default_rng(seed).choice(len(corpus), limit, replace=False)
    return corpus.take(sorted(int(index) for index in chosen))


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table."""
    tasks = list(rows[0].quality)
    head = ["model", "MB on disk", "texts/s", "speed"]
    for task in tasks:
        head += [f"{task} accuracy", "macro-F1", "same label"]
    body = []
    for row in rows:
        line = [
            row.name,
            f"{row.size / 1e6:.1f}",
            f"{row.texts_per_second:.0f}",
            f"{row.speed:.2f} ({row.slowest:.2f} to {row.fastest:.2f})",
        ]
        for task in tasks:
            found, first = row.quality[task], rows[0].quality[task]
            line += [
                _with_change(found.accuracy, first.accuracy),
                _with_change(found.macro_f1, first.macro_f1),
                f"{found.agreement:.1%}",
            ]
        body.append(line)
    return head, body


def markdown(rows: Sequence[Row], about: str) -> str:
    """Return the table as Markdown; `about` tells on what it was measured."""
    head, body = cells(rows)
    return "\n".join(["# Smaller models", "", about, "", *table(head, body)])


def as_json(rows: Sequence[Row], about: str) -> str:
    """Return the table as JSON."""
    return json.dumps(
        {"version": 1, "about": about, "rows": [asdict(row) for row in rows]}, indent=1
    )


def _with_change(value: float, first: float) -> str:
    return f"{value:.4f} ({value - first:+.4f})"
