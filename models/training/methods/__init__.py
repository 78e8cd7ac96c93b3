"""Methods of fine-tuning: what is trained, and how it goes into and out of a weights file.

The loop calls `build` once, adds `penalty` to the loss of each step, and calls `after_step` after
the optimiser's step, before the gradients are dropped.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from models.errors import ModelError
from models.network import Headed, Network
from models.recipe import Recipe
from models.training.methods.adalora import ALLOCATION, AdaLora, Allocation
from models.training.methods.base import Method, fill
from models.training.methods.insertion import Adapter, Prefixing
from models.training.methods.lora import Lora
from models.training.methods.parameters import BitFit, Full
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

METHODS: Final[dict[str, Method]] = {
    "full": Full(),
    "bitfit": BitFit(),
    "lora": Lora(),
    "adalora": AdaLora(),
    "adapter": Adapter(),
    "prefix": Prefixing(),
}


def build(encoder: "PreTrainedModel", recipe: Recipe, steps: int = 1) -> Network:
    """Return the network with what the method trains unfrozen and all else frozen.

    `steps`: of the whole run, over which AdaLoRA spreads its allocation of ranks.

    Raises:
        ModelError: the method does not know this architecture.
    """
    prepare(encoder, recipe, steps)
    return Network(encoder, dropout=recipe.dropout)


def prepare(encoder: "PreTrainedModel", recipe: Recipe, steps: int = 1) -> None:
    """Unfreeze and add in the encoder what the method trains, and freeze all else.

    Raises:
        ModelError: the method does not know this architecture.
    """
    METHODS[recipe.method].prepare(encoder, recipe, steps)


def penalty(network: Headed) -> Tensor | None:
    """Return what the method adds to the loss of a step, if anything."""
    found = _allocation(network)
    return None if found is None else found.penalty(network.encoder)


def after_step(network: Headed, step: int) -> None:
    """Do what the method does after step 1, 2, ...; the gradients must still be there."""
    found = _allocation(network)
    if found is not None:
        found.after_step(network.encoder, step)


def state_of(network: Headed) -> dict[str, Any]:
    """Return what a checkpoint needs beside the parameters: tensors, lists, numbers."""
    found = _allocation(network)
    return {} if found is None else found.state


def resume(network: Headed, state: Mapping[str, Any]) -> None:
    """Go on from a state; the network is already on its device."""
    found = _allocation(network)
    if found is not None:
        found.resume(state, next(network.parameters()).device)


def export(network: Headed, recipe: Recipe) -> Weights:
    """Return the trained tensors under the names of the weights file (see `models.weights`)."""
    found: Weights = {
        f"head.{name}": p.detach().float().cpu().clone()
        for name, p in network.heads.named_parameters()
    }
    return found | METHODS[recipe.method].export(network.encoder)


def restore(network: Headed, recipe: Recipe, weights: Weights) -> None:
    """Put exported weights into a network that `build` made: the inverse of `export`.

    Raises:
        ModelError: the weights come from another method, rank or architecture.
    """
    heads = {f"head.{name}": p for name, p in network.heads.named_parameters()}
    rest = {name: t for name, t in weights.items() if not name.startswith("head.")}
    try:
        fill(heads, {name: t for name, t in weights.items() if name not in rest})
        METHODS[recipe.method].restore(network.encoder, rest)
    except ValueError as error:
        raise ModelError(
            f"the weights to start from do not fit this recipe (first: {error}); "
            f"take the method and rank they were trained with, not {recipe.method} {recipe.rank}"
        ) from error


def _allocation(network: Headed) -> Allocation | None:
    found = getattr(network.encoder, ALLOCATION, None)
    return found if isinstance(found, Allocation) else None
