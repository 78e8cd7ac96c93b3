"""One training run from files to a model directory, with a progress bar and a report."""

from collections.abc import Mapping
from dataclasses import dataclass
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
from models.dataset.corpus import joined
from models.dataset.read import read, read_corpus
from models.dataset.split import deduplicate, hold_out, without_twins
from models.errors import ModelError
from models.evaluation.render import print_report
from models.labels import TASKS, Task
from models.manifest import Manifest
from models.training.loop import Progress, train
from models.training.publish import Sources, publish
from models.training.recipe import Recipe
from models.weights import Weights


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run; a validation file may be missing."""

    training: Mapping[Task, Path]
    validation: Mapping[Task, Path | None]
    licence: str
    corpora: tuple[Path, ...] = ()
    """JSONL files with both labels, whose split ``train`` joins the training of both tasks."""
    corpus_tasks: frozenset[Task] = frozenset(TASKS)
    """The tasks whose training they join; their held-out part counts for both."""
    corpus_licence: str = "not stated"
    start: Path | None = None
    """A model directory whose weights the training goes on from."""


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
    sources = {task: _sources(task, files, recipe) for task in TASKS}
    for task, source in sources.items():
        console.print(
            f"{task}: {len(source.whole)} rows and {sum(map(len, source.corpora))} of the corpora,"
            f" {len(source.training)} to train on,"
            f" {len(source.held_out)} held out"
        )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
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
            {task: (s.training, s.held_out) for task, s in sources.items()},
            encoder,
            recipe,
            device=chosen,
            observer=observe,
            start=None if files.start is None else start_of(files.start, encoder),
        )
    manifest = publish(
        out, trained, sources, encoder, recipe, name=name, max_length=max_length, device=chosen
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


def _sources(task: Task, files: Files, recipe: Recipe) -> Sources:
    whole = read(files.training[task], task)
    corpora = tuple(read_corpus(path, task) for path in files.corpora)
    everything = joined(whole, *corpora)
    training, held_out = hold_out(deduplicate(everything), recipe.held_out, recipe.seed)
    if task not in files.corpus_tasks:
        own = {text for corpus in corpora for text in corpus.texts}
        training = training.take([i for i, text in enumerate(training.texts) if text not in own])
    path = files.validation[task]
    if path is None:
        return Sources(
            whole,
            training,
            held_out,
            licence=files.licence,
            corpora=corpora,
            corpus_licence=files.corpus_licence,
        )
    validation = read(path, task)
    return Sources(
        whole,
        training,
        held_out,
        validation=without_twins(validation, everything.texts),
        validation_rows=len(validation),
        licence=files.licence,
        corpora=corpora,
        corpus_licence=files.corpus_licence,
    )
