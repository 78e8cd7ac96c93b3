"""One training run from files to a model directory, with a progress bar and a report."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import DEFAULT, Backbone, find
from models.dataset.inspect import inspect
from models.dataset.render import print_findings
from models.directory import demand_vacant
from models.errors import ModelError
from models.evaluation.render import print_report
from models.manifest import Manifest, Teaching
from models.progress import progress_bar
from models.recipe import Recipe
from models.spans.head import NAME as SPANS
from models.training import checkpoint
from models.training.board import Board
from models.training.candidate import Candidate
from models.training.checkpoint import Keeper, describe
from models.training.loop import train
from models.training.objective import Verdicts
from models.training.observer import observed
from models.training.publish import publish
from models.training.settings import recipe_of
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
    max_length: int = 128,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    fresh: bool = False,
    checkpoint_every: int = 500,
    tensorboard: Path | None = None,
    console: Console | None = None,
) -> Manifest:
    """Read the files, train, choose, calibrate, report, and write the model directory.

    Checkpoints are written below `out` at the end of each epoch and every `checkpoint_every`
    steps. The same call after a kill goes on from the last one, unless `fresh`.

    Raises:
        ModelError: a fault in files, settings, backbone or folder, or a checkpoint of another
            run; no model is half-written.
    """
    import torch

    from models.device import choose_device

    console = console or Console(quiet=True)
    recipe = recipe_of(settings)
    demand_vacant(out, force=force)
    board = Board(tensorboard)
    chosen = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    encoder = find(backbone or DEFAULT)
    start = None if files.start is None else start_of(files.start, encoder)
    teaching = _teaching(files)
    collected = collect(files, recipe)
    run = describe(collected.material, encoder, recipe, chosen, start)
    run["teachers"] = "" if teaching is None else ", ".join(teaching.teachers)
    keeper = Keeper(out / checkpoint.FOLDER, run, checkpoint_every, tell=console.print)
    if fresh:
        keeper.remove()
    for task, source in collected.sources.items():
        console.print(
            f"{task}: {len(source.whole)} rows and {sum(map(len, source.corpora))} of the corpora,"
            f" {len(source.training)} to train on,"
            f" {len(source.held_out)} held out"
        )
        if not console.quiet:
            print_findings(console, inspect(source.parts))
    verdicts = None
    if teaching is not None:
        verdicts = _verdicts(files, collected, recipe, chosen, keeper, console)
    with observed(console, board, _scores) as observer:
        trained = train(
            collected.material,
            encoder,
            recipe,
            device=chosen,
            observer=observer,
            start=start,
            verdicts=verdicts,
            keeper=keeper,
        )
    manifest = publish(
        out,
        trained,
        collected.sources,
        encoder,
        recipe,
        name=name,
        max_length=max_length,
        device=chosen,
        teaching=teaching and teaching.model_copy(update={"texts": collected.unlabelled}),
    )
    keeper.remove()
    for task, head in manifest.heads.items():
        print_report(console, task, head.best_report)
    console.print(f"version {manifest.version} written to {out}")
    return manifest


def start_of(directory: Path, backbone: Backbone) -> Weights:
    """Return the weights of a model directory, to go on from, without a head over tokens.

    That head fits the encoder that it was trained with; after this run it is to be trained anew.

    Raises:
        ModelError: it cannot be read, or belongs to another backbone.
    """
    manifest = manifests.read(directory)
    if manifest.backbone.sha256 != backbone.sha256:
        raise ModelError(
            f"{directory}: trained on the backbone {manifest.backbone.name}, not {backbone.name};"
            " start from a model of the same backbone"
        )
    found = weight_files.read(directory / manifest.weights)
    return {name: t for name, t in found.items() if not name.startswith(f"head.{SPANS}.")}


def _scores(candidate: Candidate) -> str:
    return "macro-F1 " + ", ".join(f"{t} {v:.4f}" for t, v in candidate.macro_f1.items())


def _verdicts(
    files: Files,
    collected: Collected,
    recipe: Recipe,
    device: str,
    keeper: Keeper,
    console: Console,
) -> Verdicts:
    found = keeper.load_verdicts()
    if found is not None:
        return found
    with progress_bar(console) as bar:
        line = bar.add_task("teachers")
        found = verdicts_of(
            files.teachers,
            collected.material.texts,
            temperature=recipe.distil_temperature,
            device=device,
            seen=lambda done, total: bar.update(line, completed=done, total=total),
        )
    keeper.save_verdicts(found)
    return found


def _teaching(files: Files) -> Teaching | None:
    if not files.teachers:
        return None
    found = [manifests.read(teacher) for teacher in files.teachers]
    return Teaching(teachers={manifest.version: manifest.name for manifest in found})
