"""A model directory that needs no other encoder: adapters merged, in few bits, in few layers.

config.json, tokenizer.json   of the encoder
model.safetensors             the encoder, what was trained merged into it
adapters.safetensors          the heads; its metadata names the encoder's hash
manifest.json                 with the record of the compression
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Final, Literal

from safetensors import SafetensorError
from safetensors.torch import save_file

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import OWN, Backbone, file_sha256, find, load_inference_encoder
from models.bert import Bert
from models.directory import demand_vacant, replacing
from models.errors import ModelError
from models.manifest import BackboneRecord, Compression, Manifest
from models.quantised import packed
from models.weights import Weights, adapted

Storage = Literal["bf16", "int8"]

ENCODER: Final = "model.safetensors"
_CONFIG: Final = "config.json"
_TOKENIZER: Final = "tokenizer.json"
_LAYER: Final = re.compile(r"^(.*?\blayers?\.)(\d+)(\..*)$")
_APART: Final = ("head.", "adapter.", "prefix.")
"""Tensors of a weights file that stay in one; all others are merged into the encoder."""
_COUNTS: Final = ("num_hidden_layers", "n_layers")


def pack(
    model: Path,
    out: Path,
    storage: Storage,
    *,
    layers: int | None = None,
    of: str | None = None,
    name: str | None = None,
    force: bool = False,
) -> Manifest:
    """Write a model of its own from a model directory; all or nothing.

    Args:
        storage: bf16 halves the encoder; int8 quarters it and computes in integers.
        layers: keep so many of its layers, spread evenly; None keeps all.
        of: version that the result is recorded as made of; None is the model's own.

    Raises:
        ModelError: the model cannot be used, has not so many layers, or `out` cannot be written.
    """
    manifest = manifests.read(model)
    demand_vacant(out, force=force)
    backbone = find(manifest.backbone.name, model)
    weights = weight_files.read(model / manifest.weights)
    config = json.loads((backbone.path / _CONFIG).read_text("utf-8"))
    tensors = _encoder(backbone, weights, str(model / manifest.weights), storage)
    found = _count(config, backbone)
    if layers is not None:
        tensors = thinned(tensors, kept_layers(found, layers))
        config |= {key: layers for key in _COUNTS if key in config}
    rest = {n: t for n, t in weights.items() if n.startswith(_APART)}
    if layers is not None and any(not n.startswith("head.") for n in rest):
        raise ModelError(
            f"{model}: adapters and prefixes belong to their layers; fewer layers can be made of a"
            " model of method lora, adalora, bitfit or full"
        )
    kind: Literal["bf16", "int8", "layers"] = storage if layers is None and of is None else "layers"
    record = Compression(
        kind=kind,
        of=of or manifest.version,
        layers=layers or found,
        precision="int8" if storage == "int8" else "float32",
    )
    files = (weight_files.FILE, ENCODER, _CONFIG, _TOKENIZER)
    with replacing(out, files) as staging:
        _save(_stored(tensors, storage), staging / ENCODER, {"format": "pt"})
        (staging / _CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")
        shutil.copyfile(backbone.path / _TOKENIZER, staging / _TOKENIZER)
        digest = file_sha256(staging / ENCODER)
        # So that the version, the hash of this file, is another for every encoder.
        _save(rest, staging / weight_files.FILE, {"encoder": digest, "precision": record.precision})
        hashes = {file: file_sha256(staging / file) for file in files}
        made = manifest.model_copy(
            update={
                "name": name or f"{manifest.name}-{storage if layers is None else layers}",
                "version": manifests.version_of(hashes[weight_files.FILE]),
                "weights": weight_files.FILE,
                "files": hashes,
                "backbone": BackboneRecord(
                    name=OWN, sha256=digest, tokenizer_sha256=hashes[_TOKENIZER]
                ),
                "compression": record,
            }
        )
        manifests.write(made, staging)
        # It must load before it counts as written; missing layers or shapes show here.
        from models.predict import Predictor

        Predictor.load(staging, device="cpu", dtype="float32")
    return made


def kept_layers(count: int, wanted: int) -> list[int]:
    """Return which layers stay: evenly spread, the last among them; of 6 in 3 the 2nd, 4th, 6th.

    Raises:
        ModelError: more layers than there are, or none.
    """
    if not 1 <= wanted <= count:
        raise ModelError(f"layers={wanted}: the encoder has {count}; choose 1 to {count}")
    return [round((index + 1) * count / wanted) - 1 for index in range(wanted)]


def thinned(tensors: Weights, kept: list[int]) -> Weights:
    """Return the tensors of these layers, numbered anew, and all that belong to no layer."""
    number = {old: new for new, old in enumerate(kept)}
    found: Weights = {}
    for name, tensor in tensors.items():
        match = _LAYER.match(name)
        if match is None:
            found[name] = tensor
        elif int(match[2]) in number:
            found[f"{match[1]}{number[int(match[2])]}{match[3]}"] = tensor
    return found


def size_on_disk(model: Path) -> int:
    """Return the bytes of all that is needed to run a model: its files and its encoder's."""
    manifest = manifests.read(model)
    backbone = find(manifest.backbone.name, model)
    files = {(model / file).resolve() for file in manifest.files}
    files |= {(backbone.path / file).resolve() for file in (ENCODER, _CONFIG, _TOKENIZER)}
    return sum(file.stat().st_size for file in files)


def _encoder(backbone: Backbone, weights: Weights, origin: str, storage: Storage) -> Weights:
    own = {n: t for n, t in weights.items() if not n.startswith(_APART)}
    if storage == "int8" and not isinstance(load_inference_encoder(backbone), Bert):
        raise ModelError(
            f"int8: {backbone.name} is no plain BERT, whose files alone can hold 8 bits; take bf16"
        )
    encoder = adapted(backbone, own, origin)
    return {name: tensor.detach() for name, tensor in encoder.state_dict().items()}


def _stored(tensors: Weights, storage: Storage) -> Weights:
    if storage == "int8":
        return packed(tensors)
    return {
        name: (tensor.bfloat16() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in tensors.items()
    }


def _save(tensors: Weights, path: Path, metadata: dict[str, str]) -> None:
    try:
        save_file({n: t.cpu().clone() for n, t in tensors.items()}, path, metadata=metadata)
        path.chmod(0o644)
    except SafetensorError as error:
        raise ModelError(f"{path}: cannot be written ({error}); free space") from error


def _count(config: dict[str, Any], backbone: Backbone) -> int:
    for key in _COUNTS:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise ModelError(
        f"{backbone.path / _CONFIG}: names no number of layers; {_COUNTS[0]} is needed"
    )
