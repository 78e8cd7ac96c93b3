"""The network of a model directory whose weights have a token head too."""

import torch

from models.backbone import Backbone
from models.errors import ModelError
from models.spans.head import NAME, TokenHead
from models.marking.network import SpanNetwork
from models.weights import Weights, adapted

_PREFIX = f"head.{NAME}."


def assemble(backbone: Backbone, tensors: Weights, origin: str = "weights") -> SpanNetwork:
    """Return the network in float32 and evaluation mode, adapters merged into the encoder.

    Raises:
        ModelError: the tensors, from `origin`, have no token head, belong to another architecture
            or are not finite.
    """
    network = SpanNetwork(adapted(backbone, tensors, origin))
    heads = {
        name.removeprefix("head."): tensor
        for name, tensor in tensors.items()
        if name.startswith("head.")
    }
    try:
        network.heads.load_state_dict(heads)
    except RuntimeError as error:
        raise ModelError(
            f"{origin}: no weights of a token head beside those of the sentence heads ({error});"
            " train one with `python -m models spans train`"
        ) from error
    return network.eval().requires_grad_(False)


def with_head(tensors: Weights, hidden: int, seed: int) -> Weights:
    """Return the weights with a new token head where they have none, drawn from the seed."""
    if any(name.startswith(_PREFIX) for name in tensors):
        return tensors
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    head = TokenHead(hidden)
    torch.random.set_rng_state(state)
    return tensors | {_PREFIX + name: p.detach().clone() for name, p in head.state_dict().items()}
