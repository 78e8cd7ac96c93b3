"""The fine-tuned model behind the `Device` protocol."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final

import torch

from models.predict import PAD_MULTIPLE, Predictor
from monitor.errors import ScoringError
from monitor.score.base import Pending, Row, ScoringMetrics
from monitor.score.engine import BatchScorer
from monitor.score.schedule import Batching

log = logging.getLogger(__name__)

_CUDA_IN_FLIGHT: Final = 3
"""There a forward pass is begun by copies and kernels that are only enqueued; on a CPU its
beginning is all of the work."""

ALL: Final = "all"


def devices(wanted: str) -> list[str]:
    """The devices that ``wanted`` means, one for each copy of the model: ``all`` is every GPU.

    Raises ``ScoringError`` where there is none.
    """
    if wanted != ALL:
        return [wanted]
    if not (count := torch.cuda.device_count()):
        raise ScoringError('model.device = "all": this torch sees no GPU; use auto or cpu')
    return [f"cuda:{number}" for number in range(count)]


def engine_of(
    predictors: Sequence[Predictor],
    *,
    tokens: int = 0,
    look_ahead: int = 0,
    max_wait: float = 0.0,
    minimum_fill: int = 0,
    metrics: ScoringMetrics | None = None,
) -> BatchScorer:
    """The scorer over copies of one model, each on a device of its own; 0: what suits them."""
    first = predictors[0]
    batching = Batching.suited(
        first.device,
        first.packed,
        tokens=tokens,
        look_ahead=look_ahead,
        max_wait=max_wait,
        minimum_fill=minimum_fill,
    )
    if not first.packed:
        log.warning("rows are padded, which is slower: %s", first.unpacked_because)
    own = [TransformerDevice(predictor, batching.tokens) for predictor in predictors]
    return BatchScorer(own, batching, multiple=PAD_MULTIPLE, metrics=metrics)


class TransformerDevice:
    """One `Predictor`, whose forward passes hold ``batch_tokens``: a long text is cut into windows
    that may need several of them."""

    def __init__(self, predictor: Predictor, batch_tokens: int) -> None:
        self._predictor: Predictor | None = predictor
        self._version = predictor.version
        self._name = predictor.device
        self._packed = predictor.packed
        self._batch_tokens = batch_tokens
        self._threads = torch.get_num_threads()
        self._prepared = threading.local()

    @property
    def model_version(self) -> str:
        return self._version

    @property
    def name(self) -> str:
        return self._name

    @property
    def packed(self) -> bool:
        return self._packed

    @property
    def in_flight(self) -> int:
        return _CUDA_IN_FLIGHT if self._name.startswith("cuda") else 1

    @property
    def capped_texts(self) -> int:
        return self._model.capped_texts

    def encode(self, texts: Sequence[str]) -> list[Row]:
        rows: list[Row] = []
        rows.extend(self._model.encode(texts))
        return rows

    def cost(self, row: Row) -> int:
        return self._model.cost(row)

    def begin(self, rows: Sequence[Row]) -> Pending:
        if not hasattr(self._prepared, "threads"):
            # OpenMP counts threads for each calling thread, and a new one begins with all cores:
            # what was set where the model was loaded has to be said again here.
            torch.set_num_threads(self._threads)
            self._prepared.threads = self._threads
        return self._model.begin(rows, budget=self._batch_tokens)

    def close(self) -> None:
        # Whoever still holds this object must not hold the weights: another model is loaded.
        self._predictor = None

    @property
    def _model(self) -> Predictor:
        if self._predictor is None:
            raise ScoringError(f"the model {self._version} has been closed; load it again")
        return self._predictor
