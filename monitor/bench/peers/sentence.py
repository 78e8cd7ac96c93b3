"""sentence-transformers: embeddings in batches of 32, which it sorts by length, heads in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from monitor.bench.checkpoint import heads
from monitor.bench.contestant import Labels, Precision, Setting, labels_of

BATCH: Final = 32


class SentenceTransformers:
    """`SentenceTransformer(checkpoint)`, which pools by the mean when nothing else is said."""

    name = f"sentence-transformers b{BATCH}"
    sorts = True

    def __init__(self, setting: Setting, precision: Precision) -> None:
        self.precision = precision
        self._setting = setting
        self._model: Any = None

    def prepare(self) -> None:
        from sentence_transformers import SentenceTransformer

        folder = self._setting.checkpoint
        self._model = SentenceTransformer(str(folder), device=self._setting.device)
        self._model.max_seq_length = self._setting.max_length
        if self.precision == "bf16":
            self._model.bfloat16()
        weight, bias = heads(folder)
        self._weight, self._bias = weight.float().numpy().T, bias.float().numpy()

    def label(self, texts: Sequence[str]) -> Labels:
        embeddings = self._model.encode(
            list(texts), batch_size=BATCH, show_progress_bar=False, convert_to_tensor=True
        )
        return labels_of(embeddings.float().cpu().numpy() @ self._weight + self._bias)

    def close(self) -> None:
        self._model = None
