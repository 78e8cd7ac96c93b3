"""One training run from files of tagged words to a model directory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from rich.console import Console

from models.backbone import DEFAULT, Backbone, file_sha256, find
from models.directory import demand_vacant
from models.errors import DataError, ModelError
from models.tokens.manifest import FileRecord, TokenManifest
from models.tokens.problem import Tagging
from models.tokens.publish import publish
from models.tokens.read import Document, read
from models.tokens.recipe import TokenRecipe
from models.tokens.render import print_report
from models.tokens.tags import types_with
from models.training import checkpoint
from models.training.board import Board
from models.training.candidate import Candidate
from models.training.checkpoint import Keeper
from models.training.loop import train_on
from models.training.observer import observed
from models.training.settings import checked


@dataclass(frozen=True, slots=True)
class TokenFiles:
    """Files of tagged words; without `held_out` a part of the documents is held out."""

    training: tuple[Path, ...]
    held_out: Path | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    licence: str = "not stated"


@dataclass(frozen=True, slots=True)
class _Collected:
    training: list[Document]
    held_out: list[Document]
    records: tuple[FileRecord, ...]


def run_training(
    files: TokenFiles,
    settings: Mapping[str, object],
    *,
    out: Path,
    name: str = "tokens",
    backbone: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    fresh: bool = False,
    checkpoint_every: int = 500,
    tensorboard: Path | None = None,
    console: Console | None = None,
) -> TokenManifest:
    """Read the files, train, choose on the held-out documents, report, write the directory.

    Checkpoints are written below `out` at the end of each epoch and every `checkpoint_every`
    steps. The same call after a kill goes on from the last one, unless `fresh`.

    Raises:
        ModelError: a fault in files, settings, backbone or folder, or a checkpoint of another
            run; no model is half-written.
    """
    import torch

    from models.device import choose_device

    console = console or Console(quiet=True)
    recipe = checked(settings, TokenRecipe)
    demand_vacant(out, force=force)
    board = Board(tensorboard)
    chosen = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    encoder = find(backbone or DEFAULT)
    if encoder.positions is not None and recipe.max_length > encoder.positions:
        raise ModelError(
            f"max_length {recipe.max_length}: the backbone {encoder.name} reads"
            f" {encoder.positions} tokens at most"
        )
    found = _collect(files, recipe)
    for record in found.records:
        console.print(f"{record.role}: {record.file}, {record.sentences} sentences")
    run = _describe(found, encoder, recipe, chosen)
    keeper = Keeper(out / checkpoint.FOLDER, run, checkpoint_every, tell=console.print)
    if fresh:
        keeper.remove()
    problem = Tagging(found.training, found.held_out, encoder, recipe, chosen)
    with observed(console, board, _scores) as observer:
        trained = train_on(
            problem, encoder, recipe, device=chosen, observer=observer, keeper=keeper
        )
    manifest = publish(
        out, trained, found.held_out, found.records, encoder, recipe, name=name, device=chosen
    )
    keeper.remove()
    print_report(console, "held out", manifest.held_out)
    console.print(f"version {manifest.version} written to {out}")
    return manifest


def _collect(files: TokenFiles, recipe: TokenRecipe) -> _Collected:
    types = types_with(files.types)
    each = [read(path, types) for path in files.training]
    training = list(chain.from_iterable(each))
    records = [
        _record("training", path, documents, files.licence)
        for path, documents in zip(files.training, each, strict=True)
    ]
    if files.held_out is not None:
        held_out = read(files.held_out, types)
        records.append(_record("held out", files.held_out, held_out, files.licence))
        return _Collected(training, held_out, tuple(records))
    order = np.random.default_rng(recipe.held_out_seed).permutation(len(training))
    count = max(1, round(recipe.held_out * len(training)))
    if count >= len(training):
        raise DataError(
            f"{files.training[0]}: {len(training)} documents, of which {count} would be held out;"
            " give more, or a file with --held-out"
        )
    return _Collected(
        [training[i] for i in sorted(order[count:])],
        [training[i] for i in sorted(order[:count])],
        tuple(records),
    )


def _record(role: str, path: Path, documents: Sequence[Document], licence: str) -> FileRecord:
    sentences = [sentence for document in documents for sentence in document]
    return FileRecord.model_validate(
        {
            "role": role,
            "file": path.name,
            "sha256": file_sha256(path),
            "sentences": len(sentences),
            "words": sum(len(sentence.words) for sentence in sentences),
            "licence": licence,
        }
    )


def _describe(
    found: _Collected, backbone: Backbone, recipe: TokenRecipe, device: str
) -> dict[str, str]:
    run = {f"hyper-parameter {k}": str(v) for k, v in recipe.model_dump(mode="json").items()}
    run["training data"] = checkpoint.digest(_bytes(found.training))
    run["held-out data"] = checkpoint.digest(_bytes(found.held_out))
    run["backbone"] = backbone.sha256 + backbone.tokenizer_sha256
    run["device"] = device
    return run


def _bytes(documents: Sequence[Document]) -> Iterable[bytes]:
    for document in documents:
        yield repr([(sentence.words, sentence.tags) for sentence in document]).encode()


def _scores(candidate: Candidate) -> str:
    found = candidate.macro_f1
    return f"macro-F1 of the tags {found['tags']:.4f}, F1 of the entities {found['entities']:.4f}"
