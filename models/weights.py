"""The weights file of a model directory (safetensors) and the network it makes.

Names: `head.<task>.weight` and `.bias` (float32); `head.spans.<parameter>` of `models.spans.head`,
where there is such a head (float32); `lora.<layer>.a` [rank, in] and `.b`
[out, rank] with the LoRA scale in `b` (float16); `encoder.<parameter>` for each parameter of the
encoder that was trained itself (matrices float16, vectors float32), the rest being the backbone's;
`adapter.<layer>.<parameter>` of `models.bottlenecks`; `prefix.<attention>.key` and `.value` of
`models.prefixes`. A model directory holds the matrices of `encoder.` as `models.differences`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models import bottlenecks, prefixes
from models.backbone import Backbone, load_inference_encoder
from models.bert import Bert
from models.differences import packed, unpacked
from models.errors import ModelError
from models.network import Network, merge_lora
from models.spans.head import NAME as SPANS
from models.spans.head import TokenHead, names_width

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Weights = dict[str, Tensor]

FILE: Final = "adapters.safetensors"


def write(path: Path, tensors: Weights) -> None:
    """Write the tensors.

    Raises:
        ModelError: the disk is full or the folder cannot be written.
    """
    try:
        save_file(tensors, path)
        path.chmod(0o644)  # safetensors writes for the owner alone
    except (OSError, SafetensorError) as error:
        path.unlink(missing_ok=True)
        raise ModelError(
            f"{path}: cannot be written ({error}); free space or choose another --out"
        ) from error


def read(path: Path) -> Weights:
    """Read the tensors.

    Raises:
        ModelError: the file is missing or not safetensors.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error})") from error


def soup(members: Sequence[Weights]) -> Weights:
    """Return the average of networks that were trained from the same start.

    The mean of low-rank updates is one update of the summed rank: their factors side by side.
    """
    share = 1 / len(members)
    found: Weights = {}
    for name, first in members[0].items():
        each = [member[name] for member in members]
        if name.startswith("lora.") and name.endswith(".a"):
            found[name] = torch.cat(each, dim=0)
        elif name.startswith("lora."):
            found[name] = (torch.cat(each, dim=1).float() * share).to(first.dtype)
        else:
            found[name] = torch.stack([t.float() for t in each]).mean(0).to(first.dtype)
    return found


def compacted(backbone: Backbone, tensors: Weights) -> Weights:
    """Return exported weights as a model directory holds them.

    Raises:
        ModelError: they belong to another architecture.
    """
    if not _below("encoder.", tensors):
        return tensors
    try:
        return packed(tensors, dict(load_inference_encoder(backbone).named_parameters()))
    except ValueError as error:
        raise _misfit(backbone, "weights", error) from error


def assemble(backbone: Backbone, tensors: Weights, origin: str = "weights") -> Network:
    """Return the network in float32 and evaluation mode, adapters merged into the encoder.

    Raises:
        ModelError: the tensors, from `origin`, belong to another architecture or are not finite.
    """
    heads = _below("head.", tensors)
    encoder = adapted(backbone, tensors, origin)
    spans = None
    if _below(f"{SPANS}.", heads):
        spans = TokenHead(int(encoder.config.hidden_size), names=names_width(tensors))
    network = Network(encoder, spans=spans)
    try:
        network.heads.load_state_dict(heads)
    except RuntimeError as error:
        raise _misfit(backbone, origin, error) from error
    return network.eval().requires_grad_(False)


def adapted(
    backbone: Backbone, tensors: Weights, origin: str = "weights"
) -> "PreTrainedModel | Bert":
    """Return the encoder alone with what was trained in place of its own.

    Raises:
        ModelError: the tensors, from `origin`, belong to another architecture or are not finite.
    """
    encoder = load_inference_encoder(backbone)
    pairs = _below("lora.", tensors)
    try:
        merge_lora(
            encoder,
            {
                name.removesuffix(".a"): (a, pairs[name.removesuffix("a") + "b"].float())
                for name, a in pairs.items()
                if name.endswith(".a")
            },
        )
        own = dict(encoder.named_parameters())
        _fill(own, _below("encoder.", unpacked(tensors, own)))
        _insert_adapters(encoder, _below("adapter.", tensors))
        _insert_prefixes(encoder, _below("prefix.", tensors))
    except (AttributeError, KeyError, ValueError, RuntimeError) as error:
        raise _misfit(backbone, origin, error) from error
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise ModelError(f"{origin}: holds NaN or infinite weights; train again")
    return encoder


def _misfit(backbone: Backbone, origin: str, error: Exception) -> ModelError:
    return ModelError(
        f"{origin}: does not fit the backbone {backbone.name} ({error});"
        " use the backbone it was trained on"
    )


def _fill(own: Mapping[str, nn.Parameter], tensors: Weights) -> None:
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise ValueError(f"{name}: {tuple(tensor.shape)}, not {tuple(own[name].shape)}")
        own[name].data.copy_(tensor)


def _insert_adapters(encoder: nn.Module, tensors: Weights) -> None:
    suffix = ".down.weight"
    for name, down in tensors.items():
        if name.endswith(suffix):
            bottlenecks.insert(encoder, name.removesuffix(suffix), len(down))
    _fill(bottlenecks.parameters_of(encoder), tensors)


def _insert_prefixes(encoder: "PreTrainedModel | Bert", tensors: Weights) -> None:
    for name, keys in tensors.items():
        if name.endswith(".key"):
            prefixes.insert(encoder, name.removesuffix(".key"), *keys.shape)
    _fill(prefixes.parameters_of(encoder), tensors)
    if tensors and not isinstance(encoder, Bert):
        from models.attention import attend

        attend(encoder)


def _below(prefix: str, tensors: Weights) -> Weights:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
