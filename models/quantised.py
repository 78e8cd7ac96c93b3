"""Linear layers in 8-bit integers, and matrices in 8 bits on disk."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

SCALE: Final = ".scale"
"""Suffix of the scales [rows, 1] that belong to an int8 matrix on disk."""
_LARGEST: Final = 127
_SMALLEST: Final = 1e-12


def rounded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return (int8 [rows, columns], float32 scales [rows, 1]), symmetric, one scale a row."""
    values = matrix.float()
    scales = values.abs().amax(-1, keepdim=True).clamp_min(_SMALLEST) / _LARGEST
    return (values / scales).round_().to(torch.int8), scales


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with every matrix in int8 beside its scales; vectors in float32."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            found[name], found[name + SCALE] = rounded(tensor)
        else:
            found[name] = tensor.float().contiguous()
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with int8 matrices as float32; others as they are."""
    return {
        name: tensor.float() * tensors[name + SCALE] if tensor.dtype == torch.int8 else tensor
        for name, tensor in tensors.items()
        if not (name.endswith(SCALE) and name.removesuffix(SCALE) in tensors)
    }


def quantise(encoder: nn.Module, integers: bool = True) -> None:
    """Put `Int8Linear` in place of every linear layer of the encoder."""
    for name, child in list(encoder.named_children()):
        if isinstance(child, nn.Linear):
            setattr(encoder, name, Int8Linear(child, integers))
        else:
            quantise(child, integers)


class Int8Linear(nn.Module):
    """A linear layer whose product is one of 8-bit integers: dynamic quantisation.

    Weights have a scale for each output, activations one for each token, found as they come. One
    scale for a whole batch of activations, as torch's older dynamic quantisation has it, is ruined
    by the few large values that BERTs have: it changed 1 verdict in 13, this 1 in 64.
    Source: Yao et al. 2022, "ZeroQuant", section 4.1 (token-wise, group of one row).

    Without `integers` the same whole numbers are multiplied in float32, which holds those up to
    2^24 exactly: for processors that lack 8-bit products, whose kernel for them is some fifty times
    slower than float32. The result is the same; no sum reaches 2^24 below 1,041 inputs, and beyond,
    one that did would be off by less than a millionth.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, integers: bool = True) -> None:
        super().__init__()
        weight, scale = rounded(linear.weight.detach())
        # The kernel wants the second matrix [in, out], its memory in that order.
        stored = weight.t().contiguous() if integers else weight.float()
        self.register_buffer("weight", stored)
        self.register_buffer("scale", scale[:, 0])
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())
        self._integers = integers

    def forward(self, states: Tensor) -> Tensor:
        """Return [..., out] in float32 of [..., in]."""
        rows = states.reshape(-1, states.shape[-1]).float()
        scales = rows.abs().amax(1, keepdim=True).clamp_min(_SMALLEST) / _LARGEST
        whole = (rows / scales).round_()
        if self._integers:
            # torchao calls the same kernel; there is no public name for it.
            product = torch._int_mm(whole.to(torch.int8), self.weight).float()  # noqa: SLF001
        else:
            product = nn.functional.linear(whole, self.weight)
        product.mul_(scales)
        found = (
            product.mul_(self.scale)
            if self.bias is None
            else torch.addcmul(self.bias, product, self.scale)
        )
        return found.view(*states.shape[:-1], -1)
