"""Distillation into fewer layers: the teacher's own layers, thinned, learn its verdicts again."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from models import manifest as manifests
from models.compression.pack import pack
from models.directory import demand_vacant
from models.errors import ModelError
from models.manifest import Manifest
from models.training.session import run_training
from models.training.sources import Files

WORK: Final = ".distil"
DEFAULTS: Final[Mapping[str, object]] = {"method": "full", "learning_rate": 2e-4}
_METHODS: Final = ("full",)


def distil(
    model: Path,
    out: Path,
    layers: int,
    files: Files,
    settings: Mapping[str, object],
    *,
    name: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    fresh: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Write a student of so many layers, trained on the files with the model as its teacher.

    It starts with the teacher's heads and evenly spread layers, and learns labels and the
    teacher's verdicts together. Killed, it goes on when called again; its work lies in
    `out/.distil` until then.
    Source: Sanh et al. 2019, "DistilBERT", section 3 (every second layer, soft targets).

    Raises:
        ModelError: as `pack` and `run_training`.
    """
    manifest = manifests.read(model)
    settings = {**DEFAULTS, **settings}
    if settings["method"] not in _METHODS:
        raise ModelError("a student of fewer layers is trained whole: drop --set method")
    demand_vacant(out, force=force)
    name = name or f"{manifest.name}-{layers}-layers"
    start, student = out / WORK / "start", out / WORK / "student"
    if fresh:
        shutil.rmtree(out / WORK, ignore_errors=True)
    # Packed anew after a kill it has the same bytes, by which its checkpoint knows it.
    pack(model, start, "bf16", layers=layers, force=True)
    if not (student / manifests.FILE).exists():
        run_training(
            replace(files, start=start, teachers=(model,)),
            settings,
            out=student,
            name=name,
            backbone=str(start),
            max_length=manifest.max_length,
            device=device,
            threads=threads,
            console=console,
        )
    found = pack(student, out, "bf16", of=manifest.version, name=name, force=force)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return found
