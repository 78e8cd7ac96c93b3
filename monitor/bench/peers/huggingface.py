"""transformers' text-classification pipeline, one by one or in batches as texts arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from models.labels import SENTIMENTS, TOPICS
from monitor.bench.contestant import Labels, Precision, Setting
from monitor.bench.peers.classifier import classifier, tokenizer


class Pipeline:
    """`pipeline("text-classification")` over the classifier of `peers.classifier`."""

    sorts = False

    def __init__(self, setting: Setting, precision: Precision, batch: int) -> None:
        self.name = "HF pipeline 1-by-1" if batch == 1 else f"HF pipeline b{batch}"
        self.precision = precision
        self._setting = setting
        self._batch = batch
        self._pipeline: Any = None

    def prepare(self) -> None:
        import transformers

        # Its overloads know only models that it names itself.
        pipeline: Any = transformers.pipeline
        model = classifier(self._setting.checkpoint)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        torch.nn.Module.to(model, device=self._setting.device, dtype=dtype)
        self._pipeline = pipeline(
            "text-classification",
            model=model,
            tokenizer=tokenizer(self._setting.checkpoint),
            device=torch.device(self._setting.device),
            function_to_apply="none",
            top_k=None,
        )

    def label(self, texts: Sequence[str]) -> Labels:
        with torch.inference_mode():
            found = self._pipeline(
                list(texts),
                batch_size=self._batch,
                truncation=True,
                max_length=self._setting.max_length,
            )
        return np.array([_best(scores) for scores in found], np.int64)

    def close(self) -> None:
        self._pipeline = None


def _best(scores: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """The indices of the highest score of each task; the pipeline sorts by score."""
    best: dict[str, str] = {}
    for entry in scores:
        task, _, name = entry["label"].partition(":")
        best.setdefault(task, name)
        if len(best) == 2:
            break
    return _SENTIMENT[best["sentiment"]], _TOPIC[best["topic"]]


_SENTIMENT: dict[str, int] = {name: index for index, name in enumerate(SENTIMENTS)}
_TOPIC: dict[str, int] = {name: index for index, name in enumerate(TOPICS)}
