"""Packed passes on CUDA: recorded once for each size, fed through a ring of pinned buffers.

A small network on a fast device spends its time on launches; a recorded graph is one launch. Its
tensors cannot change their size, so a line is as long as the next bucket and its offsets repeat
their last value: rows without tokens, which no kernel reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.network import Network
from models.packed.encoders import PackedEncoder
from models.packed.forward import Heads, Pending, batches, row_means
from models.packed.logits import CLASSES, Logits
from models.packed.rows import Packed, Row, pack
from models.segments import Segments
from models.spans.head import COLUMNS

BUCKETS: Final = tuple(k * 1_024 for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))
"""Tokens of the recorded passes."""
IN_FLIGHT: Final = 3
"""Passes that may be on their way: one is copied in, one computed, one copied out."""
_TOKENS_A_ROW: Final = 16
"""A bucket has room for one row for each so many of its tokens; headlines have 8 to 40."""
_WARM: Final = 2


@dataclass(slots=True)
class _Work:
    """One pass on its way: where its result will be, and what it belongs to."""

    packed: Packed
    part: npt.NDArray[np.int64]
    into: Logits


@dataclass(slots=True)
class _Slot:
    """One place of the ring: pinned memory on the host, the same on the device."""

    host: Tensor  # int32, laid out by `Line.fill`, pinned
    device: Tensor  # the same on the device
    logits: Tensor  # float32 [rows, CLASSES], pinned
    tokens: Tensor | None  # float32 [tokens, COLUMNS], pinned
    copied: torch.cuda.Event = field(default_factory=torch.cuda.Event)
    done: torch.cuda.Event = field(default_factory=torch.cuda.Event)
    work: _Work | None = None

    def take(self) -> None:
        """Wait for the pass that is under way here, and hand its logits over."""
        if self.work is None:
            return
        work, self.work = self.work, None
        self.done.synchronize()
        rows, length = len(work.packed.order), len(work.packed.ids)
        work.into.put(
            work.part[work.packed.order],
            self.logits[:rows].numpy(),
            None if self.tokens is None else self.tokens[:length].numpy(),
        )


class Line:
    """What a recorded pass reads, as one line of integers on the device, and the pass over it.

    For a pass of `size` tokens the line holds ids, positions, shapes where there is a head over
    tokens, the rows' offsets, and blocks where there are kernels of our own.
    """

    def __init__(
        self,
        network: Network,
        encoder: PackedEncoder,
        longest: int,
        room: int,
        device: torch.device | str,
        *,
        block: int | None = None,
    ) -> None:
        """`room`: tokens of the longest pass; `longest` and `block`: see `GraphedForward`."""
        self._encoder = encoder
        self._heads = Heads(network)
        self._spans = network.spans
        self._longest = longest
        self._block = block
        self._pad_id = network.pad_id
        self.values = torch.zeros(self.length(room), dtype=torch.int32, device=device)

    def length(self, size: int) -> int:
        """Return the integers that a pass of so many tokens reads."""
        return self._offsets(size) + _rows(size) + 1 + 3 * self._blocks(size)

    def fill(self, line: npt.NDArray[np.int32], packed: Packed, size: int) -> int:
        """Write what a pass of `size` tokens reads into memory of the host; its length."""
        tokens, rows = len(packed.ids), len(packed.order)
        line[:tokens] = packed.ids
        line[tokens:size] = self._pad_id
        line[size : size + tokens] = packed.positions
        line[size + tokens : 2 * size] = 0
        if self._spans is not None:
            # Without shapes the tokens' logits are of no use, and nobody takes them.
            line[2 * size : 2 * size + tokens] = 0 if packed.shapes is None else packed.shapes
            line[2 * size + tokens : 3 * size] = 0
        first = self._offsets(size)
        last = first + _rows(size) + 1
        line[first : first + rows + 1] = packed.offsets
        line[first + rows + 1 : last] = tokens
        end = self.length(size)
        if self._block is not None:
            blocks = packed.blocks(self._block).reshape(-1)
            line[last : last + len(blocks)] = blocks
            line[last + len(blocks) : end] = 0
        return end

    @torch.inference_mode()
    def judge(self, size: int) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the rows [rows, CLASSES] and of the tokens [size, COLUMNS]."""
        ids, positions = self.values[:size], self.values[size : 2 * size]
        first = self._offsets(size)
        last = first + _rows(size) + 1
        offsets, blocks = self.values[first:last], None
        if self._block is not None:
            blocks = self.values[last : self.length(size)].view(-1, 3)
        segments = Segments((), offsets, self._longest, blocks)
        states = self._encoder(ids, positions, segments)
        tokens = None if self._spans is None else self._spans(states, self.values[2 * size : first])
        return self._heads(row_means(states, offsets)), tokens

    def _offsets(self, size: int) -> int:
        """Return where the rows' offsets begin."""
        return size * (2 if self._spans is None else 3)

    def _blocks(self, size: int) -> int:
        """Return the most blocks that rows of so many tokens can have."""
        return 0 if self._block is None else size // self._block + _rows(size)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A recorded pass, and where on the device its results are after each replay."""

    graph: torch.cuda.CUDAGraph
    logits: Tensor
    tokens: Tensor | None


class GraphedForward:
    """Rows end to end through recorded passes. One thread begins and takes; see `IN_FLIGHT`."""

    def __init__(
        self,
        network: Network,
        encoder: PackedEncoder,
        device: str,
        longest: int,
        *,
        block: int | None = None,
        buckets: Sequence[int] = BUCKETS,
    ) -> None:
        """Record a pass for each bucket; rows have at most `longest` tokens.

        `block`: queries of a block of our own attention kernel; None does without it.

        Raises:
            RuntimeError: a kernel of the encoder cannot be recorded, or memory is short.
        """
        self._device = torch.device(device)
        self._longest = longest
        self._pad_id = network.pad_id
        self._tokens = network.spans is not None
        self._buckets = tuple(size for size in sorted(buckets) if size >= longest) or (longest,)
        with torch.cuda.device(self._device):
            self._compute, self._copy = (torch.cuda.Stream() for _ in range(2))  # type: ignore[no-untyped-call]
            most = self._buckets[-1]
            self._line = Line(network, encoder, longest, most, self._device, block=block)
            self._slots = [self._slot(most) for _ in range(IN_FLIGHT)]
            self._next = 0
            self._graphs: dict[int, _Recorded] = {}
            pool = None
            # The largest first: the others fit into its memory.
            for size in reversed(self._buckets):
                self._graphs[size] = self._recorded(size, pool)
                pool = self._graphs[size].graph.pool()

    def begin(
        self, rows: Sequence[Row], budget: int, shapes: Sequence[Row] | None = None
    ) -> Pending:
        found = Logits(rows, tokens=shapes is not None)
        budget = min(max(budget, self._longest), self._buckets[-1])
        parts = batches(rows, budget, _rows(budget))
        slots = []
        for part in parts:
            beside = None if shapes is None else [shapes[i] for i in part]
            slots.append(self._launch(_Work(pack([rows[i] for i in part], beside), part, found)))

        def result() -> Logits:
            for slot, work in slots:
                if slot.work is work:
                    slot.take()
            return found

        return result

    def _launch(self, work: _Work) -> tuple[_Slot, _Work]:
        packed = work.packed
        tokens, rows = len(packed.ids), len(packed.order)
        size = next(s for s in self._buckets if s >= tokens and _rows(s) >= rows)
        recorded = self._graphs[size]
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        slot.take()
        used = self._line.fill(slot.host.numpy(), packed, size)
        with torch.cuda.device(self._device):
            with torch.cuda.stream(self._copy):
                slot.device[:used].copy_(slot.host[:used], non_blocking=True)
                slot.copied.record()
            with torch.cuda.stream(self._compute):
                self._compute.wait_event(slot.copied)
                self._line.values[:used].copy_(slot.device[:used])
                recorded.graph.replay()
                # On the same stream: the next pass, which may write where this one's results are,
                # begins when they have been copied.
                slot.logits[:rows].copy_(recorded.logits[:rows], non_blocking=True)
                if (
                    slot.tokens is not None
                    and recorded.tokens is not None
                    and packed.shapes is not None
                ):
                    slot.tokens[:tokens].copy_(recorded.tokens[:tokens], non_blocking=True)
                slot.done.record()
        slot.work = work
        return slot, work

    def _slot(self, size: int) -> _Slot:
        room = self._line.length(size)
        tokens = None
        if self._tokens:
            tokens = torch.zeros(size, COLUMNS, dtype=torch.float32, pin_memory=True)
        return _Slot(
            torch.zeros(room, dtype=torch.int32, pin_memory=True),
            torch.zeros(room, dtype=torch.int32, device=self._device),
            torch.zeros(_rows(size), CLASSES, dtype=torch.float32, pin_memory=True),
            tokens,
        )

    @torch.inference_mode()
    def _recorded(self, size: int, pool: Any) -> _Recorded:
        # Full rows: what a kernel chooses by the input's values is chosen for the hardest case.
        count = size // self._longest
        lengths = np.full(count, self._longest, np.int32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        ids = np.full(offsets[-1], self._pad_id, np.int32)
        host = torch.zeros(len(self._line.values), dtype=torch.int32)
        used = self._line.fill(host.numpy(), Packed(ids, offsets, np.arange(count)), size)
        self._line.values[:used].copy_(host[:used])
        self._compute.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._compute):
            for _ in range(_WARM):
                self._line.judge(size)
        self._compute.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile: the model that is about to be replaced.
        with torch.cuda.graph(
            graph, pool=pool, stream=self._compute, capture_error_mode="thread_local"
        ):
            logits, tokens = self._line.judge(size)
        return _Recorded(graph, logits, tokens)


def _rows(size: int) -> int:
    return size // _TOKENS_A_ROW
