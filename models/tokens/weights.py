"""The weights file of a model of tagged words, and the network that it makes.

Names are those of `models.weights`; the heads are `tags` and, where the network is told how words
are written, `writing` and `into`.
"""

from models.backbone import Backbone
from models.errors import ModelError
from models.tokens.network import TokenNetwork, Writing
from models.weights import Weights, adapted


def assemble(backbone: Backbone, tensors: Weights, origin: str = "weights") -> TokenNetwork:
    """Return the network in float32 and evaluation mode, adapters merged into the encoder.

    Raises:
        ModelError: the tensors, from `origin`, belong to another architecture or are not finite.
    """
    encoder = adapted(backbone, tensors, origin)
    heads = {
        name.removeprefix("head."): tensor
        for name, tensor in tensors.items()
        if name.startswith("head.")
    }
    hidden = int(encoder.config.hidden_size)
    try:
        network = TokenNetwork(
            encoder,
            before="into.weight" in heads,
            after=heads["tags.weight"].shape[1] == hidden + Writing.size,
        )
        network.heads.load_state_dict(heads)
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{origin}: not weights of tagged words ({error}); train again") from error
    return network.eval().requires_grad_(False)
