"""Methods of fine-tuning: what is trained, and how it goes into and out of a weights file."""

from typing import TYPE_CHECKING, Final

from models.errors import ModelError
from models.network import Network
from models.training.methods.base import Method, fill
from models.training.methods.lora import Lora
from models.training.methods.parameters import BitFit, Full
from models.training.recipe import Recipe
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

METHODS: Final[dict[str, Method]] = {"full": Full(), "bitfit": BitFit(), "lora": Lora()}


def build(encoder: "PreTrainedModel", recipe: Recipe) -> Network:
    """Return the network with what the method trains unfrozen and all else frozen.

    Raises:
        ModelError: the method does not know this architecture.
    """
    METHODS[recipe.method].prepare(encoder, recipe)
    return Network(encoder, dropout=recipe.dropout)


def export(network: Network, recipe: Recipe) -> Weights:
    """Return the trained tensors under the names of the weights file (see `models.weights`)."""
    found: Weights = {
        f"head.{name}": p.detach().float().cpu().clone()
        for name, p in network.heads.named_parameters()
    }
    return found | METHODS[recipe.method].export(network.encoder)


def restore(network: Network, recipe: Recipe, weights: Weights) -> None:
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
