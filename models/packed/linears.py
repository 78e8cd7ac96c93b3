"""The products of a packed pass: as torch has them, in oneDNN's layout, or in kept memory."""

import threading
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

Map = Callable[[Tensor], Tensor]
Join = Callable[[Tensor, Tensor], Tensor]

_TOLERANCE: Final = {torch.float32: 1e-3, torch.bfloat16: 0.25}
_ROWS: Final = 1_024
"""Rows that oneDNN lays the weights out for; any other number works."""


class Products(Protocol):
    """What the layers of an encoder are made of; weights [out, in], biases [out]."""

    def linear(self, weight: Tensor, bias: Tensor, *, gelu: bool = False) -> Map:
        """Return x [T, in] -> x W' + b [T, out], and its GELU where that is asked for.

        The result holds until the next product.
        """
        ...

    def residual(self, weight: Tensor, bias: Tensor, norm: nn.LayerNorm) -> Join:
        """Return x [T, in], states [T, out] -> LayerNorm(x W' + b + states) [T, out]."""
        ...

    def add_norm(self, norm: nn.LayerNorm) -> Join:
        """Return x [T, out], states [T, out] -> LayerNorm(x + states) [T, out]."""
        ...


class Plain:
    """As torch has them."""

    def __init__(self, kernels: ModuleType | None = None) -> None:
        """`kernels`: see `models.segments.own_kernels`."""
        self._kernels = kernels

    def linear(self, weight: Tensor, bias: Tensor, *, gelu: bool = False) -> Map:
        """See `Products`."""
        if gelu:
            return lambda states: functional.gelu(functional.linear(states, weight, bias))
        return lambda states: functional.linear(states, weight, bias)

    def residual(self, weight: Tensor, bias: Tensor, norm: nn.LayerNorm) -> Join:
        """See `Products`."""
        product, joined = self.linear(weight, bias), self.add_norm(norm)
        return lambda inner, states: joined(product(inner), states)

    def add_norm(self, norm: nn.LayerNorm) -> Join:
        """See `Products`."""
        kernels = self._kernels
        if kernels is None:
            return lambda inner, states: norm(inner + states)
        weight, bias = norm.weight.detach(), norm.bias.detach()
        return lambda inner, states: kernels.add_norm(inner, states, weight, bias, norm.eps)


class Prepacked(Plain):
    """Weights lie as oneDNN's kernels read them.

    GELU goes with the product, while its result is still in the processor's cache: alone it would
    take half as long again as a product in bfloat16.
    """

    def linear(self, weight: Tensor, bias: Tensor, *, gelu: bool = False) -> Map:
        """See `Products`."""
        # torch's inductor calls the same operators; there is no public name for them.
        laid = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)  # noqa: SLF001
        product = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        after: tuple[str, list[float], str] = ("gelu", [], "none") if gelu else ("none", [], "")
        return lambda states: product(states, laid, bias, *after)


class InPlace(Plain):
    """Results lie where those of the pass before lay, and grow where they lie.

    Memory of megabytes that is asked for anew costs a fault for each of its pages; GELU, bias and
    residual in place spare a pass over it each. An eighth of a layer's time on a processor with
    AVX2, where a product is at the processor's peak.
    """

    def __init__(self) -> None:
        super().__init__()
        self._memory = _Memory()

    def linear(self, weight: Tensor, bias: Tensor, *, gelu: bool = False) -> Map:
        """See `Products`."""
        across, memory = weight.t(), self._memory

        def product(states: Tensor) -> Tensor:
            kept = memory.take("product", len(states), len(weight))
            found = torch.addmm(bias, states, across, out=kept)
            # `functional.gelu` has no form in place.
            return torch.ops.aten.gelu_(found) if gelu else found

        return product

    def residual(self, weight: Tensor, bias: Tensor, norm: nn.LayerNorm) -> Join:
        """See `Products`."""
        across, memory = weight.t(), self._memory

        def product(inner: Tensor, states: Tensor) -> Tensor:
            total = torch.add(states, bias, out=memory.take("sum", len(states), len(weight)))
            found: Tensor = norm(total.addmm_(inner, across))
            return found

        return product


class _Memory(threading.local):
    """Float32 memory of each thread, by what it is for and its width."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Tensor] = {}

    def take(self, use: str, rows: int, columns: int) -> Tensor:
        """Return [rows, columns] with anything in it."""
        kept = self._kept.get((use, columns))
        if kept is None or len(kept) < rows:
            kept = self._kept[use, columns] = torch.empty(rows, columns)
        return kept[:rows]


def is_plain(layer: nn.Module) -> bool:
    """Return whether a layer is its weight and bias and nothing else: no hook, no other pass."""
    # torch has no public way to ask for hooks.
    return type(layer).forward is nn.Linear.forward and not layer._forward_hooks  # noqa: SLF001


def products(device: str, dtype: torch.dtype, kernels: ModuleType | None = None) -> Products:
    """Return the fastest way to multiply on a device.

    MKL's products do not use AVX-512 on every vendor's processors; oneDNN's do, where its private
    operators are there and right. Without AVX-512 MKL's are the faster ones (measured: 97 against
    87 GFLOP/s a core).
    """
    if device != "cpu":
        return Plain(kernels)
    if torch.cpu.get_capabilities().get("avx512_f") and prepacking_works(dtype):
        return Prepacked()
    return InPlace() if dtype == torch.float32 else Plain()


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
        found = [Prepacked().linear(weight, bias, gelu=gelu)(states) for gelu in (False, True)]
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return False
    plain = functional.linear(states, weight, bias)
    expected = [plain, functional.gelu(plain)]
    return all(
        bool((a.float() - b.float()).abs().max() <= _TOLERANCE[dtype])
        for a, b in zip(found, expected, strict=True)
    )
