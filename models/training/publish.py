"""From trained weights to a model directory: temperatures, reports, manifest, all or nothing."""

from collections.abc import Mapping
from pathlib import Path

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import Backbone, encode, file_sha256, load_tokenizer
from models.dataset.corpus import Corpus
from models.directory import replacing
from models.evaluation.metrics import Floats
from models.labels import Task
from models.manifest import (
    BackboneRecord,
    CandidateRecord,
    DataRecord,
    Head,
    Manifest,
    Teaching,
    Windows,
)
from models.network import forward_all
from models.predict import reader_of
from models.recipe import Recipe
from models.training.candidate import Candidate, Trained
from models.training.heads import head_of
from models.training.sources import Sources
from models.windows import judge as pooled


def publish(
    directory: Path,
    trained: Trained,
    sources: Mapping[Task, Sources],
    backbone: Backbone,
    recipe: Recipe,
    *,
    name: str,
    max_length: int = 128,
    device: str = "cpu",
    teaching: Teaching | None = None,
) -> Manifest:
    """Write weights and manifest into `directory`; other files there stay.

    Reports and temperatures come from the weights as stored, run in float32.

    Raises:
        ModelError: the folder cannot be written; it is then left as it was.
    """
    with replacing(directory, (weight_files.FILE,)) as staging:
        weights = weight_files.compacted(backbone, trained.weights)
        weight_files.write(staging / weight_files.FILE, weights)
        digest = file_sha256(staging / weight_files.FILE)
        network = weight_files.assemble(backbone, weights).to(device)
        tokenizer = load_tokenizer(backbone)
        length = max_length if backbone.positions is None else min(max_length, backbone.positions)
        windows = Windows()
        reader = reader_of(tokenizer, length, windows)

        def forward(rows: list[list[int]]) -> dict[Task, Floats]:
            return forward_all(network, rows, device)

        def judge(task: Task, source: Sources) -> Head:
            def logits(corpus: Corpus) -> Floats:
                rows = [reader.capped(row) for row in encode(tokenizer, corpus.texts)]
                return pooled(rows, reader, windows.pooling, forward)[task]

            return head_of(task, source, logits, recipe.calibration_corpus_share)

        manifest = Manifest(
            name=name,
            version=manifests.version_of(digest),
            weights=weight_files.FILE,
            files={weight_files.FILE: digest},
            backbone=BackboneRecord(
                name=backbone.name,
                sha256=backbone.sha256,
                tokenizer_sha256=backbone.tokenizer_sha256,
            ),
            max_length=length,
            windows=windows,
            heads={task: judge(task, source) for task, source in sources.items()},
            recipe=recipe,
            chosen=_record(trained.chosen),
            history=tuple(_record(candidate) for candidate in trained.history),
            data=tuple(r for task, s in sources.items() for r in _records(task, s)),
            teaching=teaching,
        )
        manifests.write(manifest, staging)
    return manifest


def _record(candidate: Candidate) -> CandidateRecord:
    return CandidateRecord(
        kind=candidate.kind,
        member=candidate.member,
        epoch=candidate.epoch,
        step=candidate.step,
        loss=round(candidate.loss, 4),
        macro_f1={task: round(value, 4) for task, value in candidate.macro_f1.items()},
    )


def _records(task: Task, source: Sources) -> list[DataRecord]:
    own = {text for corpus in source.corpora for text in corpus.texts}
    texts = (*source.training.texts, *source.held_out.texts)
    records = [
        DataRecord(
            task=task,
            role="training",
            file=source.whole.path.name,
            sha256=source.whole.sha256,
            rows=len(source.whole),
            texts=sum(text not in own for text in texts),
            licence=source.licence,
        )
    ]
    records += [
        DataRecord(
            task=task,
            role="training",
            file=corpus.path.name,
            sha256=corpus.sha256,
            rows=len(corpus),
            texts=len(corpus),
            licence=source.corpus_licence,
        )
        for corpus in source.corpora
    ]
    if source.validation is not None:
        records.append(
            DataRecord(
                task=task,
                role="validation",
                file=source.validation.path.name,
                sha256=source.validation.sha256,
                rows=source.validation_rows,
                texts=len(source.validation),
                licence=source.licence,
            )
        )
    return records
