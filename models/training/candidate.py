"""What a training run shows to its observer and what it hands back."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

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
    macro_f1: dict[str, float]
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

    def packed(self) -> dict[str, Any]:
        """Return it as what a checkpoint may hold: dicts, lists, numbers and tensors."""
        return {
            "weights": self.weights,
            "chosen": asdict(self.chosen),
            "history": [asdict(candidate) for candidate in self.history],
        }

    @classmethod
    def unpacked(cls, found: Mapping[str, Any]) -> "Trained":
        """Return what `packed` was called on."""
        return cls(
            weights=found["weights"],
            chosen=Candidate(**found["chosen"]),
            history=tuple(Candidate(**candidate) for candidate in found["history"]),
        )


Observer = Callable[[Progress], None]
