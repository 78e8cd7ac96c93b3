"""A model is tried before anybody relies on it: loaded, and made to judge a few sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from models.errors import ModelError
from models.predict import Predictor, Probabilities

CANARIES: Final = (
    "Profit doubled, the dividend was raised and the shares jumped.",
    "The company filed for bankruptcy after losses tripled.",
    "The meeting takes place on Tuesday.",
    "Oil fell as the central bank raised interest rates.",
)
"""Sentences of plainly different content. Which verdicts are right is the gate's business
(`models.training.gate`): a model for another language may judge these badly and yet be sound."""

_SPREAD: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model said of the canaries."""

    version: str
    texts: Sequence[str]
    found: Probabilities


def try_out(directory: Path, *, device: str = "auto") -> Trial:
    """Load a model directory and let it judge the canaries.

    Raises:
        ModelError: manifest, hashes, architecture or verdicts are at fault; says how to mend it.
    """
    return judge(Predictor.load(directory, device=device), str(directory))


def judge(predictor: Predictor, origin: str) -> Trial:
    """Let a loaded model, from `origin`, judge the canaries.

    Raises:
        ModelError: it fails, its probabilities are none, or it is blind: it gives every text the
            same verdict, as weights do that were zeroed or have diverged.
    """
    try:
        found = predictor.predict(predictor.encode(CANARIES))
    except (RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
        raise ModelError(
            f"{origin}: version {predictor.version} cannot judge a plain sentence ({error});"
            " train again"
        ) from error
    for task in ("sentiment", "topic"):
        rows = getattr(found, task)
        if not np.isfinite(rows).all() or not np.allclose(rows.sum(1), 1, atol=1e-3):
            raise ModelError(
                f"{origin}: version {predictor.version} gives no probabilities for {task};"
                " its weights are damaged, train again"
            )
        if float((rows.max(0) - rows.min(0)).max()) < _SPREAD:
            raise ModelError(
                f"{origin}: version {predictor.version} gives the same {task} to every text;"
                " it has learnt nothing, train again"
            )
    return Trial(predictor.version, CANARIES, found)
