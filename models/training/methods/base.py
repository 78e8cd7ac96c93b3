"""What every method of fine-tuning does with an encoder."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from models.recipe import Recipe
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Method(Protocol):
    """One way of training an encoder. Stateless: what it adds lives in the encoder."""

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:
        """Freeze and unfreeze parameters, and add those that the method brings.

        `steps`: of the whole run. Raises ModelError for an architecture that it does not know.
        """
        ...

    def export(self, encoder: nn.Module) -> Weights:
        """Return what was trained, under the names of the weights file."""
        ...

    def restore(self, encoder: nn.Module, weights: Weights) -> None:
        """Put exported tensors back; raises ValueError naming the first that does not fit."""
        ...


def stored(tensor: Tensor) -> Tensor:
    """Return a copy for the file: matrices in float16; vectors, which are few, in float32."""
    found = tensor.detach().cpu()
    return found.half() if found.ndim > 1 else found.float().clone()


def fill(targets: Mapping[str, Tensor], weights: Weights, *, partial: bool = False) -> None:
    """Copy the weights into the targets of the same names; `partial` lets targets go without.

    Raises:
        ValueError: the first name that is missing, unknown, or of another shape.
    """
    unknown = weights.keys() - targets.keys()
    missing = set() if partial else targets.keys() - weights.keys()
    if faults := sorted(unknown | missing):
        raise ValueError(faults[0])
    for name, tensor in weights.items():
        if targets[name].shape != tensor.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, tensor in weights.items():
            targets[name].copy_(tensor)
