"""Methods of fine-tuning: what is trained, and how it goes into and out of a weights file."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.network import Network
from models.training.recipe import Recipe
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def build(encoder: "PreTrainedModel", recipe: Recipe) -> Network:
    """Return the network with what the method trains unfrozen and all else frozen."""
    if recipe.method == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        layers = [name for name, m in encoder.named_modules() if isinstance(m, nn.Linear)]
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
    return Network(encoder, dropout=recipe.dropout)


def export(network: Network, recipe: Recipe) -> Weights:
    """Return the trained tensors under the names of the weights file (see `models.store`)."""
    found: Weights = {
        f"head.{name}": p.detach().float().cpu().clone()
        for name, p in network.heads.named_parameters()
    }
    if recipe.method == "full":
        for name, p in network.encoder.named_parameters():
            found[f"encoder.{name}"] = p.detach().half().cpu().clone()
        return found
    for name, module in network.encoder.named_modules():
        if hasattr(module, "lora_A"):
            scale = module.scaling["default"]
            found[f"lora.{name}.a"] = module.lora_A["default"].weight.detach().half().cpu().clone()
            b = module.lora_B["default"].weight.detach() * scale
            found[f"lora.{name}.b"] = b.half().cpu().clone()
    return found


def restore(network: Network, recipe: Recipe, weights: Weights) -> None:
    """Put exported weights into a network that `build` made: the inverse of `export`.

    Raises:
        ModelError: the weights come from another method, rank or architecture.
    """
    targets: dict[str, tuple[Tensor, float]] = {
        f"head.{name}": (p, 1.0) for name, p in network.heads.named_parameters()
    }
    if recipe.method == "full":
        targets |= {f"encoder.{n}": (p, 1.0) for n, p in network.encoder.named_parameters()}
    for name, module in network.encoder.named_modules():
        if hasattr(module, "lora_A"):
            targets[f"lora.{name}.a"] = (module.lora_A["default"].weight, 1.0)
            scale = float(module.scaling["default"])
            targets[f"lora.{name}.b"] = (module.lora_B["default"].weight, scale)
    faults = sorted(targets.keys() ^ weights.keys()) or sorted(
        name for name, (target, _) in targets.items() if target.shape != weights[name].shape
    )
    if faults:
        raise ModelError(
            f"the weights to start from do not fit this recipe (first: {faults[0]}); "
            f"take the method and rank they were trained with, not {recipe.method} {recipe.rank}"
        )
    with torch.no_grad():
        for name, (target, scale) in targets.items():
            target.copy_(weights[name].float() / scale)
