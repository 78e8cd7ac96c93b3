"""The weights that a run starts from: those of a model, and a new token head where it has none."""

from typing import Final

import torch

from models.spans.head import NAME, TokenHead
from models.weights import Weights

_PREFIX: Final = f"head.{NAME}."


def with_head(tensors: Weights, seed: int) -> Weights:
    """Return the weights with a new token head where they have none, drawn from the seed."""
    if any(name.startswith(_PREFIX) for name in tensors):
        return tensors
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = TokenHead(tensors["head.sentiment.weight"].shape[1])
    return tensors | {_PREFIX + name: tensor for name, tensor in head.state_dict().items()}
