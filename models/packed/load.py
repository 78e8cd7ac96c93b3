"""The fastest pass that gives what the padded one gives."""

import logging
from typing import Literal

import torch

from models.network import Network
from models.packed.encoders import packed_encoder
from models.packed.forward import Forward, PackedForward
from models.packed.graphs import GraphedForward
from models.packed.linears import should_prepack
from models.packed.verify import TOLERANCE, difference
from models.segments import varlen_kernel

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
    try:
        encoder = packed_encoder(network.encoder, prepack=should_prepack(device, kind))
        forward: Forward = PackedForward(network, encoder, device)
        differs = difference(
            forward,
            padded,
            vocabulary=int(network.encoder.config.vocab_size),
            pad_id=network.pad_id,
            limit=limit,
        )
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return None, f"rows cannot be packed ({error})"
    if not differs <= TOLERANCE.get(kind, 0.0):
        return None, f"packed rows give other logits than padded ones (by {differs:.2g})"
    if packing == "eager" or not device.startswith("cuda"):
        return forward, ""
    if kind == torch.float32 or varlen_kernel() is None:
        return forward, ""
    try:
        return GraphedForward(network, encoder, device, limit), ""
    except RuntimeError as error:
        log.warning("passes are launched one kernel at a time: they cannot be recorded (%s)", error)
        return forward, ""
