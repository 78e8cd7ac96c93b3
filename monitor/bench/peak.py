"""The fastest matrix product of this machine, measured in the run that is compared with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

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
        kernels: dict[str, Callable[[], Any]] = {
            "F.linear": lambda x=x, w=weight, b=bias: functional.linear(x, w, b)  # type: ignore[misc]
        }
        prepacked = _prepacked(x, weight, bias)
        if prepacked is not None:
            kernels["oneDNN prepacked"] = prepacked
        found += [
            (f"{name} {rows}x{inner}x{outer}", 2 * rows * inner * outer / _fastest(kernel, device))
            for name, kernel in kernels.items()
        ]
    return found


def _prepacked(x: Tensor, weight: Tensor, bias: Tensor) -> Callable[[], Any] | None:
    """Return the product with weights in oneDNN's own order; None where torch has no such kernel.

    Both operators are private: they are tried, never assumed.
    """
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.to_mkldnn(), x.shape[0])  # noqa: SLF001
        run = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        close = torch.allclose(
            run(x, packed, bias, "none", [], "").float(),
            functional.linear(x.float(), weight.float(), bias.float()),
            atol=0.02 * x.shape[1],
        )
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return None
    return (lambda: run(x, packed, bias, "none", [], "")) if close else None


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
