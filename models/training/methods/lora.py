"""LoRA: low-rank updates of every linear layer, through peft."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from models.recipe import Recipe
from models.training.methods.base import fill, stored
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Lora:
    """Train two thin factors beside each linear layer; inference merges them into the layer.

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.
    """

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:  # noqa: ARG002
        """Freeze the encoder and add the factors."""
        from peft import LoraConfig, inject_adapter_in_model

        layers = linear_layers(encoder)
        encoder.requires_grad_(False)
        inject_adapter_in_model(
            LoraConfig(
                r=recipe.rank,
                lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # annotated int, used as float
                lora_dropout=recipe.lora_dropout,
                target_modules=layers,
            ),
            encoder,
        )

    def export(self, encoder: nn.Module) -> Weights:
        """Return `lora.<layer>.a` and, with the LoRA scale in it, `lora.<layer>.b`."""
        found: Weights = {}
        for name, (a, b, scale) in _factors(encoder).items():
            found[f"lora.{name}.a"] = stored(a)
            found[f"lora.{name}.b"] = stored(b * scale)
        return found

    def restore(self, encoder: nn.Module, weights: Weights) -> None:
        """Fill in the factors, the scale taken out again."""
        targets: dict[str, Tensor] = {}
        unscaled = dict(weights)
        for name, (a, b, scale) in _factors(encoder).items():
            targets |= {f"lora.{name}.a": a, f"lora.{name}.b": b}
            if f"lora.{name}.b" in weights:
                unscaled[f"lora.{name}.b"] = weights[f"lora.{name}.b"].float() / scale
        fill(targets, unscaled)


def linear_layers(encoder: nn.Module) -> list[str]:
    """Return the names of all linear layers."""
    return [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]


def _factors(encoder: nn.Module) -> dict[str, tuple[Tensor, Tensor, float]]:
    return {
        name: (
            module.lora_A["default"].weight,
            module.lora_B["default"].weight,
            float(module.scaling["default"]),
        )
        for name, module in encoder.named_modules()
        if hasattr(module, "lora_A")
    }
