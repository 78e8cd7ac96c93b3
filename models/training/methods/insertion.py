"""Methods that put small modules into a frozen encoder: bottleneck adapters and prefixes."""

from typing import TYPE_CHECKING

from torch import nn

from models import bottlenecks, prefixes
from models.attention import attentions
from models.errors import ModelError
from models.recipe import Recipe
from models.training.methods.base import fill, stored
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Adapter:
    """Train a bottleneck after the attention and one after the feed-forward part of each layer."""

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:  # noqa: ARG002
        """Freeze the encoder and add the bottlenecks."""
        encoder.requires_grad_(False)
        places = bottlenecks.sites(encoder)
        if not places:
            raise ModelError(
                f"adapter: {type(encoder).__name__} has no layers of a known name to put adapters"
                " after; take lora, adalora, bitfit or full"
            )
        for name in places:
            bottlenecks.insert(encoder, name, recipe.bottleneck)

    def export(self, encoder: nn.Module) -> Weights:
        """Return `adapter.<layer>.<parameter>`."""
        return {f"adapter.{n}": stored(p) for n, p in bottlenecks.parameters_of(encoder).items()}

    def restore(self, encoder: nn.Module, weights: Weights) -> None:
        """Fill in the bottlenecks."""
        own = bottlenecks.parameters_of(encoder)
        fill({f"adapter.{name}": p for name, p in own.items()}, weights)


class Prefixing:
    """Train keys and values before those of the text in each attention layer."""

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:  # noqa: ARG002
        """Freeze the encoder and add the prefixes."""
        encoder.requires_grad_(False)
        widths = attentions(encoder)
        if not widths:
            raise ModelError(
                f"prefix: {type(encoder).__name__} brings its own attention, which takes no"
                " prefix; take lora, adalora, adapter, bitfit or full"
            )
        for name, width in widths.items():
            prefixes.insert(encoder, name, recipe.prefix_length, width)

    def export(self, encoder: nn.Module) -> Weights:
        """Return `prefix.<attention>.key` and `.value`."""
        return {f"prefix.{n}": stored(p) for n, p in prefixes.parameters_of(encoder).items()}

    def restore(self, encoder: nn.Module, weights: Weights) -> None:
        """Fill in the prefixes."""
        own = prefixes.parameters_of(encoder)
        fill({f"prefix.{name}": p for name, p in own.items()}, weights)
