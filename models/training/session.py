"""One training run from files to a model directory, with a progress bar and a report."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import DEFAULT, Backbone, find
from models.errors import ModelError
from models.evaluation.render import print_report
from models.manifest import Manifest, Teaching
from models.training.candidate import Progress
from models.training.loop import train
from models.training.objective import Verdicts
from models.training.publish import publish
from models.training.recipe import Recipe
from models.training.sources import Collected, Files, collect
from models.training.teacher import verdicts_of
from models.weights import Weights


def run_training(
    files: Files,
    settings: Mapping[str, object],
    *,
    out: Path,
    name: str = "model",
    backbone: str | None = None,
    max_length: int = 512,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Read the files, train, choose, calibrate, report, and write the model directory.

    Raises:
        ModelError: a fault in files, settings, backbone or folder; nothing is half-written.
    """
    import torch

    from models.device import choose_device

    console = console or Console(quiet=True)
    recipe = recipe_of(settings)
    if (out / manifests.FILE).exists() and not force:
        raise ModelError(f"{out}: holds a model already; choose another --out, or add --force")
    chosen = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    encoder = find(backbone or DEFAULT)
    start = None if files.start is None else start_of(files.start, encoder)
    collected = collect(files, recipe)
    sources = collected.sources
    for task, source in sources.items():
        console.print(
            f"{task}: {len(source.whole)} rows and {sum(map(len, source.corpora))} of the corpora,"
            f" {len(source.training)} to train on,"
            f" {len(source.held_out)} held out"
        )
    verdicts = _verdicts(files, collected, recipe, chosen, console)
    with progress_bar(console) as bar:
        line = bar.add_task("training", total=None)

        def observe(progress: Progress) -> None:
            bar.update(
                line,
                completed=progress.step,
                total=progress.steps,
                description=f"loss {progress.loss:.3f}",
            )
            found = progress.candidate
            if found is not None:
                scores = ", ".join(f"{t} {v:.4f}" for t, v in found.macro_f1.items())
                bar.console.print(
                    f"member {found.member}, epoch {found.epoch}, {found.kind} weights: loss"
                    f" {found.loss:.4f}, held-out macro-F1 {scores}"
                )

        trained = train(
            collected.material,
            encoder,
            recipe,
            device=chosen,
            observer=observe,
            start=start,
            verdicts=verdicts,
        )
    manifest = publish(
        out,
        trained,
        sources,
        encoder,
        recipe,
        name=name,
        max_length=max_length,
        device=chosen,
        teaching=_teaching(files, collected),
    )
    for task, head in manifest.heads.items():
        print_report(console, task, head.best_report)
    console.print(f"version {manifest.version} written to {out}")
    return manifest


def recipe_of(settings: Mapping[str, object]) -> Recipe:
    """Return the recipe with these hyper-parameters in place of the defaults.

    Raises:
        ModelError: an unknown name, or a value that it cannot take.
    """
    try:
        return Recipe.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(Recipe.model_fields)
        raise ModelError(
            f"hyper-parameter {first['loc'][0]}: {first['msg']}; there are: {known}"
        ) from error


def start_of(directory: Path, backbone: Backbone) -> Weights:
    """Return the weights of a model directory, to go on from.

    Raises:
        ModelError: it cannot be read, or belongs to another backbone.
    """
    manifest = manifests.read(directory)
    if manifest.backbone.sha256 != backbone.sha256:
        raise ModelError(
            f"{directory}: trained on the backbone {manifest.backbone.name}, not {backbone.name};"
            " start from a model of the same backbone"
        )
    return weight_files.read(directory / manifest.weights)


def progress_bar(console: Console) -> Bar:
    """Return a bar with the count, the time spent and the time left."""
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _verdicts(
    files: Files, collected: Collected, recipe: Recipe, device: str, console: Console
) -> Verdicts | None:
    if not files.teachers:
        return None
    with progress_bar(console) as bar:
        line = bar.add_task("teachers")
        return verdicts_of(
            files.teachers,
            collected.material.texts,
            temperature=recipe.distil_temperature,
            device=device,
            seen=lambda done, total: bar.update(line, completed=done, total=total),
        )


def _teaching(files: Files, collected: Collected) -> Teaching | None:
    if not files.teachers:
        return None
    found = [manifests.read(teacher) for teacher in files.teachers]
    return Teaching(
        teachers={manifest.version: manifest.name for manifest in found},
        texts=collected.unlabelled,
    )
