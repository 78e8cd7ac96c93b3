"""From trained weights to a model directory: all three heads judged as they will run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import Backbone, file_sha256, load_tokenizer
from models.dataset.corpus import Corpus
from models.directory import replacing
from models.errors import ModelError
from models.evaluation.calibrate import fit_temperature
from models.evaluation.evaluate import logits_of
from models.evaluation.metrics import Floats
from models.labels import SENTIMENTS, TASKS, Task
from models.manifest import (
    Manifest,
    NameReport,
    SpanCandidate,
    SpanFile,
    SpanRecord,
    SpanTraining,
    TargetReport,
)
from models.marking.evaluate import judged_targets, names_report
from models.marking.examples import Example, runs_of, tagged_examples
from models.marking.judge import Judge, by_model
from models.marking.report import against, name_record
from models.marking.states import tag_temperature
from models.predict import Predictor
from models.recipe import SpanRecipe
from models.tokens.tags import TAGS
from models.training.candidate import Candidate, Trained
from models.training.heads import head_of
from models.training.sources import Sources


@dataclass(frozen=True, slots=True)
class SpanReports:
    """Reports by the name of what they are on."""

    names: Mapping[str, NameReport]
    targets: Mapping[str, TargetReport]


def publish(
    directory: Path,
    trained: Trained,
    before: Manifest,
    sources: Mapping[Task, Sources],
    backbone: Backbone,
    recipe: SpanRecipe,
    *,
    name: str | None,
    kept: str | None,
    data: Sequence[SpanFile],
    tagged_held_out: Sequence[Path],
    tagged_test: Sequence[Path],
    targets: Mapping[str, Sequence[Example]],
    held_out: str,
    device: str = "cpu",
) -> Manifest:
    """Write weights and manifest into `directory`; other files there stay.

    The manifest stays that of the model before but for its weights, its reports and the record of
    the token head. All figures come from the weights as stored, run in float32 as in operation.

    Args:
        directory: the folder.
        trained: the chosen weights.
        before: the manifest of the model that the training went on from.
        sources: of the sentence tasks.
        backbone: of the model.
        recipe: of this run.
        name: of the model; None keeps it.
        kept: version of the model whose verdicts were kept, where it is not `before`.
        data: the files of names and targets.
        tagged_held_out: files of tagged words that the temperature of the tags is fitted on.
            They are reported on, as are those of `tagged_test`.
        targets: texts to report on, by name of the set.
        held_out: the set that the temperature of the targets is fitted on.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ModelError: the folder cannot be written; it is then left as it was.
    """
    with replacing(directory, (weight_files.FILE,)) as staging:
        weights = weight_files.compacted(backbone, trained.weights)
        weight_files.write(staging / weight_files.FILE, weights)
        digest = file_sha256(staging / weight_files.FILE)
        training = SpanTraining(
            of=before.version,
            kept=kept,
            recipe=recipe,
            chosen=_record(trained.chosen),
            history=tuple(map(_record, trained.history)),
            data=tuple(data),
        )
        manifest = before.model_copy(
            update={
                "name": name or before.name,
                "version": manifests.version_of(digest),
                "weights": weight_files.FILE,
                "files": {weight_files.FILE: digest},
                "spans": SpanRecord(
                    tags=TAGS, sentiments=SENTIMENTS, temperature=1.0, training=training
                ),
            }
        )
        manifests.write(manifest, staging)
        predictor = Predictor.load(staging, device=device, dtype="float32")

        judge = by_model(predictor)

        def logits(corpus: Corpus) -> Floats:
            return logits_of(predictor, corpus)

        share = before.recipe.calibration_corpus_share
        heads = {task: head_of(task, sources[task], logits, share) for task in TASKS}
        temperature, reports = _targets(judge, targets, held_out)
        spans = SpanRecord(
            tags=TAGS,
            sentiments=SENTIMENTS,
            temperature=temperature,
            names={
                path.name: name_record(names_report(judge, *runs_of(path)))
                for path in (*tagged_held_out, *tagged_test)
            },
            tag_temperature=tag_temperature(
                weight_files.assemble(backbone, weights),
                load_tokenizer(backbone, recipe.max_length),
                tagged_examples(tagged_held_out),
            ),
            targets=reports,
            training=training,
        )
        manifest = manifest.model_copy(update={"heads": heads, "spans": spans})
        manifests.write(manifest, staging)
    return manifest


def _targets(
    judge: Judge, sets: Mapping[str, Sequence[Example]], held_out: str
) -> tuple[float, dict[str, TargetReport]]:
    judged = {name: judged_targets(judge, examples) for name, examples in sets.items()}
    truth, logits, _, _ = judged[held_out]
    temperature = round(fit_temperature(logits, truth), 4)
    return temperature, {
        name: against(*found, temperature).record for name, found in judged.items()
    }


def _record(candidate: Candidate) -> SpanCandidate:
    return SpanCandidate(
        kind=candidate.kind,
        epoch=candidate.epoch,
        step=candidate.step,
        loss=round(candidate.loss, 4),
        scores={name: round(value, 4) for name, value in candidate.macro_f1.items()},
    )


def file_record(role: str, path: Path, texts: int, licences: Mapping[str, str]) -> SpanFile:
    """Return the manifest's record of a file; its licence is that of the first beginning of its
    name among the `licences`."""
    licence = next((text for start, text in licences.items() if path.name.startswith(start)), None)
    return SpanFile.model_validate(
        {
            "role": role,
            "file": path.name,
            "sha256": file_sha256(path),
            "texts": texts,
            "licence": licence or "not stated",
        }
    )


def record(directory: Path, reports: SpanReports) -> Manifest:
    """Add reports to the manifest of a model that has a token head; those of the same name go.

    Weights and version stay.

    Raises:
        ModelError: the folder has no such model, or cannot be written.
    """
    manifest = manifests.read(directory)
    if manifest.spans is None:
        raise ModelError(f"{directory}: its manifest tells of no head over tokens; give another")
    spans = manifest.spans.model_copy(
        update={
            "names": {**manifest.spans.names, **reports.names},
            "targets": {**manifest.spans.targets, **reports.targets},
        }
    )
    found = manifest.model_copy(update={"spans": spans})
    with replacing(directory, ()) as staging:
        manifests.write(found, staging)
    return found
