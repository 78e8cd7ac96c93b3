"""The precision of the forward pass while training."""

from typing import Final

import torch

from models.device import has_native_bfloat16, type_of
from models.recipe import Recipe

_TYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def set_products(recipe: Recipe, device: str) -> None:
    """Let float32 matrix products of the process run in TF32 if the recipe says so, or else not."""
    if type_of(device) == "cuda":
        torch.set_float32_matmul_precision("high" if recipe.precision == "tf32" else "highest")


def autocast_type(recipe: Recipe, device: str) -> torch.dtype | None:
    """Return the type to run matrix products in, or None for float32 throughout.

    `auto` is bfloat16 where the hardware has it, float16 on a GPU that lacks it, else float32.
    float16 needs its losses scaled: Micikevicius et al. 2018, "Mixed Precision Training",
    section 3.2.
    """
    if recipe.precision != "auto":
        return _TYPES.get(recipe.precision)
    if has_native_bfloat16(device):
        return torch.bfloat16
    return torch.float16 if type_of(device) == "cuda" else None


def scaler_of(kind: torch.dtype | None, device: str) -> torch.amp.GradScaler:
    """Return the scaler of the losses; it does nothing unless they are in float16."""
    return torch.amp.GradScaler(type_of(device), enabled=kind is torch.float16)


def autocast(kind: torch.dtype | None, device: str) -> torch.autocast:
    """Return the context in which forward passes run."""
    return torch.autocast(type_of(device), kind or torch.bfloat16, enabled=kind is not None)
