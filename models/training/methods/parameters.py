"""Methods that train parameters of the encoder itself: all of them, or the biases."""

from typing import TYPE_CHECKING

from torch import nn

from models.differences import unpacked
from models.recipe import Recipe
from models.training.methods.base import fill, stored
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Full:
    """Train the encoder; its embeddings stay as they are where the recipe freezes them."""

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:  # noqa: ARG002
        """Unfreeze everything, then freeze the embeddings."""
        encoder.requires_grad_(True)
        if recipe.freeze_embeddings:
            embeddings_of(encoder).requires_grad_(False)

    def export(self, encoder: nn.Module) -> Weights:
        """Return the trained parameters as `encoder.<name>`."""
        return {f"encoder.{name}": stored(p) for name, p in _trained(encoder).items()}

    def restore(self, encoder: nn.Module, weights: Weights) -> None:
        """Fill in trained parameters; those that the file lacks keep the backbone's values."""
        targets = {f"encoder.{name}": p for name, p in _trained(encoder).items()}
        fill(targets, unpacked(weights, dict(encoder.named_parameters())), partial=True)


class BitFit(Full):
    """Train the biases alone, those of layer norms included.

    Source: Ben Zaken et al. 2022, "BitFit: Simple Parameter-efficient Fine-tuning for
    Transformer-based Masked Language-models", section 3.
    """

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:  # noqa: ARG002
        """Freeze all but the biases."""
        encoder.requires_grad_(False)
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
        if recipe.freeze_embeddings:
            embeddings_of(encoder).requires_grad_(False)


def embeddings_of(encoder: nn.Module) -> nn.Module:
    """Return the module of all embeddings, or of the words' alone if there is none.

    Raises:
        AttributeError: not an encoder of transformers.
    """
    found = getattr(encoder, "embeddings", None)
    if isinstance(found, nn.Module):
        return found
    words: nn.Module = encoder.get_input_embeddings()  # type: ignore[operator]
    return words


def _trained(encoder: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in encoder.named_parameters() if p.requires_grad}
