"""Rows of tokens to logits: packed, on any device; padded, for what cannot be packed."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.labels import LABELS
from models.network import Network, by_length, on, pad
from models.packed.encoders import PackedEncoder
from models.packed.logits import Logits
from models.packed.rows import Packed, Row, flat, pack
from models.segments import Segments, varlen_kernel

Pending = Callable[[], Logits]
"""Waits for what was begun and returns it, once."""


class Forward(Protocol):
    """Judges rows of at most a window's tokens."""

    def begin(
        self, rows: Sequence[Row], budget: int, shapes: Sequence[Row] | None = None
    ) -> Pending:
        """Begin the passes over the rows, none of more than `budget` tokens unless a row has more.

        With the `shapes` of each row's tokens (`models.spans.shapes`) the network's token head
        judges these as well. The result is in the order of the rows.
        """
        ...


class PaddedForward:
    """Batches of similar length, padded to the longest; the budget counts the padding."""

    def __init__(self, network: Network, device: str, multiple: int, limit: int) -> None:
        """`multiple` and `limit` of a batch's length, as in `models.network.pad`."""
        self._network = network
        self._device = device
        self._multiple = multiple
        self._limit = limit

    @torch.inference_mode()
    def begin(
        self, rows: Sequence[Row], budget: int, shapes: Sequence[Row] | None = None
    ) -> Pending:
        lists = [row.tolist() if isinstance(row, np.ndarray) else list(row) for row in rows]
        found = Logits(lists, tokens=shapes is not None)
        for part in by_length(lists, budget, self._multiple):
            batch = [lists[i] for i in part]
            padded = pad(batch, self._network.pad_id, self._device, self._multiple, self._limit)
            tokens = None
            if shapes is None:
                heads = self._network(*padded)
            else:
                beside = on(self._device, torch.from_numpy(flat([shapes[i] for i in part])))
                heads, judged = self._network.with_tokens(*padded, beside)
                tokens = judged.cpu().numpy()
            joined = torch.cat([heads[task] for task in LABELS], dim=1)
            found.put(np.array(part), joined.double().cpu().numpy(), tokens)
        return lambda: found


class PackedForward:
    """Rows end to end, one pass for each budget of tokens."""

    def __init__(
        self,
        network: Network,
        encoder: PackedEncoder,
        device: str,
        *,
        block: int | None = None,
        few_shapes: bool = False,
    ) -> None:
        """`block`: queries of a block of our own attention kernel; None does without it.

        `few_shapes`: lines are filled up to round lengths. oneDNN compiles and keeps a kernel for
        each length that it meets, and blocks of memory of many sizes leave gaps behind.
        """
        self._block = block
        self._few_shapes = few_shapes
        self._pad_id = network.pad_id
        self._encoder = encoder
        self._device = device
        self._heads = Heads(network)
        self._spans = network.spans
        kind = next(network.encoder.parameters()).dtype
        self.varlen = (
            device.startswith("cuda") and kind != torch.float32 and varlen_kernel() is not None
        )
        """Whether one kernel reads all rows; it has no float32."""

    def begin(
        self, rows: Sequence[Row], budget: int, shapes: Sequence[Row] | None = None
    ) -> Pending:
        found = Logits(rows, tokens=shapes is not None)
        for part in batches(rows, budget):
            beside = None if shapes is None else [shapes[i] for i in part]
            packed = pack([rows[i] for i in part], beside)
            logits, tokens = self.line(packed)
            found.put(
                part[packed.order],
                logits.double().cpu().numpy(),
                None if tokens is None else tokens.cpu().numpy(),
            )
        return lambda: found

    @torch.inference_mode()
    def line(self, packed: Packed) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the line's rows, float32 [n, CLASSES], and those of its tokens,
        float32 [T, COLUMNS], where it has their shapes."""
        line, places, shapes = packed.ids, packed.positions, packed.shapes
        if self._few_shapes:
            # No row reaches into what is added, and no group of them reads it.
            more = rounded_up(len(line)) - len(line)
            line = np.pad(line, (0, more), constant_values=self._pad_id)
            places = np.pad(places, (0, more))
            shapes = None if shapes is None else np.pad(shapes, (0, more))
        ids, positions, offsets = (
            torch.from_numpy(part).to(self._device) for part in (line, places, packed.offsets)
        )

        def tokens(states: Tensor) -> Tensor | None:
            if shapes is None or self._spans is None:
                return None
            found: Tensor = self._spans(states, torch.from_numpy(shapes).to(self._device))
            return found[: len(packed.ids)]

        if self.varlen:
            blocks = None
            if self._block is not None:
                blocks = torch.from_numpy(packed.blocks(self._block)).to(self._device)
            segments = Segments((), offsets, int(packed.lengths.max()), blocks)
            states = self._encoder(ids, positions, segments)
            return self._heads(row_means(states, offsets)), tokens(states)
        segments = Segments(packed.groups)
        states = self._encoder(ids, positions, segments).float()
        means = [
            states[group.start : group.end].view(group.rows, group.length, -1).mean(1)
            for group in segments.groups
        ]
        return self._heads(torch.cat(means)), tokens(states)


def row_means(states: Tensor, offsets: Tensor) -> Tensor:
    """Return the mean of each row's states, float32 [n, hidden]; 0 for a row without tokens."""
    sums = torch.segment_reduce(states.float(), "sum", offsets=offsets.long(), axis=0, unsafe=True)
    return sums / offsets.diff().clamp_min(1).unsqueeze(1)


class Heads:
    """All sentence heads as one product in float32: [n, hidden] -> [n, CLASSES]."""

    def __init__(self, network: Network) -> None:
        def joined(part: str) -> Tensor:
            heads = (network.heads.get_submodule(task) for task in LABELS)
            return torch.cat([head.get_parameter(part).detach().float() for head in heads])

        self._weight, self._bias = joined("weight"), joined("bias")

    def __call__(self, means: Tensor) -> Tensor:
        return torch.nn.functional.linear(means, self._weight, self._bias)


def rounded_up(tokens: int) -> int:
    """Return a length of at least so many tokens, at most an eighth longer beyond 128: one of
    eight to an octave, and multiples of 16."""
    step = max(16, 1 << max(0, (tokens - 1).bit_length() - 4))
    return -(-tokens // step) * step


def batches(
    rows: Sequence[Row], budget: int, most_rows: int | None = None
) -> list[npt.NDArray[np.int64]]:
    """Return the indices of each pass, shortest rows first, every index exactly once.

    A pass holds at most `budget` tokens, and `most_rows` rows, unless a single row has more.
    """
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    if lengths.sum() <= budget and (most_rows is None or len(rows) <= most_rows):
        return [np.arange(len(rows))] if len(rows) else []
    order = np.argsort(lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    found, first = [], 0
    while first < len(order):
        before = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, before + budget, side="right")), first + 1)
        if most_rows is not None:
            last = min(last, first + most_rows)
        found.append(order[first:last])
        first = last
    return found
