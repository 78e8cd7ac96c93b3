"""Training of what tells names, on an encoder that stays as it is: no other verdict changes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import file_sha256, find, load_tokenizer
from models.directory import demand_vacant, replacing
from models.errors import ModelError
from models.manifest import Manifest, NamesTraining, SpanCandidate, SpanFile, SpanRecord
from models.marking.evaluate import names_report
from models.marking.examples import Example, read_corpus, runs_of, tagged_examples
from models.marking.judge import by_model, by_network
from models.marking.publish import file_record
from models.marking.report import name_record
from models.marking.rows import POSSIBLE
from models.marking.states import States, states_of, tag_temperature
from models.marking.weights import with_head
from models.network import Network
from models.predict import Predictor
from models.progress import progress_bar
from models.recipe import NamesRecipe
from models.spans.head import NAME, Names
from models.tokens.read import Sentence, read
from models.training.average import Average, Swapped
from models.training.material import batches
from models.training.optimiser import rate
from models.weights import Weights, assemble

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PREFIX: Final = f"head.{NAME}.names."
_MEAN: Final = "mean"


@dataclass(frozen=True, slots=True)
class NameFiles:
    """The files of a run."""

    tagged: tuple[Path, ...]
    held_out: tuple[Path, ...]
    """Files of tagged words that the weights are chosen on."""
    corpora: tuple[Path, ...] = ()
    """Of the written kind; their rows of the part `train` are read for the names in them."""
    test: tuple[Path, ...] = ()
    """Files that the manifest reports on; nothing is chosen on them."""


def train_names(
    model: Path,
    files: NameFiles,
    recipe: NamesRecipe,
    *,
    out: Path,
    licences: Mapping[str, str] | None = None,
    threads: int | None = None,
    force: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Train what tells names in a model with a token head; write a model to `out`.

    It begins anew, whatever told names before. Everything else is the model's own, so that no
    sentiment, no topic and no sentiment towards an entity changes. After each epoch the average
    weights are judged on the held-out files; those of the best mean of their F1 are written, with
    a temperature of the tags that is fitted there.

    Args:
        model: a folder whose model has a token head and is not compressed.
        files: what is read.
        recipe: of the run.
        out: the folder to write.
        licences: of files, by the start of their names.
        threads: of torch.
        force: overwrite a model in the folder.
        console: for progress.

    Raises:
        DataError: a fault in a file; names file and line.
        ModelError: a model of another kind, or a folder that cannot be written; it is then left as
            it was.
    """
    console = console or Console(quiet=True)
    before = manifests.read(model)
    if before.compression is not None or before.spans is None:
        raise ModelError(f"{model}: compressed, or without a head over tokens; give another model")
    demand_vacant(out, force=force)
    if threads is not None:
        torch.set_num_threads(threads)
    backbone = find(before.backbone.name, model)
    stored = weight_files.read(model / before.weights)
    rest = {name: tensor for name, tensor in stored.items() if not name.startswith(_PREFIX)}
    start = with_head(rest, recipe.seed)
    network = assemble(backbone, start, str(model))
    tokenizer = load_tokenizer(backbone, recipe.max_length)
    examples = _examples(files)
    with progress_bar(console) as bar:
        line = bar.add_task("states of the encoder", total=len(examples))
        states = states_of(network, tokenizer, examples, lambda n: bar.advance(line, n))
        line = bar.add_task("epochs", total=recipe.epochs)
        found = []
        for candidate, values in _fit(network, states, _judged(files), tokenizer, recipe):
            found.append((candidate, values))
            scores = ", ".join(f"{name} {score:.4f}" for name, score in candidate.scores.items())
            console.print(f"epoch {candidate.epoch}: loss {candidate.loss:.4f}, F1 {scores}")
            bar.advance(line)
    chosen, values = max(found, key=lambda pair: pair[0].scores[_MEAN])
    weights = start | {_PREFIX + name: tensor for name, tensor in values.items()}
    network = assemble(backbone, weights, str(model))
    temperature = tag_temperature(network, tokenizer, tagged_examples(files.held_out))
    training = NamesTraining(
        of=before.version,
        recipe=recipe,
        chosen=chosen,
        history=tuple(candidate for candidate, _ in found),
        data=tuple(_records(files, licences or {})),
    )
    spans = before.spans.model_copy(
        update={"names": {}, "names_training": training, "tag_temperature": temperature}
    )
    manifest = _publish(out, weights, before, spans, (*files.held_out, *files.test))
    console.print(f"version {manifest.version} written to {out}")
    return manifest


def _publish(
    out: Path, weights: Weights, before: Manifest, spans: SpanRecord, judged: Sequence[Path]
) -> Manifest:
    """Write weights and manifest, the names judged by the path of operation."""
    with replacing(out, (weight_files.FILE,)) as staging:
        weight_files.write(staging / weight_files.FILE, weights)
        digest = file_sha256(staging / weight_files.FILE)
        manifest = before.model_copy(
            update={
                "version": manifests.version_of(digest),
                "weights": weight_files.FILE,
                "files": {weight_files.FILE: digest},
                "spans": spans,
            }
        )
        manifests.write(manifest, staging)
        judge = by_model(Predictor.load(staging, device="cpu", dtype="float32"))
        names = {path.name: name_record(names_report(judge, *runs_of(path))) for path in judged}
        manifest = manifest.model_copy(update={"spans": spans.model_copy(update={"names": names})})
        manifests.write(manifest, staging)
    return manifest


def _examples(files: NameFiles) -> list[Example]:
    written = [
        row.example
        for path in files.corpora
        for row in read_corpus(path)
        if row.split == "train" and row.example.text
    ]
    return [*tagged_examples(files.tagged), *written]


_Judged = Mapping[str, tuple[list[tuple[Sentence, ...]], frozenset[str]]]


def _judged(files: NameFiles) -> _Judged:
    return {path.name: runs_of(path) for path in files.held_out}


def _fit(
    network: Network,
    found: States,
    judged: _Judged,
    tokenizer: "Tokenizer",
    recipe: NamesRecipe,
) -> Iterator[tuple[SpanCandidate, Weights]]:
    """Yield after each epoch what the average weights reach, and them.

    A token whose text does not mark all types learns that it has one of the tags that it may have;
    see `models.marking.problem`.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    names = Names(found.states.shape[1], dropout=recipe.dropout)
    head = network.spans
    assert head is not None  # noqa: S101 - `with_head` gave it one
    head.names = names
    judge = by_network(network, tokenizer)
    possible = torch.from_numpy(POSSIBLE)
    parameters = dict(names.named_parameters())
    average = Average(parameters, recipe.average_decay)
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * math.ceil(len(found.counts) / recipe.batch_size)
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        names.train()
        loss_of_epoch = 0.0
        for rows in batches(found.counts.tolist(), recipe.batch_size, rng):
            states, shapes, codes = found.take(rows)
            likely = functional.log_softmax(names(states, shapes), dim=1)
            likely = likely.masked_fill(~possible[codes], -torch.inf).logsumexp(1)
            loss = -likely.sum() / len(rows)
            if not bool(loss.isfinite()):
                raise ModelError("the loss is no number; lower --learning-rate")
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * rate(step, steps, recipe)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(names.parameters(), recipe.clip_norm)
            optimiser.step()
            step += 1
            average.update(step)
            loss_of_epoch += float(loss.detach()) * len(rows)
        names.eval()
        with Swapped(parameters, average.values):
            scores = {
                name: names_report(judge, runs, types).entity_micro.f1
                for name, (runs, types) in judged.items()
            }
        candidate = SpanCandidate(
            kind="average",
            epoch=epoch,
            step=step,
            loss=round(loss_of_epoch / len(found.counts), 4),
            scores={n: round(s, 4) for n, s in scores.items()}
            | {_MEAN: round(sum(scores.values()) / len(scores), 4)},
        )
        yield candidate, {name: value.clone() for name, value in average.values.items()}


def _records(files: NameFiles, licences: Mapping[str, str]) -> Iterator[SpanFile]:
    for role, paths in (
        ("training", files.tagged),
        ("targets", files.corpora),
        ("held out", files.held_out),
        ("test", files.test),
    ):
        for path in paths:
            texts = len(read_corpus(path)) if role == "targets" else sum(map(len, read(path)))
            yield file_record(role, path, texts, licences)
