"""Linear layers as the packed pass calls them: plain, or with weights in oneDNN's own layout."""

from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

Map = Callable[[Tensor], Tensor]

_TOLERANCE: Final = {torch.float32: 1e-3, torch.bfloat16: 0.25}
_ROWS: Final = 1_024
"""Rows that oneDNN lays the weights out for; any other number works."""


def linear(weight: Tensor, bias: Tensor | None, *, prepack: bool, gelu: bool = False) -> Map:
    """Return x [..., in] -> x W' + b [..., out], and its GELU where that is asked for."""
    if prepack:
        return Prepacked(weight, bias, gelu=gelu)
    if gelu:
        return lambda states: functional.gelu(functional.linear(states, weight, bias))
    return lambda states: functional.linear(states, weight, bias)


def is_plain(layer: nn.Module) -> bool:
    """Return whether a layer is its weight and bias and nothing else: no hook, no other pass."""
    # torch has no public way to ask for hooks.
    return type(layer).forward is nn.Linear.forward and not layer._forward_hooks  # noqa: SLF001


def should_prepack(device: str, dtype: torch.dtype) -> bool:
    """Return whether prepacked weights are there, right, and the faster path on this machine.

    MKL's products do not use AVX-512 on every vendor's processors; oneDNN's do. Where there is no
    AVX-512, plain products are as fast (measured: 87 against 80 GFLOP/s a core).
    """
    return (
        device == "cpu"
        and bool(torch.cpu.get_capabilities().get("avx512_f"))
        and prepacking_works(dtype)
    )


@cache
def prepacking_works(dtype: torch.dtype) -> bool:
    """Return whether torch's private operators are there and give what a linear layer gives."""
    if dtype not in _TOLERANCE:
        return False
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(5, 32, generator=generator).to(dtype)
    weight = torch.randn(48, 32, generator=generator).to(dtype)
    bias = torch.randn(48, generator=generator).to(dtype)
    try:
        found = [Prepacked(weight, bias, gelu=gelu)(states) for gelu in (False, True)]
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return False
    plain = functional.linear(states, weight, bias)
    expected = [plain, functional.gelu(plain)]
    return all(
        bool((a.float() - b.float()).abs().max() <= _TOLERANCE[dtype])
        for a, b in zip(found, expected, strict=True)
    )


class Prepacked:
    """A linear layer whose weights lie as oneDNN's kernels read them.

    GELU goes with the product, while its result is still in the processor's cache: alone it would
    take half as long again as a product in bfloat16.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, gelu: bool = False) -> None:
        # torch's inductor calls the same operators; there is no public name for them.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)  # noqa: SLF001
        self._bias = bias
        self._after = ("gelu", "none") if gelu else ("none", "")

    def __call__(self, states: Tensor) -> Tensor:
        """Return [..., out] of [..., in]."""
        name, kind = self._after
        found: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            states, self._weight, self._bias, name, [], kind
        )
        return found
