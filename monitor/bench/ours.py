"""The scorer of this program as a contestant; the one place that knows how it is built."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from models.predict import Predictor
from monitor.bench.contestant import BenchError, Labels, Precision, Setting
from monitor.score.base import Scorer, Verdicts
from monitor.score.engine import BatchScorer
from monitor.score.transformer import engine_of

CHUNK: Final = {"cpu": 256, "cuda": 1_024}
"""Texts of one submission: on many cores the tokeniser needs many at once."""

PATIENCE: Final = 600.0
"""Seconds for the verdicts of one chunk."""

_DTYPES: Final[dict[Precision, str]] = {"fp32": "float32", "bf16": "bfloat16"}


class Ours:
    """`Predictor` and its scorer, with the settings of the daemon."""

    name = "monitor"
    sorts = True

    def __init__(self, setting: Setting, precision: Precision) -> None:
        self.precision = precision
        self._setting = setting
        self._predictor: Predictor | None = None
        self._scorer: BatchScorer | None = None

    def prepare(self) -> None:
        self._predictor = Predictor.load(
            self._setting.checkpoint,
            device=self._setting.device,
            dtype=_DTYPES[self.precision],
            threads=self._setting.threads,
        )
        self._scorer = engine_of([self._predictor])
        self._scorer.warmup()

    @property
    def scorer(self) -> Scorer:
        """The scorer itself: for single texts."""
        return self._loaded()[1]

    def label(self, texts: Sequence[str]) -> Labels:
        return np.concatenate(
            [_labels(found) for found in verdicts(self.scorer, texts, CHUNK[self._setting.device])]
        )

    def encode(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Tokenise alone."""
        return self._loaded()[0].encode(texts)

    def forward(self, ids: Sequence[Sequence[int]]) -> Labels:
        """Judge rows of ids alone, without the tokeniser."""
        found = self._loaded()[0].predict(ids)
        return np.stack((found.sentiment.argmax(1), found.topic.argmax(1)), axis=1)

    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()
        self._scorer = self._predictor = None

    def _loaded(self) -> tuple[Predictor, BatchScorer]:
        if self._predictor is None or self._scorer is None:
            raise BenchError("the scorer is closed, or was never prepared")
        return self._predictor, self._scorer


class Pledge(Protocol):
    """What a scorer gives for texts that it has taken."""

    def result(self, timeout: float, /) -> Verdicts:
        """Wait for the verdicts."""
        ...


class Submits(Protocol):
    """The part of a scorer that is used here."""

    def submit(self, texts: Sequence[str]) -> Pledge | None:
        """Take the texts in, or None: it is full."""
        ...


def verdicts(scorer: Submits, texts: Sequence[str], chunk: int) -> list[Verdicts]:
    """Return the verdicts of all texts, in order, submitted in chunks of so many.

    So the tokeniser reads the next chunk while the device judges one, as under the daemon.
    """
    found: list[Verdicts] = []
    open_tickets: deque[Pledge] = deque()
    for start in range(0, len(texts), chunk):
        part = texts[start : start + chunk]
        while (ticket := scorer.submit(part)) is None:
            if not open_tickets:
                raise BenchError(f"the scorer is idle and yet refuses {len(part)} texts")
            found.append(open_tickets.popleft().result(PATIENCE))
        open_tickets.append(ticket)
    return found + [ticket.result(PATIENCE) for ticket in open_tickets]


def _labels(found: Verdicts) -> Labels:
    if found.failed.any():
        raise BenchError(f"the scorer could not judge a text: {found.errors[0]}")
    return np.stack((found.sentiment.argmax(1), found.topic.argmax(1)), axis=1)


def ours(setting: Setting, precision: Precision) -> Ours:
    """Return the scorer as a contestant."""
    return Ours(setting, precision)
