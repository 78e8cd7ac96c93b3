"""A scorer without a model: for tests, and to measure everything but the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from monitor.errors import ScoringError
from monitor.events import TOPICS
from monitor.score.base import Verdicts


class MemoryScorer:
    """``judge(text)`` gives (sentiment index, topic index); the verdicts are certain of it."""

    def __init__(
        self,
        judge: Callable[[str], tuple[int, int]] = lambda _text: (1, 0),
        bad_texts: frozenset[str] = frozenset(),
        model_version: str = "memory-1",
    ) -> None:
        self._judge = judge
        self._bad = bad_texts
        self._model_version = model_version
        self.dead = False

    @property
    def model_version(self) -> str:
        return self._model_version

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [2 + len(text.split()) for text in texts]

    def score(self, texts: Sequence[str]) -> Verdicts:
        if self.dead:
            raise ScoringError("the scorer was scripted to be dead; set dead = False")
        sentiment = np.zeros((len(texts), 3), dtype=np.float32)
        topic = np.zeros((len(texts), len(TOPICS)), dtype=np.float32)
        failed = np.zeros(len(texts), dtype=np.bool_)
        for i, text in enumerate(texts):
            if text in self._bad:
                failed[i] = True
                sentiment[i] = topic[i] = np.nan
                continue
            s, t = self._judge(text)
            sentiment[i, s] = topic[i, t] = 1.0
        errors = tuple("scripted to fail" for _ in range(int(failed.sum())))
        return Verdicts(sentiment, topic, failed, errors, self._model_version)

    def warmup(self) -> None:
        """Nothing to warm up."""

    def close(self) -> None:
        """Nothing to free."""
