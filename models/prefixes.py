"""Prefix-tuning: learned keys and values before those of the text, in every attention layer.

Source: Li and Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation", section 4,
without their reparametrisation (Liu et al. 2022, "P-Tuning v2", section 3.3, for classification).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

ATTRIBUTE = "prefix"
"""Under this name a prefix hangs on its attention module."""


class Prefix(nn.Module):
    """Keys and values of one layer, [length, heads * size]."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.key = nn.Parameter(torch.empty(length, width).normal_(std=0.02))
        self.value = nn.Parameter(torch.empty(length, width).normal_(std=0.02))

    def before(
        self, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return keys and values [n, heads, length, size] and the mask with the prefix before them.

        `mask`: true where a key is seen, or added to the scores; [..., length]; None sees all.
        """
        n, heads, _, size = key.shape

        def spread(own: Tensor, other: Tensor) -> Tensor:
            cut = own.to(other.dtype).view(-1, heads, size).transpose(0, 1)
            return torch.cat([cut.expand(n, -1, -1, -1), other], dim=2)

        if mask is not None:
            mask = functional.pad(mask, (len(self.key), 0), value=float(mask.dtype == torch.bool))
        return spread(self.key, key), spread(self.value, value), mask


def prefix_of(module: nn.Module) -> Prefix | None:
    """Return the prefix of an attention module."""
    found = getattr(module, ATTRIBUTE, None)
    return found if isinstance(found, Prefix) else None


def insert(encoder: nn.Module, name: str, length: int, width: int) -> Prefix:
    """Put a prefix before the keys and values of an attention module.

    transformers' encoders look for it once `models.attention.attend` has been called.

    Raises:
        AttributeError: no module of that name.
    """
    prefix = Prefix(length, width)
    encoder.get_submodule(name).add_module(ATTRIBUTE, prefix)
    return prefix


def prefixes(encoder: nn.Module) -> dict[str, Prefix]:
    """Return the prefix of each attention module that has one, by the module's name."""
    found = {name: prefix_of(module) for name, module in encoder.named_modules()}
    return {name: prefix for name, prefix in found.items() if prefix is not None}


def parameters_of(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of all prefixes as `<attention>.key` and `<attention>.value`."""
    return {
        f"{name}.{part}": parameter
        for name, prefix in prefixes(encoder).items()
        for part, parameter in prefix.named_parameters()
    }
