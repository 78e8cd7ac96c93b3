"""Re-training on new labels with rehearsal of the old, held against the model that runs.

A network that is trained on new texts alone forgets the old ones; mixing in a reservoir of old
texts, the same number of each class, keeps them (Robins 1995, "Catastrophic forgetting, rehearsal
and pseudorehearsal"; class-balanced memory: Rebuffi et al. 2017, "iCaRL", section 3.4).
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import file_sha256
from models.dataset.corpus import Corpus, joined
from models.dataset.read import read, tasks_of
from models.dataset.split import deduplicate, exclude, hold_out_together
from models.dataset.table import read_table
from models.errors import DataError, ModelError
from models.labels import LABELS, TASKS, Task
from models.training.gate import Decision, compare_models
from models.training.session import run_training
from models.training.sources import Files

FOLDER = "mixture"
"""Below the new model's folder: the texts that it was trained and judged on."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to learn from. `held_out` texts are never trained on; a task without such a file gives
    `gate_share` of its new and old texts."""

    model: Path
    new: Mapping[Task, Path]
    rehearse: tuple[Path, ...] = ()
    held_out: Mapping[Task, Path] = field(default_factory=dict)
    rehearsal_share: float = 0.5
    """Part of the training texts that are old ones."""
    gate_share: float = 0.15
    seed: int = 1
    licence: str = "not stated"


@dataclass(frozen=True, slots=True)
class Mixture:
    """Texts of one task: to train on (the new ones, then the old ones), and held out."""

    new: Corpus | None
    old: Corpus | None
    held_out: Corpus

    @property
    def training(self) -> Corpus:
        """Return new and rehearsed texts as one corpus."""
        parts = [corpus for corpus in (self.new, self.old) if corpus is not None]
        return joined(*parts)


def retrain(
    request: Request,
    settings: Mapping[str, object],
    *,
    out: Path,
    against: Path | None = None,
    name: str = "model",
    strict: bool = False,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    console: Console | None = None,
) -> Decision:
    """Go on from a model with new labels, write the candidate to `out`, and hold it at the gate.

    `against` is the model that the gate compares with; default: the one that the training goes on
    from. `settings` replace hyper-parameters of that model's recipe, whose learning rate is taken
    at a third: what it has learnt is to be moved, not made anew.

    Raises:
        DataError: a fault in a file, or a class without a text; names file and row.
        ModelError: a fault in model, settings or folder.
    """
    console = console or Console(quiet=True)
    manifest = manifests.read(request.model)
    mixtures = mix(request)
    for task, mixture in mixtures.items():
        console.print(
            f"{task}: {_count(mixture.new)} new and {_count(mixture.old)} rehearsed texts,"
            f" {len(mixture.held_out)} held out for the gate"
        )
    files = _write(out / FOLDER, request, mixtures)
    run_training(
        files,
        recipe_settings(request.model) | {"seed": request.seed} | dict(settings),
        out=out,
        name=name,
        backbone=manifest.backbone.name,
        max_length=manifest.max_length,
        device=device,
        threads=threads,
        force=force,
        console=console,
    )
    held_out = [mixture.held_out for mixture in mixtures.values()]
    return compare_models(
        against or request.model, out, held_out, strict=strict, device=device, threads=threads
    )


def mix(request: Request) -> dict[Task, Mixture]:
    """Return the texts of each task, without twins or near-duplicates across new, old, held out.

    Where a new text resembles an old one, the new label holds. The old texts are a sample with the
    same number of each class, as far as there are so many.

    Raises:
        DataError: a fault in a file; a class without two texts to train on, or none to hold out.
    """
    if not request.new:
        raise DataError("nothing new to learn: give --sentiment FILE or --topic FILE")
    if not 0 <= request.rehearsal_share < 1:
        raise DataError(f"rehearsal share {request.rehearsal_share} must lie in [0, 1)")
    new = {task: deduplicate(read(path, task)) for task, path in request.new.items()}
    old = _old(request.rehearse)
    held = {task: read(path, task) for task, path in request.held_out.items()}
    judged = [text for corpus in held.values() for text in corpus.texts]
    if judged:
        new = {task: exclude(corpus, judged) for task, corpus in new.items()}
        old = {task: exclude(corpus, judged) for task, corpus in old.items()}
    fresh = [text for corpus in new.values() for text in corpus.texts]
    old = {task: _apart(corpus, fresh) for task, corpus in old.items()}
    for task in TASKS:
        if task not in new and task not in old:
            raise DataError(
                f"no text of {task}: its head would drift while the other is trained;"
                f" add --rehearse FILE with old labels of {task}"
            )
    missing = {task: _union(new.get(task), old.get(task)) for task in TASKS if task not in held}
    if missing:
        parts = hold_out_together(missing, request.gate_share, request.seed)
        held |= {task: part for task, (_, part) in parts.items()}
        judged = [text for _, part in parts.values() for text in part.texts]
        new = {task: exclude(corpus, judged) for task, corpus in new.items()}
        old = {task: exclude(corpus, judged) for task, corpus in old.items()}
    share = request.rehearsal_share
    most = max(len(corpus) for corpus in new.values())
    found: dict[Task, Mixture] = {}
    for task in TASKS:
        count = round(share / (1 - share) * len(new[task])) if task in new else most
        sample = reservoir(old[task], count, request.seed) if task in old else None
        found[task] = Mixture(new.get(task), sample, held[task])
        counts = found[task].training.counts
        if empty := [label for label, n in counts.items() if n < 2]:
            raise DataError(
                f"class {empty[0]!r} of {task} has {counts[empty[0]]} text(s) to train on and would"
                " be forgotten; add --rehearse FILE with old texts of it"
            )
    return found


def reservoir(corpus: Corpus, count: int, seed: int) -> Corpus:
    """Return about `count` texts, the same number of each class; a small class gives all it has.

    At least two of each class, however small the count: without any a class would be forgotten.
    """
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(corpus.labels == label) for label in range(len(LABELS[corpus.task]))]
    quota = 2
    # What small classes do not fill is given to the others.
    while sum(min(len(own), quota + 1) for own in rows) <= min(count, len(corpus)):
        quota += 1
        if quota >= len(corpus):
            break
    chosen = [rng.permutation(own)[:quota] for own in rows]
    return corpus.take(np.sort(np.concatenate(chosen)))


def recipe_settings(directory: Path) -> dict[str, object]:
    """Return the hyper-parameters to go on from a model with: its own, at a third of its rate.

    A soup's low-rank factors stand side by side, so their rank is that of the file.
    """
    manifest = manifests.read(directory)
    recipe = manifest.recipe
    settings: dict[str, object] = recipe.model_dump(exclude_defaults=True)
    settings |= {"method": recipe.method, "members": 1, "learning_rate": recipe.learning_rate / 3}
    if recipe.head_learning_rate is not None:
        settings["head_learning_rate"] = recipe.head_learning_rate / 3
    if recipe.method == "lora":
        tensors = weight_files.read(directory / manifest.weights)
        ranks = {t.shape[0] for n, t in tensors.items() if n.startswith("lora.") and n[-2:] == ".a"}
        if len(ranks) == 1:
            (rank,) = ranks
            settings |= {"rank": rank, "alpha": recipe.alpha * rank / recipe.rank}
    return settings


def _old(paths: tuple[Path, ...]) -> dict[Task, Corpus]:
    found: dict[Task, list[Corpus]] = {}
    for path in paths:
        split = "train" if "split" in read_table(path).columns else None
        for task in tasks_of(path):
            found.setdefault(task, []).append(read(path, task, split=split))
    return {task: deduplicate(joined(*corpora)) for task, corpora in found.items()}


def _apart(corpus: Corpus, texts: list[str]) -> Corpus:
    try:
        return exclude(corpus, texts)
    except DataError:  # the new labels replace all the old ones
        return corpus.take([])


def _union(first: Corpus | None, second: Corpus | None) -> Corpus:
    parts = [corpus for corpus in (first, second) if corpus is not None]
    return joined(*parts)


def _write(folder: Path, request: Request, mixtures: Mapping[Task, Mixture]) -> Files:
    """Write the texts as CSV files, and where they come from."""
    origin: dict[str, object] = {"model": manifests.read(request.model).version}
    training: dict[Task, Path] = {}
    validation: dict[Task, Path | None] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for task, mixture in mixtures.items():
            training[task] = _csv(folder / f"{task}.csv", mixture.training)
            validation[task] = _csv(folder / f"{task}-held-out.csv", mixture.held_out)
            origin[task] = {
                "new": _count(mixture.new),
                "rehearsed": _count(mixture.old),
                "held_out": len(mixture.held_out),
            }
        files = [*request.new.values(), *request.rehearse, *request.held_out.values()]
        origin["files"] = {path.name: file_sha256(path) for path in files}
        text = json.dumps(origin, indent=1, ensure_ascii=False)
        (folder / "origin.json").write_text(text + "\n", "utf-8")
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    return Files(
        training=training, validation=validation, licence=request.licence, start=request.model
    )


def _csv(path: Path, corpus: Corpus) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((text, corpus.label(row)) for row, text in enumerate(corpus.texts))
    return path


def _count(corpus: Corpus | None) -> int:
    return 0 if corpus is None else len(corpus)
