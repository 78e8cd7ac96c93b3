"""What is compared: texts in, labels out, tokenisation included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from monitor.errors import MonitorError

Precision = Literal["fp32", "bf16"]
Labels = npt.NDArray[np.int64]
"""[n, 2]: index of the sentiment, index of the topic."""
Floats = npt.NDArray[np.float32]


class BenchError(MonitorError):
    """What keeps the benchmark from running, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all contestants share: the same weights, the same device, the same threads."""

    checkpoint: Path
    """A model directory that needs no other encoder (`checkpoint.write`)."""
    device: Literal["cpu", "cuda"]
    threads: int
    max_length: int
    """Tokens of a text that are read, specials included."""


class Contestant(Protocol):
    """One way to label texts. `prepare` comes first and is not timed; `close` frees the memory."""

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> Precision: ...

    @property
    def sorts(self) -> bool:
        """Whether it batches texts of like length, so that more texts make it faster."""
        ...

    def prepare(self) -> None:
        """Load, convert and compile."""
        ...

    def label(self, texts: Sequence[str]) -> Labels:
        """Return the labels of the texts in their order; nothing of an earlier call is reused."""
        ...

    def close(self) -> None:
        """Free what `prepare` has loaded. Idempotent."""
        ...


def labels_of(logits: Floats) -> Labels:
    """Return the labels of logits [n, 23]: the sentiments' columns, then the topics'."""
    return np.stack((logits[:, :3].argmax(1), logits[:, 3:].argmax(1)), axis=1)
