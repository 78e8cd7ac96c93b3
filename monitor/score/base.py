"""The protocol of the model as the pipeline sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Calibrated probabilities of n texts, in the order of the texts.

    ``sentiment`` float32 [n, 3], ``topic`` float32 [n, 20]; rows sum to 1. Where ``failed`` (bool
    [n]) is set the model could not judge that text (its row is NaN) and ``errors`` says why.
    """

    sentiment: NDArray[np.float32]
    topic: NDArray[np.float32]
    failed: NDArray[np.bool_]
    errors: tuple[str, ...]
    """One for each failed text, in order."""
    model_version: str


class Scorer(Protocol):
    """Judges texts in micro-batches. Blocks; one thread owns it."""

    @property
    def model_version(self) -> str:
        """Name and hash of the weights."""
        ...

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the model reads it (specials included, cut at its maximum)."""
        ...

    def score(self, texts: Sequence[str]) -> Verdicts:
        """Judge every text; a text that breaks its micro-batch is found by bisection and marked.

        Raises ``ScoringError`` only when the model as a whole is dead.
        """
        ...

    def warmup(self) -> None:
        """Run once so that the first document does not pay for lazy initialisation."""
        ...

    def close(self) -> None:
        """Free the device. Idempotent."""
        ...
