"""The scorer of this program as a contestant; the one place that knows how it is built."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from models.predict import Predictor
from monitor.bench.contestant import BenchError, Labels, Precision, Setting
from monitor.score.base import Verdicts
from monitor.score.transformer import TransformerScorer

BUDGET: Final = 1_024
"""Tokens of a micro-batch, padding included: the daemon's default."""

CHUNK: Final = 256
"""Texts of one submission."""

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
        self._scorer: TransformerScorer | None = None

    def prepare(self) -> None:
        self._predictor = Predictor.load(
            self._setting.checkpoint,
            device=self._setting.device,
            dtype=_DTYPES[self.precision],
            threads=self._setting.threads,
        )
        self._scorer = TransformerScorer(self._predictor, BUDGET)
        self._scorer.warmup()

    @property
    def scorer(self) -> Any:
        """The scorer itself: for `submit`, where it has one."""
        return self._loaded()[1]

    def label(self, texts: Sequence[str]) -> Labels:
        return np.concatenate([_labels(found) for found in verdicts(self.scorer, texts)])

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise alone."""
        return self._loaded()[0].encode(texts)

    def forward(self, ids: Sequence[Sequence[int]]) -> Labels:
        """Judge rows of ids alone, without the tokeniser."""
        found = self._loaded()[0].predict(ids, budget=BUDGET)
        return np.stack((found.sentiment.argmax(1), found.topic.argmax(1)), axis=1)

    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()
        self._scorer = self._predictor = None

    def _loaded(self) -> tuple[Predictor, TransformerScorer]:
        if self._predictor is None or self._scorer is None:
            raise BenchError("the scorer is closed, or was never prepared")
        return self._predictor, self._scorer


def verdicts(scorer: Any, texts: Sequence[str]) -> list[Verdicts]:
    """Return the verdicts of all texts, in order, by `submit` in chunks where the scorer has it.

    So the tokeniser reads the next chunk while the device judges one, as under the daemon.
    """
    submit = getattr(scorer, "submit", None)
    if submit is None:
        return [scorer.score(texts)]
    found: list[Verdicts] = []
    open_tickets: deque[Any] = deque()
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        while (ticket := submit(chunk)) is None:
            if not open_tickets:
                raise BenchError(f"the scorer is idle and yet refuses {len(chunk)} texts")
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
