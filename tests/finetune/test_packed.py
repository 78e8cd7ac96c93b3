"""Rows end to end give what padded rows give, for every architecture that can be packed."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from harness.weights import tokens_told, variant
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models import bottlenecks, prefixes
from models.backbone import find, load_inference_encoder
from models.bert import Bert
from models.manifest import Manifest
from models.network import Network
from models.packed.encoders import packed_encoder
from models.packed.forward import (
    PackedForward,
    PaddedForward,
    batches,
    rounded_up,
    row_means,
)
from models.packed.graphs import GraphedForward
from models.packed.linears import InPlace, Plain, Prepacked, Products, prepacking_works
from models.packed.load import packed_forward
from models.packed.logits import CLASSES, Logits
from models.packed.rows import Row, pack
from models.packed.verify import random_shapes
from models.predict import DEFAULT, Predictor
from models.quantised import quantise
from models.segments import Segments, attention, own_kernels, varlen_kernel
from models.spans.head import COLUMNS, TokenHead

SIZES = (16, 32, 64, 128)
VOCABULARY = 90
WIDTH: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SHAPE: dict[str, Any] = {**WIDTH, "intermediate_size": 48, "vocab_size": VOCABULARY}
PADDED: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
PLACES: dict[str, Any] = {"max_position_embeddings": 140}
LOCAL: dict[str, Any] = {"local_attention": 16, "global_attn_every_n_layers": 2}
RELATIVE: dict[str, Any] = {"pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
BUILD: dict[str, Callable[[], transformers.PreTrainedModel]] = {
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**SHAPE, **PLACES)),
    "roberta": lambda: transformers.RobertaModel(
        transformers.RobertaConfig(**SHAPE, **PADDED, **PLACES)
    ),
    "xlm-roberta": lambda: transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(**SHAPE, **PADDED, **PLACES)
    ),
    "electra": lambda: transformers.ElectraModel(
        transformers.ElectraConfig(embedding_size=8, **SHAPE, **PLACES)
    ),
    "albert": lambda: transformers.AlbertModel(
        transformers.AlbertConfig(embedding_size=8, **SHAPE, **PLACES)
    ),
    "distilbert": lambda: transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=2, hidden_dim=48, **PLACES
        )
    ),
    "modernbert": lambda: transformers.ModernBertModel(
        transformers.ModernBertConfig(
            **SHAPE, **PADDED, **PLACES, **LOCAL,
            cls_token_id=0, sep_token_id=2,
        )
    ),
}  # fmt: skip
BRINGS_ITS_OWN: dict[str, Callable[[], transformers.PreTrainedModel]] = {
    "deberta-v2": lambda: transformers.DebertaV2Model(
        transformers.DebertaV2Config(relative_attention=True, **RELATIVE, **SHAPE)
    ),
    "mpnet": lambda: transformers.MPNetModel(transformers.MPNetConfig(**SHAPE, **PADDED, **PLACES)),
}
ROWS: list[Row] = [[5, *range(10, 10 + n), 6] for n in (1, 40, 3, 1, 70, 3, 12)]


def network_of(build: Callable[[], Any], *, tokens: bool = False) -> Network:
    torch.manual_seed(3)
    encoder = build()
    head = TokenHead(int(encoder.config.hidden_size)) if tokens else None
    network = Network(encoder, spans=head).eval().requires_grad_(False)
    for parameter in network.parameters():
        # Random networks as they are made hardly attend: every row would look alike.
        if parameter.ndim == 2:
            parameter.normal_(std=0.3)
    return network


def padded(network: Network) -> PaddedForward:
    return PaddedForward(network, "cpu", 1, 128)


def judged(forward: PackedForward | PaddedForward, rows: Sequence[Row], budget: int = 512) -> Any:
    return forward.begin(rows, budget)().rows


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), min_size=1, max_size=12))
def test_a_packed_line_holds_every_row_once_with_its_places(rows: list[list[int]]) -> None:
    found = pack(rows)

    for at, row in enumerate(found.order):
        part = slice(found.offsets[at], found.offsets[at + 1])
        assert rows[row] == found.ids[part].tolist()
        assert list(range(len(rows[row]))) == found.positions[part].tolist()
    assert len(found.ids) == found.groups[-1].end
    assert [(g.rows, g.length) for g in found.groups] == sorted(
        {(sum(len(r) == n for r in rows), n) for n in map(len, rows)}, key=lambda pair: pair[1]
    )


@given(
    st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100), st.none() | st.integers(1, 5)
)
def test_batches_hold_every_row_once_within_tokens_and_rows(
    lengths: list[int], budget: int, most: int | None
) -> None:
    rows = [[0] * n for n in lengths]

    found = batches(rows, budget, most)

    assert list(range(len(rows))) == sorted(i for part in found for i in part.tolist())
    for part in found:
        assert 1 == len(part) or sum(lengths[i] for i in part) <= budget
        assert most is None or len(part) <= most


def test_a_row_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        pack([[1], []])


@pytest.mark.parametrize("kind", BUILD)
def test_packed_rows_get_the_logits_of_padded_rows(kind: str) -> None:
    network = network_of(BUILD[kind])
    expected = judged(padded(network), ROWS)

    found = judged(PackedForward(network, packed_encoder(network.encoder), "cpu"), ROWS)

    assert (len(ROWS), CLASSES) == found.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(judged(padded(network), ROWS), expected, atol=1e-6)


def shapes_for(rows: Sequence[Row], seed: int = 1) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [random_shapes(rng, len(row)) for row in rows]


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("budget", [1, 90, 512])
def test_tokens_of_packed_rows_get_the_logits_of_padded_rows(kind: str, budget: int) -> None:
    network = network_of(BUILD[kind], tokens=True)
    shapes = shapes_for(ROWS)
    expected = [
        padded(network).begin([row], 512, [s])() for row, s in zip(ROWS, shapes, strict=True)
    ]

    forward = PackedForward(network, packed_encoder(network.encoder), "cpu", few_shapes=True)
    for found in (
        forward.begin(ROWS, budget, shapes)(),
        padded(network).begin(ROWS, budget, shapes)(),
    ):
        assert found.tokens is not None
        assert (sum(map(len, ROWS)), COLUMNS) == found.tokens.shape
        tokens = np.concatenate([one.tokens for one in expected if one.tokens is not None])
        np.testing.assert_allclose(found.tokens, tokens, atol=1e-4)
        np.testing.assert_allclose(
            found.rows, np.concatenate([one.rows for one in expected]), atol=1e-4
        )
    assert np.ptp(tokens, axis=0).min() > 0.1
    assert forward.begin(ROWS, budget)().tokens is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 30))
def test_the_logits_of_every_pass_come_back_in_the_order_of_the_rows(
    lengths: list[int], budget: int
) -> None:
    rows = [[10 * i + place for place in range(length)] for i, length in enumerate(lengths)]
    found = Logits(rows, tokens=True)

    for part in batches(rows, budget):
        packed = pack([rows[i] for i in part])
        marks = packed.ids[packed.offsets[:-1]].astype(np.float64)
        tokens = np.repeat(packed.ids[:, None], COLUMNS, axis=1).astype(np.float32)
        found.put(part[packed.order], np.repeat(marks[:, None], CLASSES, axis=1), tokens)

    assert [row[0] for row in rows] == found.rows[:, 0].tolist()
    assert found.tokens is not None
    assert [token for row in rows for token in row] == found.tokens[:, -1].tolist()


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("tokens", [False, True])
def test_the_check_at_loading_lets_them_pass(kind: str, tokens: bool) -> None:
    network = network_of(BUILD[kind], tokens=tokens)

    found, why = packed_forward(network, padded(network), device="cpu", limit=128, packing="auto")

    assert found is not None, why


@pytest.mark.parametrize("kind", BRINGS_ITS_OWN)
def test_an_architecture_that_brings_its_own_attention_is_padded_and_says_so(kind: str) -> None:
    network = network_of(BRINGS_ITS_OWN[kind])

    found, why = packed_forward(network, padded(network), device="cpu", limit=128, packing="auto")

    assert found is None
    assert f"{kind} brings its own attention" in why


def test_a_pass_that_lets_rows_see_each_other_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import models.segments as module

    def blind(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> Any:
        line = (part.transpose(0, 1).unsqueeze(0) for part in (q, k, v))
        return nn.functional.scaled_dot_product_attention(*line)[0].transpose(0, 1)

    network = network_of(BUILD["roberta"])
    monkeypatch.setattr(module, "attention", blind)

    found, why = packed_forward(network, padded(network), device="cpu", limit=128, packing="auto")

    assert found is None
    assert "other logits than padded ones" in why


@pytest.mark.parametrize("budget", [1, 50, 90, 4_096])
def test_any_budget_gives_the_same_logits(tiny_encoder: Path, budget: int) -> None:
    network = network_of(lambda: load_inference_encoder(find(str(tiny_encoder))))
    rows: list[Row] = [[2, *range(9, 9 + n), 3] for n in (1, 30, 3, 1, 20, 3, 12)]
    forward = PackedForward(network, packed_encoder(network.encoder), "cpu")

    np.testing.assert_allclose(
        judged(forward, rows, budget), judged(padded(network), rows), atol=1e-5
    )


@given(st.integers(1, 40_000))
def test_lengths_are_rounded_up_to_few(tokens: int) -> None:
    found = rounded_up(tokens)

    assert tokens <= found < tokens + max(16, tokens / 4)
    assert found == rounded_up(found)


def test_the_mean_of_each_row_is_its_own_and_nothing_for_rows_without_tokens() -> None:
    states = torch.tensor([[1.0], [3.0], [10.0], [99.0]])

    found = row_means(states, torch.tensor([0, 2, 3, 3, 3], dtype=torch.int32))

    assert [[2.0], [10.0], [0.0], [0.0]] == found.tolist()


def test_round_lengths_are_few() -> None:
    assert 60 > len({rounded_up(tokens) for tokens in range(1, 4_097)})


def test_a_line_filled_up_gives_the_same_logits(tiny_encoder: Path) -> None:
    network = network_of(lambda: load_inference_encoder(find(str(tiny_encoder))))
    rows: list[Row] = [[2, *range(9, 9 + n), 3] for n in (1, 30, 3, 1, 20, 3, 12)]
    encoder = packed_encoder(network.encoder)
    plain = PackedForward(network, encoder, "cpu")
    filled = PackedForward(network, encoder, "cpu", few_shapes=True)

    np.testing.assert_allclose(judged(filled, rows), judged(plain, rows), atol=1e-6)


def _adapted(encoder: Bert) -> None:
    for name in bottlenecks.sites(encoder):
        adapter = bottlenecks.insert(encoder, name, 4)
        adapter.up.weight.data.normal_(std=0.2)


def _prefixed(encoder: Bert) -> None:
    for index in range(len(encoder.encoder.layer)):
        name = f"encoder.layer.{index}.attention.self"
        prefixes.insert(encoder, name, 3, encoder.config.hidden_size)


@pytest.mark.parametrize(
    ("change", "atol"), [(_adapted, 1e-5), (_prefixed, 1e-5), (quantise, 0.05)]
)
def test_adapters_prefixes_and_integer_layers_are_packed_too(
    tiny_encoder: Path, change: Callable[[Any], None], atol: float
) -> None:
    network = network_of(lambda: load_inference_encoder(find(str(tiny_encoder))))
    plain = judged(padded(network), ROWS[:3])
    change(network.encoder)
    expected = judged(padded(network), ROWS[:3])

    found = judged(PackedForward(network, packed_encoder(network.encoder), "cpu"), ROWS[:3])

    assert np.abs(plain - expected).max() > 0
    np.testing.assert_allclose(found, expected, atol=atol)
    taken, why = packed_forward(network, padded(network), device="cpu", limit=40, packing="auto")
    assert taken is not None, why


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("scale", [None, 0.1])
def test_attention_in_bfloat16_is_that_of_float32(window: int | None, scale: float | None) -> None:
    torch.manual_seed(1)
    packed = pack([[0] * n for n in (3, 9, 9, 14)])
    q, k, v = (torch.randn(len(packed.ids), 2, 8) for _ in range(3))
    segments = Segments(packed.groups)

    expected = attention(q, k, v, segments, window=window, scale=scale)
    q, k, v = (part.bfloat16() for part in (q, k, v))
    found = attention(q, k, v, segments, window=window, scale=scale)

    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0)


def test_tokens_of_no_row_attend_to_nothing_and_are_numbers() -> None:
    # Where groups are missing (a prefix, on a device that is given offsets), the comparison with
    # the padded pass must find wrong numbers, not an error.
    q, k, v = (torch.full((9, 2, 8), torch.nan).index_fill_(0, torch.arange(6), 1.0) for _ in "qkv")

    found = attention(q, k, v, Segments(pack([[0] * 2, [0] * 4]).groups))

    assert torch.equal(found[:6], torch.ones(6, 2, 8))
    assert torch.equal(found[6:], torch.zeros(3, 2, 8))
    assert torch.equal(attention(q, k, v, Segments()), torch.zeros(9, 2, 8))


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prepacked_weights_give_what_a_linear_layer_gives(dtype: torch.dtype, gelu: bool) -> None:
    if not prepacking_works(dtype):
        pytest.skip(f"this torch has no prepacked {dtype} layers for this processor")
    torch.manual_seed(2)
    layer = nn.Linear(24, 40).to(dtype)
    states = torch.randn(7, 24).to(dtype)

    with torch.inference_mode():
        found = Prepacked().linear(layer.weight, layer.bias, gelu=gelu)(states)
        expected = Plain().linear(layer.weight, layer.bias, gelu=gelu)(states)

    torch.testing.assert_close(found, expected, atol=2e-2, rtol=1e-2)
    assert (gelu and found.min() > -0.2) != torch.equal(expected, layer(states))


def test_the_shipped_weights_are_read_packed_and_say_what_padded_ones_say() -> None:
    texts = ["Profit falls", "gold", "Shares rise as the bank raises its outlook " * 30]
    packed = Predictor.load(device="cpu", dtype="float32")
    other = Predictor.load(device="cpu", dtype="float32", packing="off")

    assert packed.packed
    assert not other.packed
    rows = packed.encode(texts)
    expected = other.logits(rows)
    for task, logits in packed.logits(rows).items():
        np.testing.assert_allclose(logits, expected[task], atol=1e-4)


def test_the_cost_of_a_row_is_what_its_windows_read(trained: tuple[Path, Manifest]) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32")
    short, long = predictor.encode(["gold", "gold " * 300])

    assert len(short) == predictor.cost(short)
    assert sum(map(len, predictor.reader.cut(long))) == predictor.cost(long) > len(long)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
@pytest.mark.parametrize("packing", ["eager", "auto"])
def test_on_cuda_packed_rows_in_bfloat16_say_what_the_cpu_says(packing: Any) -> None:
    texts = [f"{'Profit falls ' * (n % 40)} gold rises {n}" for n in range(300)]
    device = Predictor.load(device="cuda", dtype="bfloat16", packing=packing)
    cpu = Predictor.load(device="cpu", dtype="float32")
    assert device.packed
    assert (packing == "auto") == isinstance(device._forward, GraphedForward)
    rows = cpu.encode(texts)

    begun = [device.begin(rows[i::4], budget=2_048) for i in range(4)]
    expected = cpu.logits(rows)

    for i, part in enumerate(begun):
        for task, logits in part.logits().items():
            np.testing.assert_allclose(logits, expected[task][i::4], atol=0.25)


@needs_cuda
@pytest.mark.parametrize("packing", ["eager", "auto"])
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-3), ("bfloat16", 0.25)])
def test_on_cuda_tokens_get_the_logits_of_the_cpu(
    tmp_path: Path, packing: Any, dtype: str, atol: float
) -> None:
    variant(DEFAULT, tmp_path / "told", tokens_told())
    device = Predictor.load(tmp_path / "told", device="cuda", dtype=dtype, packing=packing)
    cpu = Predictor.load(tmp_path / "told", device="cpu", dtype="float32")
    assert device.packed
    rows = cpu.encode([f"{'Profit falls ' * (n % 90)} Gold rises {n}" for n in range(300)])

    begun = [device.begin(rows[i::4], budget=2_048) for i in range(4)]

    for i, part in enumerate(begun):
        found, expected = part.token_logits(), cpu.begin(rows[i::4]).token_logits()
        assert found is not None and expected is not None
        # A random head makes much of little: the bulk tells.
        assert np.quantile(np.abs(found - expected), 0.99) < atol


@needs_cuda
def test_on_cuda_float32_is_packed_within_a_ten_thousandth_of_padded_rows() -> None:
    device = Predictor.load(device="cuda", dtype="float32")
    other = Predictor.load(device="cuda", dtype="float32", packing="off")
    rows = device.encode([f"{'Profit falls ' * (n % 40)} gold rises {n}" for n in range(100)])

    expected = other.logits(rows)
    assert device.packed
    for task, logits in device.logits(rows).items():
        np.testing.assert_allclose(logits, expected[task], atol=1e-4)


def test_this_torch_has_the_kernel_over_rows_of_different_lengths() -> None:
    assert varlen_kernel() is not None


@given(st.lists(st.integers(1, 70), min_size=1, max_size=9), st.integers(1, 40))
def test_blocks_hold_every_token_of_a_line_once_and_no_row_but_their_own(
    lengths: list[int], size: int
) -> None:
    packed = pack([[0] * n for n in lengths])

    blocks = packed.blocks(size).tolist()

    tokens = [t for _, end, first in blocks for t in range(first, min(first + size, end))]
    assert list(range(len(packed.ids))) == tokens
    rows = set(zip(packed.offsets[:-1].tolist(), packed.offsets[1:].tolist(), strict=True))
    assert rows == {(begin, end) for begin, end, _ in blocks}


def test_our_own_kernels_give_what_torch_gives_in_tritons_interpreter() -> None:
    pytest.importorskip("triton", reason="this torch came without Triton")
    # The interpreter is chosen when the kernels are compiled, so it has a process of its own.
    code = """
import torch
from models.kernels import SIZES, compare
print(*(compare("cpu", getattr(torch, d), n) for d in ("float32", "float16") for n in SIZES))
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    differences = [float(part) for part in found.stdout.split()]
    assert max(differences[: len(SIZES)]) < 1e-5
    assert max(differences[len(SIZES) :]) < 5e-3
    assert 2 * len(SIZES) == len(differences)


@needs_cuda
@pytest.mark.parametrize("size", SIZES)
def test_our_own_kernels_give_what_torch_gives_on_cuda(size: int) -> None:
    assert own_kernels("cuda", torch.bfloat16, size) is not None


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_products_in_kept_memory_are_those_of_torch_after_any_number_of_rows(
    rows: list[int],
) -> None:
    torch.manual_seed(4)
    up, down, norm = nn.Linear(8, 20), nn.Linear(20, 8), nn.LayerNorm(8)

    def layer(products: Products) -> Callable[[torch.Tensor], torch.Tensor]:
        widen = products.linear(up.weight.detach(), up.bias.detach(), gelu=True)
        join = products.residual(down.weight.detach(), down.bias.detach(), norm)
        return lambda states: join(widen(states), states)

    found, expected = layer(InPlace()), layer(Plain())
    with torch.inference_mode():
        for count in rows:
            states = torch.randn(count, 8)
            torch.testing.assert_close(found(found(states)), expected(expected(states)))


def test_threads_that_read_at_once_do_not_share_kept_memory() -> None:
    layer = nn.Linear(8, 20).requires_grad_(False)
    product = InPlace().linear(layer.weight, layer.bias)
    mine = product(torch.ones(3, 8))
    before = mine.clone()

    with ThreadPoolExecutor(1) as other:
        other.submit(product, torch.zeros(3, 8)).result()

    assert torch.equal(before, mine)


@pytest.mark.parametrize("products", [Plain(), InPlace()], ids=["plain", "in place"])
def test_every_way_to_multiply_gives_the_padded_pass_its_logits(
    tiny_encoder: Path, products: Products
) -> None:
    network = network_of(lambda: load_inference_encoder(find(str(tiny_encoder))))
    forward = PackedForward(network, packed_encoder(network.encoder, products), "cpu")

    for rows in (ROWS, ROWS[:2], ROWS):
        np.testing.assert_allclose(judged(forward, rows), judged(padded(network), rows), atol=1e-5)
