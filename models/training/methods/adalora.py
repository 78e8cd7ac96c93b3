"""AdaLoRA: low-rank updates whose ranks move to the layers that need them, through peft."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from models.recipe import Recipe
from models.training.methods.base import fill, stored
from models.training.methods.lora import linear_layers
from models.weights import Weights

if TYPE_CHECKING:
    from peft import AdaLoraConfig
    from transformers import PreTrainedModel

ALLOCATION: Final = "allocation"
"""Under this name the allocation hangs on its encoder."""
_NAME: Final = "default"
_SURPLUS: Final = 1.5
"""Ranks at the start for each rank that is left at the end, as in the paper's experiments."""
_WARM: Final = 0.1
_FINAL: Final = 0.3
"""Shares of all steps before the first and after the last allocation."""
_ROUNDS: Final = 100
"""Allocations in a run, about."""


class AdaLora:
    """Train a singular value decomposition of each layer's update; drop what matters least.

    Source: Zhang et al. 2023, "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
    section 3. The exported factors are those of LoRA, of another rank in each layer.
    """

    def prepare(self, encoder: "PreTrainedModel", recipe: Recipe, steps: int) -> None:
        """Freeze the encoder, add the factors, and plan the allocation over so many steps."""
        from peft import AdaLoraConfig, inject_adapter_in_model

        layers = linear_layers(encoder)
        steps = max(3, steps)
        config = AdaLoraConfig(
            target_r=recipe.rank,
            init_r=max(recipe.rank + 1, round(recipe.rank * _SURPLUS)),
            lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # annotated int, used as float
            lora_dropout=recipe.lora_dropout,
            total_step=steps,
            tinit=int(steps * _WARM),
            tfinal=int(steps * _FINAL),
            deltaT=max(1, steps // _ROUNDS),
            target_modules=layers,
        )
        encoder.requires_grad_(False)
        inject_adapter_in_model(config, encoder)
        encoder.add_module(ALLOCATION, Allocation(encoder, config))

    def export(self, encoder: nn.Module) -> Weights:
        """Return `lora.<layer>.a` and `.b` of the ranks that are left, at least one a layer."""
        found: Weights = {}
        for name, layer in _layers(encoder).items():
            values = layer.lora_E[_NAME].detach()[:, 0]
            kept = values.nonzero()[:, 0] if values.any() else torch.arange(1, device=values.device)
            b = layer.lora_B[_NAME].detach() * values * _scale(layer)
            found[f"lora.{name}.a"] = stored(layer.lora_A[_NAME].detach()[kept])
            found[f"lora.{name}.b"] = stored(b[:, kept])
        return found

    def restore(self, encoder: nn.Module, weights: Weights) -> None:
        """Fill the factors into the first ranks, `.b` as directions times their lengths."""
        layers = _layers(encoder)
        names = {f"lora.{name}.{factor}" for name in layers for factor in "ab"}
        if faults := sorted(names ^ weights.keys()):
            raise ValueError(faults[0])
        for name, layer in layers.items():
            a, b = weights[f"lora.{name}.a"].float(), weights[f"lora.{name}.b"].float()
            targets = [f[_NAME].data for f in (layer.lora_A, layer.lora_E, layer.lora_B)]
            rank = len(a)
            if rank > len(targets[0]) or b.shape[1] != rank:
                raise ValueError(f"lora.{name}.a")
            b = b / _scale(layer)
            lengths = b.norm(dim=0).clamp_min(torch.finfo(b.dtype).tiny)
            fill(
                {"a": targets[0][:rank], "e": targets[1][:rank], "b": targets[2][:, :rank]},
                {"a": a, "e": lengths[:, None], "b": b / lengths},
            )
            targets[1][rank:] = 0


class Allocation(nn.Module):
    """The importance of every rank so far and the ranks that were kept: peft's allocator.

    A module without parameters, so that it lives in the encoder that it prunes.
    """

    def __init__(self, encoder: nn.Module, config: "AdaLoraConfig") -> None:
        super().__init__()
        from peft.tuners.adalora import RankAllocator

        self._last = int(config.total_step or 0) - config.tfinal
        self._weight = config.orth_reg_weight
        # peft's allocator is untyped.
        self._allocator: Any = RankAllocator(encoder, config, _NAME)  # type: ignore[no-untyped-call]
        self._kept: dict[str, list[bool]] = {}

    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Weigh the ranks by this step's gradients and drop what is over the budget."""
        if step > self._last:
            self._allocator.mask_using_rank_pattern(encoder, self._kept)
            return
        if not all(_finite(layer.lora_E[_NAME].grad) for layer in _layers(encoder).values()):
            return  # a step that float16's scaler skipped
        final = step == self._last
        _, kept = self._allocator.update_and_allocate(encoder, step, force_mask=final)
        self._kept = kept or self._kept
        if final:
            self._allocator.reset_ipt()

    def penalty(self, encoder: nn.Module) -> Tensor:
        """Return how far the factors are from orthogonal, weighted as in the paper (eq. 7)."""
        distances: list[Tensor] = []
        for layer in _layers(encoder).values():
            for factor in (layer.lora_A[_NAME], layer.lora_B[_NAME].T):
                unit = torch.eye(len(factor), device=factor.device)
                distances.append(torch.linalg.matrix_norm(factor @ factor.T - unit))
        return self._weight * torch.stack(distances).mean()

    @property
    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        allocator = self._allocator
        return {
            "sensitivity": dict(allocator.exp_avg_ipt),
            "uncertainty": dict(allocator.exp_avg_unc),
            "last": dict(allocator.ipt),
            "kept": dict(self._kept),
        }

    def resume(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from a state."""

        def moved(part: str) -> dict[str, Tensor]:
            return {name: tensor.to(device) for name, tensor in state[part].items()}

        self._allocator.exp_avg_ipt = moved("sensitivity")
        self._allocator.exp_avg_unc = moved("uncertainty")
        self._allocator.ipt = moved("last")
        self._kept = dict(state["kept"])


def _layers(encoder: nn.Module) -> dict[str, Any]:
    return {name: m for name, m in encoder.named_modules() if hasattr(m, "lora_E")}


def _finite(gradient: Tensor) -> bool:
    return bool(torch.isfinite(gradient).all())


def _scale(layer: Any) -> float:
    return float(layer.scaling[_NAME]) / (float(layer.ranknum[_NAME]) + 1e-5)
