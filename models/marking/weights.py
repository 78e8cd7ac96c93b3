"""The weights that a run starts from: those of a model, and a new token head where it has none."""

from typing import Final

import torch

from models.spans.head import NAME, TokenHead
from models.weights import Weights

_PREFIX: Final = f"head.{NAME}."


def with_head(tensors: Weights, hidden: int, seed: int) -> Weights:
    """Return the weights with a new token head where they have none, drawn from the seed."""
    if any(name.startswith(_PREFIX) for name in tensors):
        return tensors
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    head = TokenHead(hidden)
    torch.random.set_rng_state(state)
    return tensors | {_PREFIX + name: p.detach().clone() for name, p in head.state_dict().items()}
