"""What a training run shows to its observer and what it hands back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.labels import Task
from models.weights import Weights


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights that could be chosen, and what they reach on the held-out texts.

    `kind`: the last weights at an evaluation, their exponential average, or the soup of all
    members (then `member`, `epoch` and `step` are 0 and `loss` is the mean of its members').
    """

    kind: Literal["last", "average", "soup"]
    member: int
    epoch: int
    loss: float
    macro_f1: dict[Task, float]
    step: int = 0

    @property
    def score(self) -> float:
        """Return what candidates are chosen by: the mean of the tasks' macro-F1."""
        return float(np.mean(list(self.macro_f1.values())))


@dataclass(frozen=True, slots=True)
class Progress:
    """Sent to the observer after each step, and with each `candidate`."""

    step: int
    steps: int
    loss: float
    candidate: Candidate | None = None
    learning_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Trained:
    """The chosen weights, named as in the weights file, and all that were tried."""

    weights: Weights
    chosen: Candidate
    history: tuple[Candidate, ...]


Observer = Callable[[Progress], None]
