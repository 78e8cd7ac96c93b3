"""The fastest matrix product of this machine, measured in the run that is compared with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch

from models.packed.linears import Plain, Prepacked, Products, prepacking_works
from monitor.bench.contestant import Precision

_SHAPES: Final = ((1_024, 384, 1_536), (1_024, 1_024, 1_024))
"""Rows, inner and outer width on a CPU: a layer of MiniLM, and one that fills the caches."""
_CUDA: Final = 8_192
_REPEATS: Final = 5

_TYPES: Final[dict[Precision, torch.dtype]] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(slots=True)
class Peak:
    """The highest FLOP/s seen so far, by precision and by kernel."""

    device: str
    precisions: tuple[Precision, ...]
    kernels: dict[Precision, dict[str, float]] = field(default_factory=dict)

    def measure(self) -> None:
        """Measure once more and keep what is higher: another process can only slow it down."""
        for precision in self.precisions:
            best = self.kernels.setdefault(precision, {})
            for name, rate in _rates(self.device, _TYPES[precision]):
                best[name] = max(best.get(name, 0.0), rate)

    def of(self, precision: Precision) -> float:
        """Return FLOP/s of the fastest kernel; 0 where the precision was not measured."""
        return max(self.kernels.get(precision, {}).values(), default=0.0)


@torch.inference_mode()
def _rates(device: str, dtype: torch.dtype) -> list[tuple[str, float]]:
    if device == "cuda":
        a, b = (torch.randn(_CUDA, _CUDA, device=device, dtype=dtype) for _ in range(2))
        return [("matmul", 2 * _CUDA**3 / _fastest(lambda: torch.matmul(a, b), device))]
    found = []
    for rows, inner, outer in _SHAPES:
        x = torch.randn(rows, inner, dtype=dtype)
        weight = torch.randn(outer, inner, dtype=dtype)
        bias = torch.randn(outer, dtype=dtype)
        products: dict[str, Products] = {"F.linear": Plain()}
        if prepacking_works(dtype):
            products["oneDNN prepacked"] = Prepacked()
        for name, kind in products.items():
            product = partial(kind.linear(weight, bias), x)
            rate = 2 * rows * inner * outer / _fastest(product, device)
            found.append((f"{name} {rows}x{inner}x{outer}", rate))
    return found


def _fastest(kernel: Callable[[], Any], device: str) -> float:
    """Seconds of the fastest of some repeats, after one that warms up."""
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        kernel()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])
