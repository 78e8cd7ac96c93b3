"""From trained weights to a model directory: report and manifest, all or nothing."""

from collections.abc import Sequence
from pathlib import Path

from models import manifest as manifests
from models import weights as weight_files
from models.backbone import Backbone, file_sha256, load_tokenizer
from models.directory import replacing
from models.manifest import BackboneRecord
from models.tokens import manifest as token_manifests
from models.tokens.infer import logits_of, tags_of
from models.tokens.manifest import Checked, FileRecord, TagReport, TokenManifest
from models.tokens.read import Document
from models.tokens.recipe import TokenRecipe
from models.tokens.render import record_of
from models.tokens.report import report
from models.tokens.tags import TAGS
from models.tokens.weights import assemble
from models.tokens.windows import Pieces, prepare
from models.training.candidate import Candidate, Trained
from models.weights import Weights


def publish(
    directory: Path,
    trained: Trained,
    held_out: Sequence[Document],
    data: tuple[FileRecord, ...],
    backbone: Backbone,
    recipe: TokenRecipe,
    *,
    name: str,
    device: str = "cpu",
) -> TokenManifest:
    """Write weights and manifest into `directory`; other files there stay.

    The report comes from the weights as stored (16 bits), run in float32.

    Raises:
        ModelError: the folder cannot be written; it is then left as it was.
    """
    with replacing(directory, (weight_files.FILE,)) as staging:
        weight_files.write(staging / weight_files.FILE, trained.weights)
        digest = file_sha256(staging / weight_files.FILE)
        manifest = TokenManifest(
            name=name,
            version=manifests.version_of(digest),
            weights=weight_files.FILE,
            sha256=digest,
            backbone=BackboneRecord(
                name=backbone.name,
                sha256=backbone.sha256,
                tokenizer_sha256=backbone.tokenizer_sha256,
            ),
            tags=TAGS,
            recipe=recipe,
            chosen=_checked(trained.chosen),
            history=tuple(_checked(candidate) for candidate in trained.history),
            data=data,
            held_out=_report(trained.weights, held_out, backbone, recipe, device),
        )
        token_manifests.write(manifest, staging)
    return manifest


def _report(
    weights: Weights,
    held_out: Sequence[Document],
    backbone: Backbone,
    recipe: TokenRecipe,
    device: str,
) -> TagReport:
    network = assemble(backbone, weights).to(device)
    pieces = Pieces(load_tokenizer(backbone))
    tokens = [prepare([sentence.words for sentence in d], pieces) for d in held_out]
    logits = logits_of(network, tokens, pieces, recipe.max_length, device)
    truth = [sentence.tags for document in held_out for sentence in document]
    return record_of(report(truth, tags_of(tokens, logits)))


def _checked(candidate: Candidate) -> Checked:
    return Checked(
        kind=candidate.kind,
        member=candidate.member,
        epoch=candidate.epoch,
        step=candidate.step,
        loss=round(candidate.loss, 4),
        scores={name: round(value, 4) for name, value in candidate.macro_f1.items()},
    )
