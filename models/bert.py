"""BERT's encoder for inference, in plain torch.

transformers' model gives the same numbers (a test holds the two together), but importing it costs
three seconds of start-up and 150 MB, of which inference uses nothing. Module names are those of
the checkpoint, so that weights and adapters fit both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.prefixes import prefix_of


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The part of `config.json` that inference needs."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    pad_token_id: int

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read `config.json`; `None` where it is not a plain BERT encoder."""
        found = json.loads(path.read_text("utf-8"))
        plain = {
            "model_type": "bert",
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
            "is_decoder": False,
            "add_cross_attention": False,
        }
        if found.get("model_type") is None or any(found.get(k, v) != v for k, v in plain.items()):
            return None
        try:
            return cls(**{name: found[name] for name in cls.__slots__})
        except KeyError:
            return None


class States(NamedTuple):
    """What the encoder returns, under transformers' name."""

    last_hidden_state: Tensor  # [n, length, hidden]


class Bert(nn.Module):
    """Embeddings and layers; scaled-dot-product attention, no dropout, no pooler."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.encoder = _Stack(config)

    @classmethod
    def load(cls, config: BertConfig, tensors: Mapping[str, Tensor]) -> Self | None:
        """Return the encoder with a checkpoint's weights in float32; `None` if any is missing."""
        with torch.device("meta"):
            model = cls(config)
        wanted = model.state_dict().keys()
        own = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
        if not wanted <= own.keys():
            return None
        model.load_state_dict({name: own[name].float() for name in wanted}, assign=True)
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> States:
        """Return the states of int64 ids [n, length] under a mask with 1 for real tokens."""
        mask = attention_mask.bool()
        # Without a mask the kernel takes its faster path.
        padding = None if bool(mask.all()) else mask[:, None, None, :]
        states: Tensor = self.embeddings(input_ids)
        for layer in self.encoder.layer:
            states = layer(states, padding)
        return States(states)


class _Linear(nn.Linear):
    """Without memory, before a checkpoint is put in, there is nothing to draw random weights for;
    torch would import its compiler for it, of 150 MB."""

    def reset_parameters(self) -> None:
        """Draw random weights, where there is memory for them."""
        if not self.weight.is_meta:
            super().reset_parameters()


class _Embedding(nn.Embedding):
    """As `_Linear`."""

    def reset_parameters(self) -> None:
        """Draw random weights, where there is memory for them."""
        if not self.weight.is_meta:
            super().reset_parameters()


class _Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = _Embedding(config.vocab_size, size)
        self.position_embeddings = _Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = _Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, config.layer_norm_eps)

    def forward(self, input_ids: Tensor) -> Tensor:
        words = self.word_embeddings(input_ids) + self.token_type_embeddings.weight[0]
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        states: Tensor = self.LayerNorm(words + positions)
        return states


class _Stack(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))


class _Layer(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = _Attention(config)
        self.intermediate = _Dense(size, wide)
        self.output = _Residual(wide, size, config.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        states = self.attention(states, mask)
        found: Tensor = self.output(functional.gelu(self.intermediate.dense(states)), states)
        return found


class _Attention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.self = _Projections(size)
        self.output = _Residual(size, size, config.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        n, length, size = states.shape
        query, key, value = (
            project(states).view(n, length, self.heads, -1).transpose(1, 2)
            for project in (self.self.query, self.self.key, self.self.value)
        )
        prefix = prefix_of(self.self)
        if prefix is not None:
            key, value, mask = prefix.before(key, value, mask)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        found: Tensor = self.output(mixed.transpose(1, 2).reshape(n, length, size), states)
        return found


class _Projections(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.query = _Linear(size, size)
        self.key = _Linear(size, size)
        self.value = _Linear(size, size)


class _Dense(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.dense = _Linear(inner, outer)


class _Residual(_Dense):
    def __init__(self, inner: int, outer: int, eps: float) -> None:
        super().__init__(inner, outer)
        self.LayerNorm = nn.LayerNorm(outer, eps)

    def forward(self, inner: Tensor, states: Tensor) -> Tensor:
        found: Tensor = self.LayerNorm(self.dense(inner) + states)
        return found
