"""Two kernels for packed lines on CUDA, written in Triton, which torch brings along.

What they replace is right, but made for other shapes. Attention over short rows wastes most of a
tile of 128 queries; LayerNorm runs at a quarter of the memory's speed, after a pass of its own for
the residual. On an H200 they took half of the time of a MiniLM.
"""

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

BLOCK: Final = 32
"""Queries of one program, and keys of one step of its loop."""
_ROWS: Final = 4
"""Rows that one program normalises."""
SIZES: Final = (16, 32, 64, 128)
"""Sizes of a head that the attention kernel takes."""


def compare(device: str, dtype: torch.dtype, size: int) -> float:
    """Return the largest difference between the kernels and torch on random rows."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    lengths = (1, 5, 32, 33, 70)
    line = random(sum(lengths), 3, 2, size)
    ends = torch.tensor(lengths).cumsum(0).tolist()
    blocks = [
        (e - n, e, q) for n, e in zip(lengths, ends, strict=True) for q in range(e - n, e, BLOCK)
    ]
    found = attention(
        line[:, 0], line[:, 1], line[:, 2],
        torch.tensor([*blocks, (0, 0, 0)], dtype=torch.int32, device=device),
    )  # fmt: skip
    worst = 0.0
    for length, end in zip(lengths, ends, strict=True):
        q, k, v = (line[end - length : end, i].transpose(0, 1).float() for i in range(3))
        expected = functional.scaled_dot_product_attention(q, k, v).transpose(0, 1)
        worst = max(worst, float((found[end - length : end].float() - expected).abs().max()))
    states, residual, weight, bias = random(9, 48), random(9, 48), random(48), random(48)
    normed = add_norm(states, residual, weight, bias, 1e-12).float()
    together = (states.float() + residual.float(), (48,), weight.float(), bias.float(), 1e-12)
    return max(worst, float((normed - functional.layer_norm(*together)).abs().max()))


def attention(
    query: Tensor, key: Tensor, value: Tensor, blocks: Tensor, scale: float | None = None
) -> Tensor:
    """Return softmax(q k' · scale) v within each row: three [T, heads, size] -> the same.

    Args:
        query: with `key` and `value` of the same strides, the last of them 1.
        blocks: int32 [n, 3]: where the row of a block of queries begins and ends, and the first
            query. Where the row ends before the first query there is nothing to do.
        scale: 1 / sqrt(size) by default.

    Source: Dao et al. 2022, "FlashAttention", algorithm 1, with rows in place of a batch.
    """
    tokens, heads, size = query.shape
    found = torch.empty(tokens, heads, size, dtype=query.dtype, device=query.device)
    _attend[len(blocks), heads](
        query, key, value, found, blocks,
        size**-0.5 if scale is None else scale,
        query.stride(0), query.stride(1), found.stride(0), found.stride(1),
        SIZE=size, TILE=BLOCK, num_warps=1 if size <= 32 else 2,
    )  # fmt: skip
    return found


def add_norm(states: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return LayerNorm(states + residual), computed in float32: two [T, hidden] -> the same."""
    rows, hidden = states.shape
    found = torch.empty_like(residual)
    width = triton.next_power_of_2(hidden)
    _add_norm[(triton.cdiv(rows, _ROWS),)](
        states, residual, weight, bias, found, rows, hidden, eps,
        ROWS=_ROWS, WIDTH=width, num_warps=4 if width <= 512 else 8,
    )  # fmt: skip
    return found


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    query, key, value, out, blocks, scale, step, head_step, out_step, out_head_step,
    SIZE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    block, head = tl.program_id(0), tl.program_id(1)
    begin = tl.load(blocks + 3 * block)
    end = tl.load(blocks + 3 * block + 1)
    first = tl.load(blocks + 3 * block + 2)
    if first >= end:
        return
    columns = tl.arange(0, SIZE)
    rows = first + tl.arange(0, TILE)
    q = tl.load(
        query + rows[:, None] * step + head * head_step + columns[None, :],
        mask=rows[:, None] < end, other=0.0,
    )  # fmt: skip
    highest = tl.full([TILE], float("-inf"), tl.float32)
    total = tl.zeros([TILE], tl.float32)
    mixed = tl.zeros([TILE, SIZE], tl.float32)
    for start in range(begin, end, TILE):
        keys = start + tl.arange(0, TILE)
        place = keys[:, None] * step + head * head_step + columns[None, :]
        k = tl.load(key + place, mask=keys[:, None] < end, other=0.0)
        v = tl.load(value + place, mask=keys[:, None] < end, other=0.0)
        scores = tl.dot(q, tl.trans(k)) * scale
        scores = tl.where(keys[None, :] < end, scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        shares = tl.exp(scores - higher[:, None])
        fade = tl.exp(highest - higher)
        total = total * fade + tl.sum(shares, 1)
        mixed = mixed * fade[:, None] + tl.dot(shares.to(v.dtype), v)
        highest = higher
    tl.store(
        out + rows[:, None] * out_step + head * out_head_step + columns[None, :],
        (mixed / total[:, None]).to(out.dtype.element_ty), mask=rows[:, None] < end,
    )  # fmt: skip


@triton.jit  # type: ignore[untyped-decorator]
def _add_norm(  # type: ignore[no-untyped-def]
    states, residual, weight, bias, out, count, hidden, eps,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)
    inside = (rows[:, None] < count) & (columns[None, :] < hidden)
    place = rows[:, None] * hidden + columns[None, :]
    total = tl.load(states + place, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
    mean = tl.sum(total, 1) / hidden
    away = tl.where(inside, total - mean[:, None], 0.0)
    spread = tl.sum(away * away, 1) / hidden
    w = tl.load(weight + columns, mask=columns < hidden, other=0.0).to(tl.float32)
    b = tl.load(bias + columns, mask=columns < hidden, other=0.0).to(tl.float32)
    found = away * tl.rsqrt(spread + eps)[:, None] * w[None, :] + b[None, :]
    tl.store(out + place, found.to(out.dtype.element_ty), mask=inside)
