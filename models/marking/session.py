"""One training run of the token head: from a model directory and files to a model directory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import Backbone, find
from models.directory import demand_vacant
from models.errors import ModelError
from models.labels import TASKS
from models.manifest import Manifest, SpanFile
from models.marking.examples import (
    Example,
    certain,
    read_corpus,
    runs_of,
    tagged_examples,
    weak,
)
from models.marking.problem import SpanMaterial, Spans
from models.marking.publish import file_record, publish
from models.marking.weights import with_head
from models.progress import progress_bar
from models.recipe import SpanRecipe
from models.spans.head import names_width
from models.text import normalise
from models.tokens.read import read
from models.training import checkpoint
from models.training.board import Board
from models.training.candidate import Candidate
from models.training.checkpoint import Arrays, Keeper
from models.training.loop import train_on
from models.training.material import UNLABELLED, Material, Origin
from models.training.observer import observed
from models.training.settings import checked
from models.training.sources import Collected, Files, collect
from models.training.teacher import verdicts_of

_HELD_OUT: Final = "held out"
_HELD_OUT_ROWS = 15
"""Of so many rows of a file of targets the last is held out."""
_CHECKED = 700
"""Held-out texts of tagged words that an evaluation reads, about."""
_OF_WEIGHTS: Final = ("method", "rank", "bottleneck", "prefix_length", "freeze_embeddings")
"""Hyper-parameters that say which tensors a weights file holds."""
_LABEL_SHARE = 0.8
"""What a tweet's label counts in the sentiment towards its cashtag; its verdict counts the rest."""


@dataclass(frozen=True, slots=True)
class SpanFiles:
    """The files of a run."""

    sentences: Files
    """Those of the model's own training; `start` is the model directory."""
    kept: Path | None = None
    """The model whose verdicts on texts are kept; None is the one that the run goes on from."""
    targets: tuple[Path, ...] = ()
    """More corpora of the written kind, read for their entities alone."""
    tagged: tuple[Path, ...] = ()
    tagged_held_out: tuple[Path, ...] = ()
    tagged_test: tuple[Path, ...] = ()
    """Files that the manifest reports on; nothing is chosen on them."""
    licences: Mapping[str, str] = field(default_factory=dict)
    """Licence of a file of `targets` or `tagged`, by the start of its name."""


def run_training(
    files: SpanFiles,
    settings: Mapping[str, object],
    *,
    out: Path,
    name: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    fresh: bool = False,
    checkpoint_every: int = 200,
    tensorboard: Path | None = None,
    console: Console | None = None,
) -> Manifest:
    """Train the token head of a model, on with its encoder and other heads; write a model.

    The texts held out are those of the model's own training. Checkpoints are written below `out`;
    the same call after a kill goes on from the last one, unless `fresh`.

    Raises:
        ModelError: a fault in files, settings or folders, or a checkpoint of another run; no model
            is half-written.
    """
    import torch

    from models.device import choose_device

    console = console or Console(quiet=True)
    directory = files.sentences.start
    if directory is None:
        raise ModelError("the token head is trained on top of a model; give one with --model")
    before = manifests.read(directory)
    if before.compression is not None:
        raise ModelError(f"{directory}: a compressed model; give the one that it was made of")
    recipe = checked(_settings(before, settings), SpanRecipe)
    demand_vacant(out, force=force)
    board = Board(tensorboard)
    chosen = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    backbone = find(before.backbone.name, directory)
    collected = collect(files.sentences, recipe)
    texts = _pool(collected.material, recipe)
    start = with_head(weight_files.read(directory / before.weights), recipe.seed)
    run = _describe(files, recipe, backbone, chosen, before)
    if files.kept is not None:
        run["verdicts kept"] = manifests.read(files.kept).version
    keeper = Keeper(out / checkpoint.FOLDER, run, checkpoint_every, tell=console.print)
    if fresh:
        keeper.remove()
    kept = keeper.load_verdicts()
    if kept is None:
        kept = dict(
            _verdicts(directory, [collected.material.texts[i] for i in texts], chosen, console)
        )
        keeper.save_verdicts(kept)
    verdicts = kept
    material = _material(files, collected, texts, verdicts, recipe)
    console.print(
        f"{len(material.marked)} texts with marked entities, {len(material.tagged)} tagged,"
        f" {len(material.sentences)} others; held out {len(material.held_out_marked)} and"
        f" {len(material.held_out_tagged)}"
    )
    problem = Spans(material, backbone, recipe, chosen, names=names_width(start))
    with observed(console, board, _scores) as observer:
        trained = train_on(
            problem,
            backbone,
            recipe,
            device=chosen,
            observer=observer,
            start=start,
            keeper=keeper,
        )
    manifest = publish(
        out,
        trained,
        before,
        collected.sources,
        backbone,
        recipe,
        name=name,
        kept=run.get("verdicts kept"),
        data=_records(files),
        tagged_held_out=files.tagged_held_out,
        tagged_test=files.tagged_test,
        targets={_HELD_OUT: material.held_out_marked, **_tests(files)},
        held_out=_HELD_OUT,
        device=chosen,
    )
    keeper.remove()
    console.print(f"version {manifest.version} written to {out}")
    return manifest


def _settings(before: Manifest, settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of a run that goes on from a model: its method, and its held-out texts.

    Raises:
        ModelError: the share or the seed of the held-out texts is set to another.
    """
    split = {"held_out": before.recipe.held_out, "split_seed": before.recipe.held_out_seed}
    if odd := sorted(split.keys() & settings.keys()):
        raise ModelError(f"hyper-parameter {odd[0]}: it is that of the model; leave it out")
    kept = {name: getattr(before.recipe, name) for name in _OF_WEIGHTS}
    return {**kept, "max_length": before.max_length, **settings, **split}


def _pool(material: Material, recipe: SpanRecipe) -> list[int]:
    """Return the material's rows whose verdicts are kept: all of corpora, a draw of the others."""
    own = np.flatnonzero(material.origins == Origin.CORPUS)
    others = np.flatnonzero(material.origins == Origin.FILE)
    drawn = np.random.default_rng(recipe.seed).permutation(others)[: recipe.sentences]
    return [*own.tolist(), *np.sort(drawn).tolist()]


def _verdicts(directory: Path, texts: list[str], device: str, console: Console) -> Arrays:
    with progress_bar(console) as bar:
        line = bar.add_task("verdicts to keep")
        return verdicts_of(
            [directory],
            texts,
            device=device,
            seen=lambda done, total: bar.update(line, completed=done, total=total),
        )


def _material(
    files: SpanFiles,
    collected: Collected,
    rows: list[int],
    verdicts: Arrays,
    recipe: SpanRecipe,
) -> SpanMaterial:
    material = collected.material
    number = {normalise(material.texts[row]): place for place, row in enumerate(rows)}
    held = {normalise(x) for s in collected.sources.values() for x in s.held_out.texts}
    marked: list[Example] = []
    held_marked: list[Example] = []
    for path in files.sentences.corpora:
        for example, split, _ in read_corpus(path):
            if example.text in held:
                held_marked.append(example)
            elif split == "train" and example.text in number:
                marked.append(_with_verdict(example, number[example.text]))
    for path in files.targets:
        trained = [row.example for row in read_corpus(path) if row.split == "train"]
        marked += [e for i, e in enumerate(trained, 1) if i % _HELD_OUT_ROWS]
        held_marked += [e for i, e in enumerate(trained, 1) if not i % _HELD_OUT_ROWS]
    held_tagged = [run for path in files.tagged_held_out for run in runs_of(path)[0]]
    sentences: list[Example] = []
    for place, row in enumerate(rows):
        if material.origins[row] != Origin.FILE:
            continue
        text = normalise(material.texts[row])
        label = int(material.labels["sentiment"][row])
        soft = verdicts["sentiment"][place]
        if label != UNLABELLED:
            soft = _LABEL_SHARE * np.array(certain(label)) + (1 - _LABEL_SHARE) * soft
        negative, neutral, positive = map(float, soft)
        found = weak(text, (negative, neutral, positive), recipe.weak_weight)
        sentences.append(_with_verdict(found or Example(text, ()), place))
    return SpanMaterial(
        marked=tuple(marked),
        tagged=tuple(tagged_examples(files.tagged)),
        sentences=tuple(e for e in sentences if e.text),
        verdicts=verdicts,
        held_out_marked=tuple(held_marked),
        held_out_tagged=tuple(held_tagged[:: max(1, len(held_tagged) // _CHECKED)]),
        held_out={task: collected.material.held_out[task] for task in TASKS},
    )


def _tests(files: SpanFiles) -> dict[str, list[Example]]:
    """Return the rows that nothing is trained or chosen on, of each corpus that has some."""
    found = {
        f"{path.name}, test part": [row.example for row in read_corpus(path) if row.split == "test"]
        for path in (*files.sentences.corpora, *files.targets)
    }
    return {name: examples for name, examples in found.items() if examples}


def _records(files: SpanFiles) -> list[SpanFile]:
    written = (*files.sentences.corpora, *files.targets)
    return [
        *(file_record("targets", path, len(read_corpus(path)), files.licences) for path in written),
        *(
            file_record(role, path, sum(map(len, read(path))), files.licences)
            for role, paths in (
                ("training", files.tagged),
                ("held out", files.tagged_held_out),
                ("test", files.tagged_test),
            )
            for path in paths
        ),
    ]


def _with_verdict(example: Example, place: int) -> Example:
    return Example(example.text, example.marks, example.tagged, example.weight, place)


def _describe(
    files: SpanFiles, recipe: SpanRecipe, backbone: Backbone, device: str, before: Manifest
) -> dict[str, str]:
    run = {f"hyper-parameter {k}": str(v) for k, v in recipe.model_dump(mode="json").items()}
    run["files"] = checkpoint.digest(path.read_bytes() for path in _paths(files))
    run["backbone"] = backbone.sha256 + backbone.tokenizer_sha256
    run["device"] = device
    run["model"] = before.version
    return run


def _paths(files: SpanFiles) -> Iterable[Path]:
    own = files.sentences
    checks = [path for path in own.validation.values() if path is not None]
    return (
        *own.training.values(),
        *checks,
        *own.corpora,
        *files.targets,
        *files.tagged,
        *files.tagged_held_out,
    )


def _scores(candidate: Candidate) -> str:
    return "F1 " + ", ".join(f"{t} {v:.4f}" for t, v in candidate.macro_f1.items())
