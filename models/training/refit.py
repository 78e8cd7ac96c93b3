"""New temperatures for a trained model, from the texts that its own recipe held out."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from models import manifest as manifests
from models.dataset.corpus import Corpus
from models.directory import replacing
from models.errors import ModelError
from models.evaluation.evaluate import logits_of
from models.evaluation.metrics import Floats
from models.labels import TASKS, Task
from models.manifest import Head, Manifest
from models.predict import Predictor
from models.training.heads import head_of
from models.training.sources import Collected, Files, Sources, collect

MOVED = 0.005
"""Share of the held-out verdicts that may differ from the manifest's: other hardware rounds
otherwise, other texts are far beyond it."""


def refit(
    model: Path,
    files: Files,
    *,
    corpus_share: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    observer: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Fit the temperatures of a model anew, and write them with its reports into its manifest.

    The files are those of its training, so that the same texts are held out; weights and version
    stay. The figures that no temperature moves must come out as the manifest has them, or nothing
    is written.

    Args:
        model: the folder.
        files: the files of its training; a validation file wherever its manifest reports on one.
        corpus_share: in place of its recipe's `calibration_corpus_share`.
        device: auto, cpu, cuda or cuda:N.
        threads: of torch.
        observer: told after each batch how many texts of the part are judged, and of how many.

    Raises:
        DataError: a fault in a file; names file and row.
        ModelError: other files than the model was trained on, other held-out texts, or a
            compressed model.
    """
    manifest = manifests.read(model)
    if manifest.compression is not None:
        raise ModelError(
            f"{model}: a compressed model of version {manifest.compression.of}; calibrate that one,"
            " then compress it again"
        )
    recipe = manifest.recipe
    if corpus_share is not None:
        recipe = recipe.model_copy(update={"calibration_corpus_share": corpus_share})
    collected = collect(files, recipe)
    _same_files(model, manifest, collected)
    predictor = Predictor.load(model, device=device, dtype="float32", threads=threads)

    def logits(corpus: Corpus) -> Floats:
        return logits_of(predictor, corpus, observer=observer)

    heads: dict[Task, Head] = {}
    for task in TASKS:
        heads[task] = head_of(
            task, collected.sources[task], logits, recipe.calibration_corpus_share
        )
        _same_texts(model, task, manifest.heads[task], heads[task])
    found = manifest.model_copy(update={"heads": heads, "recipe": recipe})
    with replacing(model, ()) as staging:
        manifests.write(found, staging)
    return found


def _same_files(model: Path, manifest: Manifest, collected: Collected) -> None:
    for task in TASKS:
        for role, given in _hashes(collected.sources[task]).items():
            known = {r.sha256: r.file for r in manifest.data if (r.task, r.role) == (task, role)}
            if missing := sorted(name for sha256, name in known.items() if sha256 not in given):
                raise ModelError(
                    f"{model}: its {role} texts of {task} are those of {', '.join(missing)}, which"
                    " is not among the files given, or has changed; give the files of its training"
                    + (f", this one as --validate-{task}" if role == "validation" else "")
                )
            if added := sorted(name for sha256, name in given.items() if sha256 not in known):
                raise ModelError(
                    f"{', '.join(added)}: not among the {role} files of {task} in the manifest of"
                    f" {model}; give the files of its training alone"
                )


def _hashes(source: Sources) -> Mapping[str, Mapping[str, str]]:
    training = (source.whole, *source.corpora)
    checked = () if source.validation is None else (source.validation,)
    return {
        "training": {corpus.sha256: corpus.path.name for corpus in training},
        "validation": {corpus.sha256: corpus.path.name for corpus in checked},
    }


def _same_texts(model: Path, task: Task, before: Head, after: Head) -> None:
    for role, old, new in (
        ("held-out", before.held_out, after.held_out),
        ("validation", before.validation, after.validation),
    ):
        if old is None or new is None:
            continue
        counts = np.subtract(old.confusion, new.confusion)
        moved = int(np.abs(counts).sum()) // 2
        if old.texts != new.texts or counts.sum(1).any() or moved > MOVED * old.texts:
            raise ModelError(
                f"{model}: the {role} texts of {task} are {new.texts} with an accuracy of"
                f" {new.accuracy.value}, its manifest has {old.texts} and {old.accuracy.value};"
                " this program divides the files otherwise, so train again"
            )
