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
from models.packed.forward import CLASSES, Floats, Heads, Pending, batches, row_means
from models.packed.rows import Packed, Row, pack, unpacked
from models.segments import Segments

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
    into: Floats


@dataclass(slots=True)
class _Slot:
    """One place of the ring: pinned memory on the host, the same on the device."""

    host: Tensor  # int32, laid out by `GraphedForward._fill`, pinned
    device: Tensor  # the same on the device
    logits: Tensor  # float32 [rows, CLASSES], pinned
    copied: torch.cuda.Event = field(default_factory=torch.cuda.Event)
    done: torch.cuda.Event = field(default_factory=torch.cuda.Event)
    work: _Work | None = None

    def take(self) -> None:
        """Wait for the pass that is under way here, and hand its logits over."""
        if self.work is None:
            return
        work, self.work = self.work, None
        self.done.synchronize()
        rows = len(work.packed.order)
        work.into[work.part] = unpacked(self.logits[:rows].double().numpy(), work.packed)


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
        self._encoder = encoder
        self._heads = Heads(network)
        self._longest = longest
        self._block = block
        self._pad_id = network.pad_id
        self._buckets = tuple(size for size in sorted(buckets) if size >= longest) or (longest,)
        with torch.cuda.device(self._device):
            self._compute, self._copy = (torch.cuda.Stream() for _ in range(2))  # type: ignore[no-untyped-call]
            most = self._buckets[-1]
            room = self._room(most)
            self._line = torch.zeros(room, dtype=torch.int32, device=self._device)
            self._slots = [self._slot(room, _rows(most)) for _ in range(IN_FLIGHT)]
            self._next = 0
            self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
            pool = None
            # The largest first: the others fit into its memory.
            for size in reversed(self._buckets):
                graph, logits = self._recorded(size, pool)
                pool = graph.pool()
                self._graphs[size] = graph, logits

    def begin(self, rows: Sequence[Row], budget: int) -> Pending:
        logits = np.empty((len(rows), CLASSES))
        budget = min(max(budget, self._longest), self._buckets[-1])
        parts = batches(rows, budget, _rows(budget))
        slots = [self._launch(pack([rows[i] for i in part]), part, logits) for part in parts]

        def result() -> Floats:
            for slot, work in slots:
                if slot.work is work:
                    slot.take()
            return logits

        return result

    def _launch(
        self, packed: Packed, part: npt.NDArray[np.int64], into: Floats
    ) -> tuple[_Slot, _Work]:
        tokens, rows = len(packed.ids), len(packed.order)
        size = next(s for s in self._buckets if s >= tokens and _rows(s) >= rows)
        graph, logits = self._graphs[size]
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        slot.take()
        used = self._fill(slot.host.numpy(), packed, size)
        with torch.cuda.device(self._device):
            with torch.cuda.stream(self._copy):
                slot.device[:used].copy_(slot.host[:used], non_blocking=True)
                slot.copied.record()
            with torch.cuda.stream(self._compute):
                self._compute.wait_event(slot.copied)
                self._line[:used].copy_(slot.device[:used])
                graph.replay()
                slot.logits[:rows].copy_(logits[:rows], non_blocking=True)
                slot.done.record()
        slot.work = _Work(packed, part, into)
        return slot, slot.work

    def _slot(self, room: int, rows: int) -> _Slot:
        return _Slot(
            torch.zeros(room, dtype=torch.int32, pin_memory=True),
            torch.zeros(room, dtype=torch.int32, device=self._device),
            torch.zeros(rows, CLASSES, dtype=torch.float32, pin_memory=True),
        )

    @torch.inference_mode()
    def _recorded(self, size: int, pool: Any) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        # Full rows: what a kernel chooses by the input's values is chosen for the hardest case.
        count = size // self._longest
        lengths = np.full(count, self._longest, np.int32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        ids = np.full(offsets[-1], self._pad_id, np.int32)
        host = torch.zeros(len(self._line), dtype=torch.int32)
        used = self._fill(host.numpy(), Packed(ids, offsets, np.arange(count)), size)
        self._line[:used].copy_(host[:used])
        self._compute.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._compute):
            for _ in range(_WARM):
                self._pass(size)
        self._compute.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile: the model that is about to be replaced.
        with torch.cuda.graph(
            graph, pool=pool, stream=self._compute, capture_error_mode="thread_local"
        ):
            logits = self._pass(size)
        return graph, logits

    def _pass(self, size: int) -> Tensor:
        ids, positions = self._line[:size], self._line[size : 2 * size]
        last = 2 * size + _rows(size) + 1
        offsets, blocks = self._line[2 * size : last], None
        if self._block is not None:
            blocks = self._line[last : last + 3 * self._blocks(size)].view(-1, 3)
        segments = Segments((), offsets, self._longest, blocks)
        return self._heads(row_means(self._encoder(ids, positions, segments), offsets))

    def _blocks(self, size: int) -> int:
        """Return the most blocks that rows of so many tokens can have."""
        return 0 if self._block is None else size // self._block + _rows(size)

    def _room(self, size: int) -> int:
        return 2 * size + _rows(size) + 1 + 3 * self._blocks(size)

    def _fill(self, line: npt.NDArray[np.int32], packed: Packed, size: int) -> int:
        """Write what a pass of `size` tokens reads: ids, positions, offsets, blocks; its length."""
        tokens, rows = len(packed.ids), len(packed.order)
        line[:tokens] = packed.ids
        line[tokens:size] = self._pad_id
        line[size : size + tokens] = packed.positions
        line[size + tokens : 2 * size] = 0
        last = 2 * size + _rows(size) + 1
        line[2 * size : 2 * size + rows + 1] = packed.offsets
        line[2 * size + rows + 1 : last] = tokens
        end = self._room(size)
        if self._block is not None:
            blocks = packed.blocks(self._block).reshape(-1)
            line[last : last + len(blocks)] = blocks
            line[last + len(blocks) : end] = 0
        return end


def _rows(size: int) -> int:
    return size // _TOKENS_A_ROW
