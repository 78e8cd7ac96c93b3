"""What surrounds recorded passes, without a GPU: lines, buckets, the ring, rows and tokens back."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.backbone import find, load_inference_encoder
from models.network import Network
from models.packed.encoders import PackedEncoder
from models.packed.forward import Heads
from models.packed.graphs import GraphedForward, Line, _Recorded, _Slot
from models.packed.logits import CLASSES
from models.packed.rows import Row, pack
from models.packed.verify import random_shapes
from models.segments import Segments
from models.spans.head import COLUMNS, TokenHead

VOCABULARY, LONGEST, MOST = 90, 80, 1_024


class Event:
    """On a CPU everything is done at once."""

    def record(self) -> None: ...
    def synchronize(self) -> None: ...


class Stream:
    def wait_event(self, _event: Event) -> None: ...


class Replayed:
    """A recorded pass: a replay computes anew, and writes where the results were."""

    def __init__(self, line: Line, size: int, rows: Tensor, tokens: Tensor | None) -> None:
        self._line, self._size = line, size
        self._rows, self._tokens = rows, tokens

    def replay(self) -> None:
        rows, tokens = self._line.judge(self._size)
        self._rows.copy_(rows)
        if self._tokens is not None and tokens is not None:
            self._tokens.copy_(tokens)

    def pool(self) -> None: ...


class WithoutGpu(GraphedForward):
    """As on CUDA, but that a pass runs when it is launched."""

    def _recorded(self, size: int, pool: Any) -> _Recorded:
        # Recorded passes share their memory: what one leaves the next one overwrites.
        rows, tokens = pool or (torch.zeros(MOST // 16, CLASSES), torch.zeros(MOST, COLUMNS))
        own = tokens[:size] if self._tokens else None
        graph: Any = Replayed(self._line, size, rows[: size // 16], own)
        graph.pool = lambda: (rows, tokens)
        return _Recorded(graph, rows[: size // 16], own)

    def _slot(self, size: int) -> _Slot:
        host, device = (torch.zeros(self._line.length(size), dtype=torch.int32) for _ in range(2))
        tokens = torch.full((size, COLUMNS), torch.nan) if self._tokens else None
        rows = torch.full((size // 16, CLASSES), torch.nan)
        done: list[Any] = [Event(), Event()]
        return _Slot(host, device, rows, tokens, *done)


class Looking:
    """An encoder whose states know their place, and the mean of their row from the offsets."""

    def __init__(self, hidden: int) -> None:
        torch.manual_seed(4)
        self._ids, self._places = torch.randn(VOCABULARY, hidden), torch.randn(LONGEST, hidden)

    def __call__(self, ids: Tensor, positions: Tensor, segments: Segments) -> Tensor:
        states = self._ids[ids.long()] + self._places[positions.long()]
        assert segments.offsets is not None
        for start, end in segments.offsets.unfold(0, 2, 1).tolist():
            if end > start:
                states[start:end] += states[start:end].mean(0)
        return states


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _which: nullcontext())


def network_of(encoder: Path, *, tokens: bool) -> Network:
    torch.manual_seed(3)
    loaded = load_inference_encoder(find(str(encoder)))
    head = TokenHead(loaded.config.hidden_size) if tokens else None
    return Network(loaded, spans=head).eval().requires_grad_(False)


def alone(network: Network, encoder: PackedEncoder, row: Row, shapes: Row) -> tuple[Any, Any]:
    """The logits of a row and of its tokens, from a line of its own."""
    packed = pack([row])
    ids, places, offsets = map(torch.from_numpy, (packed.ids, packed.positions, packed.offsets))
    states = encoder(ids, places, Segments((), offsets, len(row)))
    found = None
    if network.spans is not None:
        found = network.spans(states, torch.tensor(np.asarray(shapes))).numpy()
    return Heads(network)(states.mean(0)).numpy(), found


@pytest.mark.parametrize("block", [None, 16])
@pytest.mark.parametrize("tokens", [False, True])
def test_rows_and_tokens_come_back_in_their_order_whatever_is_under_way(
    tiny_encoder: Path, tokens: bool, block: int | None
) -> None:
    network = network_of(tiny_encoder, tokens=tokens)
    encoder = Looking(network.encoder.config.hidden_size)
    forward = WithoutGpu(network, encoder, "cpu", LONGEST, block=block, buckets=(96, 256, MOST))
    rng = np.random.default_rng(2)
    rows: list[Row] = [rng.integers(0, VOCABULARY, n, np.int32) for n in rng.integers(1, 80, 60)]
    shapes: list[Row] = [random_shapes(rng, len(row)) for row in rows]

    def begin(part: slice, budget: int) -> Any:
        told: Sequence[Row] | None = shapes[part] if tokens else None
        return forward.begin(rows[part], budget, told)

    budgets = (80, 100, 300, 1_024, 9_999, 80, 256)
    begun = [begin(slice(i, None, 7), budget) for i, budget in enumerate(budgets)]
    bare = forward.begin(rows, MOST)

    for i, pending in reversed(list(enumerate(begun))):
        found = pending()
        own = zip(rows[i::7], shapes[i::7], strict=True)
        expected = [alone(network, encoder, row, told) for row, told in own]
        np.testing.assert_allclose(found.rows, np.stack([e[0] for e in expected]), atol=1e-4)
        if tokens:
            judged = np.concatenate([e[1] for e in expected])
            np.testing.assert_allclose(found.tokens, judged, atol=1e-4)
        else:
            assert found.tokens is None
    found = bare()
    assert found.tokens is None
    assert np.isfinite(found.rows).all()


@pytest.mark.parametrize("tokens", [False, True])
def test_a_line_holds_nothing_of_the_one_before(tiny_encoder: Path, tokens: bool) -> None:
    network = network_of(tiny_encoder, tokens=tokens)
    line = Line(network, Looking(32), LONGEST, 96, "cpu", block=16)
    fresh, used = (np.full(line.length(96), fill, np.int32) for fill in (-1, 7))
    rows = [np.arange(n, dtype=np.int32) for n in (80, 5)]
    long, short = (pack([row], [row] if tokens else None) for row in rows)

    line.fill(used, long, 96)
    length = line.fill(used, short, 96)

    assert len(used) == length == line.fill(fresh, short, 96)
    assert fresh.tolist() == used.tolist()
