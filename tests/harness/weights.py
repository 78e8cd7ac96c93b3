"""Model directories for tests: another version of one that is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import file_sha256
from models.spans.head import NAME, NAMES, TokenHead
from models.weights import Weights


def variant(source: Path, target: Path, change: Callable[[Weights], object]) -> str:
    """Copy a model directory with changed weights and a manifest that fits; its version."""
    target.mkdir(parents=True)
    found = manifests.read(source)
    tensors = weight_files.read(source / found.weights)
    change(tensors)
    weight_files.write(target / found.weights, tensors)
    digest = file_sha256(target / found.weights)
    content = json.loads((source / manifests.FILE).read_text("utf-8"))
    content["files"][found.weights] = digest
    content["version"] = manifests.version_of(digest)
    (target / manifests.FILE).write_text(json.dumps(content), "utf-8")
    shutil.copystat(source / manifests.FILE, target / manifests.FILE)
    return manifests.version_of(digest)


def shifted(by: float) -> Callable[[Weights], object]:
    """A change that moves the first class of both heads: another model, and a sound one."""

    def change(tensors: Weights) -> None:
        for name, tensor in tensors.items():
            if name.startswith("head.") and name.endswith(".bias"):
                tensor[0] += by

    return change


def tokens_told(seed: int = 5, names: int = NAMES) -> Callable[[Weights], object]:
    """A change that adds a random head over tokens; its tags and sentiments are of every kind."""

    def change(tensors: Weights) -> None:
        hidden = tensors["head.sentiment.weight"].shape[1]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            head = TokenHead(hidden, names=names)
            nn.init.normal_(head.shapes.weight)
            nn.init.normal_(head.out.weight, std=0.5)
        tensors.update({f"head.{NAME}.{name}": t for name, t in head.state_dict().items()})

    return change


def blinded(tensors: Weights) -> None:
    """Weights that were zeroed: they load, and give every text the same verdict."""
    for name, tensor in tensors.items():
        if name.startswith("head."):
            tensor.zero_()


def infinite(tensors: Weights) -> None:
    """Weights of a training that diverged."""
    next(iter(tensors.values())).view(-1)[0] = torch.inf


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a model directory by hand."""
    path = folder / manifests.FILE
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.chmod(0o644)
    path.write_text(json.dumps(content), "utf-8")
