"""The fastest pass that gives what the padded one gives."""

import logging
from typing import Literal

import torch

from models.network import Network
from models.packed.encoders import packed_encoder
from models.packed.forward import Forward, PackedForward
from models.packed.graphs import GraphedForward
from models.packed.linears import products
from models.packed.verify import TOLERANCE, difference
from models.quantised import Int8Linear
from models.segments import own_kernels

log = logging.getLogger(__name__)

Packing = Literal["auto", "eager", "off"]


def packed_forward(
    network: Network, padded: Forward, *, device: str, limit: int, packing: Packing
) -> tuple[Forward | None, str]:
    """Return the packed pass, or None and why rows have to be padded.

    It is held against the padded pass on rows of several lengths, `limit` tokens at most: an
    architecture that mixes neighbouring rows gives wrong verdicts without any error.
    """
    if packing == "off":
        return None, "packing is off"
    kind = next(network.encoder.parameters()).dtype
    # Rounding to 8 bits turns the last bit of a sum into a whole step.
    coarse = any(isinstance(module, Int8Linear) for module in network.encoder.modules())
    allowed = TOLERANCE[torch.bfloat16 if coarse else kind]

    def fault(forward: Forward) -> str:
        """Return what is wrong with a pass, nothing where it gives what the padded one gives."""
        vocabulary = int(network.encoder.config.vocab_size)
        found = difference(
            forward,
            padded,
            vocabulary=vocabulary,
            pad_id=network.pad_id,
            limit=limit,
            tokens=network.spans is not None,
        )
        if found <= allowed:
            return ""
        return f"packed rows give other logits than padded ones (by {found:.2g})"

    try:
        kernels = own_kernels(device, kind, _head_size(network))
        encoder = packed_encoder(network.encoder, products(device, kind, kernels))
        block = None if kernels is None else kernels.BLOCK
        forward = PackedForward(network, encoder, device, block=block, few_shapes=device == "cpu")
        if why := fault(forward):
            return None, why
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return None, f"rows cannot be packed ({error})"
    if packing == "eager" or not forward.varlen:
        return forward, ""
    try:
        recorded = GraphedForward(network, encoder, device, limit, block=block)
        why = fault(recorded)
    except RuntimeError as error:
        why = f"they cannot be recorded: {error}"
    if why:
        log.warning("passes are launched one kernel at a time: %s", why)
        return forward, ""
    return recorded, ""


def _head_size(network: Network) -> int:
    config = network.encoder.config
    return int(config.hidden_size) // int(config.num_attention_heads)
