"""The fine-tuned model behind the `Scorer` protocol."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.labels import TOPICS
from models.predict import PAD_MULTIPLE, Predictor
from monitor.errors import ScoringError
from monitor.score.base import Verdicts
from monitor.score.batch import plan

log = logging.getLogger(__name__)

_PROBE = "Shares were little changed."


class TransformerScorer:
    """Micro-batches through one `Predictor`; the calling thread is the device's only owner."""

    def __init__(
        self,
        predictor: Predictor,
        batch_tokens: int = 1024,
        on_batch: Callable[[int, int], None] = lambda _texts, _tokens: None,
    ) -> None:
        """``on_batch(texts, tokens)`` is told of every micro-batch; tokens include the padding."""
        self._predictor: Predictor | None = predictor
        self._version = predictor.version
        self._batch_tokens = batch_tokens
        self._on_batch = on_batch

    @property
    def model_version(self) -> str:
        return self._version

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._model.encode(texts)]

    def score(self, texts: Sequence[str]) -> Verdicts:
        ids = self._model.encode(texts)
        lengths = [math.ceil(len(row) / PAD_MULTIPLE) * PAD_MULTIPLE for row in ids]
        sentiment = np.full((len(texts), 3), np.nan, dtype=np.float32)
        topic = np.full((len(texts), len(TOPICS)), np.nan, np.float32)
        failures: dict[int, str] = {}
        for rows in plan(lengths, self._batch_tokens):
            self._score_rows(ids, rows, sentiment, topic, failures)
            self._on_batch(len(rows), len(rows) * max(lengths[i] for i in rows))
        failed = np.zeros(len(texts), dtype=np.bool_)
        failed[list(failures)] = True
        if failures:
            # A device that dies half-way leaves verdicts behind; what followed was not the texts.
            self._probe()
        return Verdicts(
            sentiment,
            topic,
            failed,
            tuple(failures[i] for i in sorted(failures)),
            self.model_version,
        )

    def warmup(self) -> None:
        self._probe()

    def close(self) -> None:
        # Whoever still holds this object must not hold the weights: another model is loaded.
        self._predictor = None

    @property
    def _model(self) -> Predictor:
        if self._predictor is None:
            raise ScoringError(f"the model {self._version} has been closed; load it again")
        return self._predictor

    def _score_rows(
        self,
        ids: Sequence[Sequence[int]],
        rows: list[int],
        sentiment: NDArray[np.float32],
        topic: NDArray[np.float32],
        failures: dict[int, str],
    ) -> None:
        """One micro-batch; when it fails it is halved until the bad text stands alone."""
        try:
            # A text of many windows is a micro-batch of its own, cut again within the budget.
            found = self._model.predict([ids[i] for i in rows], budget=self._batch_tokens)
            if not (np.isfinite(found.sentiment).all() and np.isfinite(found.topic).all()):
                raise FloatingPointError("the model's output is not finite")
        except (RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
            if len(rows) == 1:
                failures[rows[0]] = f"{type(error).__name__}: {error}"
                return
            log.warning("a micro-batch of %d texts failed and is halved: %s", len(rows), error)
            middle = len(rows) // 2
            self._score_rows(ids, rows[:middle], sentiment, topic, failures)
            self._score_rows(ids, rows[middle:], sentiment, topic, failures)
        else:
            sentiment[rows] = found.sentiment
            topic[rows] = found.topic

    def _probe(self) -> None:
        """Tell a dead model from bad texts: it must judge one plain sentence."""
        try:
            found = self._model.predict(self._model.encode([_PROBE]))
        except (RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
            raise ScoringError(
                f"the model {self.model_version} judges nothing any more ({error}); "
                "restart the daemon, and check the device's memory"
            ) from error
        if not (np.isfinite(found.sentiment).all() and np.isfinite(found.topic).all()):
            raise ScoringError(
                f"the model {self.model_version} gives no finite output: its weights are damaged; "
                "install the package again or promote another version"
            )
