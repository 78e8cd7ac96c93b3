"""What the loop trains on: the seam between its steps and the kind of labels."""

from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from torch import Tensor

from models.network import Headed
from models.training.material import Integers
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

N = TypeVar("N", bound=Headed)


class Problem(Protocol[N]):
    """Training rows with their loss, held-out rows with their scores, and the heads for both.

    Texts with classes: `models.training.classification`; tagged words: `models.tokens.problem`.
    Everything is deterministic but what draws from torch's generator or from `rng`.
    """

    size: int  # rows of an epoch

    def build(self, encoder: "PreTrainedModel") -> N:
        """Return a network to train, over an encoder that a method has prepared."""
        ...

    def assemble(self, weights: Weights) -> N:
        """Return the network of exported weights; raises ModelError where they do not fit."""
        ...

    def order(self, rng: np.random.Generator) -> list[Integers]:
        """Return an epoch: batches of at most the recipe's size, `size` rows in all."""
        ...

    def loss(self, network: N, rows: Integers) -> Tensor:
        """Return the loss summed over the rows, a scalar in float32."""
        ...

    def scores(self, network: N) -> dict[str, float]:
        """Return the held-out scores, by whose mean weights are chosen.

        Leaves the network in evaluation mode.
        """
        ...
