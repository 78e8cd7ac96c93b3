"""The weights that a run starts from: those of a model, and a new token head where it has none."""

from typing import Final

import torch

from models.spans.head import COLUMNS, NAME, TokenHead
from models.tokens.tags import TAGS
from models.weights import Weights

_PREFIX: Final = f"head.{NAME}."


def with_head(tensors: Weights, seed: int) -> Weights:
    """Return the weights with a new token head where they have none, drawn from the seed.

    A head that reads the tags from single states is given what reads them from neighbours instead.
    """
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
    if any(name.startswith(_PREFIX + "names.") for name in own):
        return tensors
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = TokenHead(tensors["head.sentiment.weight"].shape[1])
    new = {_PREFIX + name: tensor for name, tensor in head.state_dict().items()}
    for name in ("out.weight", "out.bias"):
        if (before := own.get(_PREFIX + name)) is not None and len(before) == COLUMNS:
            own[_PREFIX + name] = before[len(TAGS) :].contiguous()
    return tensors | new | own
