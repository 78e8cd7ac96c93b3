"""Encoders over a packed line of tokens: `models.bert`'s, and transformers'."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from models.backbone import OFFSET_POSITIONS
from models.bert import Bert
from models.packed.linears import Join, Map, Plain, Products, is_plain
from models.prefixes import prefix_of
from models.segments import Segments, attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PackedEncoder(Protocol):
    """An encoder that reads rows laid end to end."""

    def __call__(self, ids: Tensor, positions: Tensor, segments: Segments) -> Tensor:
        """Return the states [T, hidden] of int32 ids [T] at int32 positions [T]."""
        ...


class PackedBert:
    """`models.bert.Bert` over a line, its weights shared or laid out anew for faster products."""

    def __init__(self, bert: Bert, products: Products) -> None:
        self._embeddings = bert.embeddings
        self._layers = [_layer(layer, products) for layer in bert.encoder.layer]

    def __call__(self, ids: Tensor, positions: Tensor, segments: Segments) -> Tensor:
        own = self._embeddings
        first = own.word_embeddings(ids) + own.token_type_embeddings.weight[0]
        states: Tensor = own.LayerNorm(first + own.position_embeddings(positions))
        for layer in self._layers:
            states = layer(states, segments)
        return states


def _layer(layer: Any, products: Products) -> Callable[[Tensor, Segments], Tensor]:
    """Return one layer as a function of the states [T, hidden] and the rows."""
    inner, heads, prefix = layer.attention, layer.attention.heads, prefix_of(layer.attention.self)
    project = _projections(inner.self, products)
    mix, down = (_residual(part, products) for part in (inner.output, layer.output))
    up = _with_gelu(layer.intermediate.dense, products)

    def forward(states: Tensor, segments: Segments) -> Tensor:
        line = project(states).view(len(states), 3, heads, -1)
        found = attention(line[:, 0], line[:, 1], line[:, 2], segments, prefix=prefix)
        states = mix(found.reshape(states.shape), states)
        return down(up(states), states)

    return forward


def _projections(own: Any, products: Products) -> Map:
    """Return query, key and value of the states in one product: [T, hidden] -> [T, 3 * hidden]."""
    parts = (own.query, own.key, own.value)
    if not all(is_plain(part) for part in parts):
        return lambda states: torch.cat([part(states) for part in parts], dim=-1)
    weight = torch.cat([part.weight.detach() for part in parts])
    return products.linear(weight, torch.cat([part.bias.detach() for part in parts]))


# What is not plain has an adapter hanging on it, or computes in integers.


def _with_gelu(layer: Any, products: Products) -> Map:
    if is_plain(layer):
        return products.linear(layer.weight.detach(), layer.bias.detach(), gelu=True)
    return lambda states: functional.gelu(layer(states))


def _residual(part: Any, products: Products) -> Join:
    dense, norm = part.dense, part.LayerNorm
    if is_plain(dense):
        return products.residual(dense.weight.detach(), dense.bias.detach(), norm)
    joined = products.add_norm(norm)
    return lambda inner, states: joined(dense(inner), states)


class PackedTransformer:
    """An encoder of transformers whose attention comes through its `AttentionInterface`."""

    def __init__(self, encoder: "PreTrainedModel") -> None:
        """Make the encoder attend by `models.attention`, which its padded pass then does too.

        Raises:
            ValueError: its architecture brings its own attention, which would silently mix rows.
        """
        from models.attention import attend

        kind = str(encoder.config.model_type)
        if not getattr(encoder, "_supports_attention_backend", False):
            raise ValueError(f"{kind} brings its own attention")
        attend(encoder)
        self._encoder = encoder
        self._first = int(encoder.config.pad_token_id or 0) + 1 if kind in OFFSET_POSITIONS else 0
        # The mask of a sliding window would be [T, T]; the rows' own attention applies the window.
        self._mask = (
            {"full_attention": None, "sliding_attention": None} if kind == "modernbert" else None
        )

    def __call__(self, ids: Tensor, positions: Tensor, segments: Segments) -> Tensor:
        found: Tensor = self._encoder(
            input_ids=ids[None],
            attention_mask=self._mask,
            position_ids=(positions + self._first)[None],
            segments=segments,
        ).last_hidden_state[0]
        return found


def packed_encoder(
    encoder: "PreTrainedModel | Bert", products: Products | None = None
) -> PackedEncoder:
    """Return the encoder for packed lines; `products` are torch's by default.

    Raises:
        ValueError: the architecture cannot be packed.
    """
    if isinstance(encoder, Bert):
        return PackedBert(encoder, products or Plain())
    return PackedTransformer(encoder)
