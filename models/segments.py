"""Attention within the rows of a packed line of tokens.

On CUDA one kernel reads all rows: our own (`models.kernels`) or torch's (`varlen_attn`); elsewhere
rows of equal length are one dense block, since they lie side by side.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.prefixes import Prefix, prefix_of

log = logging.getLogger(__name__)

_TOLERANCE: Final = 0.05
"""Of our own kernels' results against torch's; bfloat16 has eight bits for values around 1."""


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring rows of one length: tokens `start` to `start + rows * length`."""

    start: int
    rows: int
    length: int

    @property
    def end(self) -> int:
        """Return where the tokens of the group end."""
        return self.start + self.rows * self.length


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the rows of a packed line lie.

    `groups` for dense blocks. `offsets`, int32 [n + 1] on the device, and `longest`, the greatest
    length of a row, for torch's kernel that reads all rows at once; `blocks` for our own, see
    `models.kernels.attention`. What is missing is not used; our own goes first.
    """

    groups: tuple[Group, ...] = ()
    offsets: Tensor | None = None
    longest: int = 0
    blocks: Tensor | None = None


def varlen_kernel() -> Callable[..., Any] | None:
    """Return torch's attention over rows of different lengths, where this torch has it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def own_kernels(device: str, dtype: torch.dtype, size: int) -> ModuleType | None:
    """Return `models.kernels` where they compile and give what torch gives, for heads of `size`."""
    if not device.startswith("cuda") or dtype not in {torch.bfloat16, torch.float16}:
        return None
    try:
        from models import kernels
    except ImportError:  # this torch came without Triton
        return None
    return kernels if size in kernels.SIZES and _are_right(device, dtype, size) else None


@cache
def _are_right(device: str, dtype: torch.dtype, size: int) -> bool:
    from models import kernels

    try:
        return kernels.compare(device, dtype, size) < _TOLERANCE
    # Triton calls the machine's C compiler, and raises whatever that comes to.
    except Exception as error:  # noqa: BLE001
        log.warning("no kernels of our own: Triton does not work here (%s)", error)
        return False


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    *,
    prefix: Prefix | None = None,
    scale: float | None = None,
    window: int | None = None,
) -> Tensor:
    """Return softmax(q k' · scale) v within each row: three [T, heads, size] -> the same.

    `prefix` stands before the keys and values of each row; `scale` is 1 / sqrt(size) by default;
    with a `window` a token sees those less than `window` away.
    """
    if segments.blocks is not None and prefix is None and window is None:
        from models import kernels

        return kernels.attention(query, key, value, segments.blocks, scale)
    if segments.offsets is not None and prefix is None:
        return _varlen(query, key, value, segments, scale, window)
    found = torch.empty_like(query)
    # Tokens beyond the last row belong to none, and must still be numbers.
    found[max((group.end for group in segments.groups), default=0) :] = 0
    for group in segments.groups:
        block, shape = slice(group.start, group.end), (group.rows, group.length, *query.shape[1:])
        q, k, v = (part[block].view(shape).transpose(1, 2) for part in (query, key, value))
        mask = None if window is None else _near(group.length, window, query.device)
        if prefix is not None:
            k, v, mask = prefix.before(k, v, mask)
        found[block] = _dense(q, k, v, mask, scale).transpose(1, 2).reshape(found[block].shape)
    return found


def of_transformers(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
) -> Tensor:
    """Return `attention` of [1, heads, T, size] as transformers wants it: [1, T, heads, size]."""
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    found = attention(
        q, k, v, segments, prefix=prefix_of(module), scale=scaling, window=sliding_window
    )
    return found.unsqueeze(0)


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    scale: float | None,
    window: int | None,
) -> Tensor:
    kernel = varlen_kernel()
    if kernel is None:
        raise RuntimeError("this torch has no torch.nn.attention.varlen")
    # Older kernels know neither; what is the default anyway is not said.
    options: dict[str, Any] = {}
    if scale is not None and not math.isclose(scale, query.shape[-1] ** -0.5):
        options["scale"] = scale
    if window is not None:
        options["window_size"] = (window - 1, window - 1)
    offsets, longest = segments.offsets, segments.longest
    found: Tensor = kernel(query, key, value, offsets, offsets, longest, longest, **options)
    return found


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    if q.device.type != "cpu" or q.dtype == torch.float32:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    # On a CPU torch's fused attention is slower in bfloat16 than two products and a softmax.
    scores = torch.matmul(q * (scale or 1 / math.sqrt(q.shape[-1])), k.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.matmul(scores.softmax(-1), v)


def _near(length: int, window: int, device: torch.device) -> Tensor | None:
    if length <= window:
        return None
    places = torch.arange(length, device=device)
    return (places[:, None] - places[None, :]).abs() < window
