"""The weights as every contestant can load them: merged, in float32, in one folder.

The folder is a model directory of this program and a checkpoint of transformers at once, so that
no contestant can differ in its weights.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import OWN, Backbone, file_sha256, find, load_inference_encoder
from models.labels import LABELS
from models.manifest import BackboneRecord, Manifest, Windows
from models.network import Network
from models.predict import DEFAULT
from models.spans.head import NAME as SPANS
from monitor.bench.contestant import BenchError

LENGTH: Final = 512
"""Tokens of a text that every contestant reads in one pass, where the encoder takes as many."""

_CONFIG: Final = "config.json"
_TOKENIZER: Final = "tokenizer.json"
_ENCODER: Final = "model.safetensors"
_BASE: Final = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}


def write(out: Path, model: Path | None = None) -> int:
    """Write the merged float32 checkpoint of a model directory; return the tokens that it reads.

    Texts are read whole up to `LENGTH` tokens, as the peers do of themselves, and not in the
    model's shorter windows: so all contestants compute the same function.

    Raises:
        ModelError: the model cannot be loaded.
        BenchError: it has modules that a plain checkpoint of transformers cannot hold.
    """
    directory = model or DEFAULT
    manifest = manifests.read(directory)
    backbone = find(manifest.backbone.name, directory)
    weights = directory / manifest.weights
    network = weight_files.assemble(backbone, weight_files.read(weights), str(weights))
    tensors = network.encoder.state_dict()
    plain = load_inference_encoder(backbone).state_dict().keys()
    if extra := sorted(tensors.keys() - plain):
        raise BenchError(
            f"{directory}: {extra[0]} is no part of a plain encoder, so the peers cannot run it;"
            " choose a model of method lora, adalora, bitfit or full"
        )
    config = json.loads((backbone.path / _CONFIG).read_text("utf-8"))
    return _write(out, manifest, backbone, config, dict(tensors), _heads(network))


def write_random_base(out: Path, seed: int = 0) -> int:
    """Write a BERT of base size with random weights and heads; return the tokens that it reads.

    What it costs is that of a trained one; what it says means nothing.
    """
    from models.bert import Bert, BertConfig

    manifest = manifests.read(DEFAULT)
    backbone = find(manifest.backbone.name, DEFAULT)
    config = json.loads((backbone.path / _CONFIG).read_text("utf-8")) | _BASE
    out.mkdir(parents=True, exist_ok=True)
    (out / _CONFIG).write_text(json.dumps(config), "utf-8")
    sizes = BertConfig.read(out / _CONFIG)
    if sizes is None:
        raise BenchError(f"{backbone.path / _CONFIG}: no plain BERT; reinstall the backbone")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(Bert(sizes))
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1 and "LayerNorm" not in name:
                torch.nn.init.normal_(parameter, std=0.02)  # BERT's own initialisation
    return _write(
        out, manifest, backbone, config, dict(network.encoder.state_dict()), _heads(network)
    )


def heads(checkpoint: Path) -> tuple[Tensor, Tensor]:
    """Return weight [23, hidden] and bias [23] of both heads, sentiments first."""
    tensors = weight_files.read(checkpoint / weight_files.FILE)
    return (
        torch.cat([tensors[f"head.{task}.weight"] for task in LABELS]),
        torch.cat([tensors[f"head.{task}.bias"] for task in LABELS]),
    )


def _heads(network: Network) -> dict[str, Tensor]:
    return {f"head.{name}": tensor for name, tensor in network.heads.state_dict().items()}


def _write(
    out: Path,
    manifest: Manifest,
    backbone: Backbone,
    config: dict[str, object],
    encoder: dict[str, Tensor],
    rest: dict[str, Tensor],
) -> int:
    out.mkdir(parents=True, exist_ok=True)
    length = min(LENGTH, backbone.positions or LENGTH)
    (out / _CONFIG).write_text(json.dumps(config | {"dtype": "float32"}), "utf-8")
    shutil.copyfile(backbone.path / _TOKENIZER, out / _TOKENIZER)
    for name, tensors in ((_ENCODER, encoder), (weight_files.FILE, rest)):
        copies = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
        save_file(copies, out / name, metadata={"format": "pt"})
    files = (_CONFIG, _TOKENIZER, _ENCODER, weight_files.FILE)
    hashes = {name: file_sha256(out / name) for name in files}
    made = manifest.model_copy(
        update={
            "name": "bench",
            "version": manifests.version_of(hashes[weight_files.FILE]),
            "weights": weight_files.FILE,
            "files": hashes,
            "backbone": BackboneRecord(
                name=OWN, sha256=hashes[_ENCODER], tokenizer_sha256=hashes[_TOKENIZER]
            ),
            "max_length": length,
            "windows": Windows(overlap=0, limit=1, pooling=manifest.windows.pooling),
            "compression": None,
            "spans": manifest.spans if any(SPANS in name for name in rest) else None,
        }
    )
    manifests.write(made, out)
    return length
