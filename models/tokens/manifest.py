"""The manifest of a folder with a model of tagged words."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from models.directory import read_record, verify, write_record
from models.manifest import BackboneRecord, ClassReport, Sha256, Share, Strict
from models.tokens.recipe import TokenRecipe

FORMAT: Final = "tokens-1"
_COMMAND: Final = "python -m models tokens train"


class TypeReport(Strict):
    """Scores of words by the type of their entity, O included."""

    types: dict[str, ClassReport]
    micro: Share
    macro: ClassReport
    weighted: Share


class TagReport(Strict):
    """Scores on tagged words; see `models.tokens.report`."""

    words: Annotated[int, Field(ge=1)]
    sentences: Annotated[int, Field(ge=1)]
    micro: Share
    macro: ClassReport
    weighted: Share
    tags: dict[str, ClassReport]
    by_type: TypeReport | None = None  # older manifests have none
    entities: dict[str, ClassReport]
    entity_micro: ClassReport


class FileRecord(Strict):
    """A file of tagged words."""

    role: Literal["training", "held out"]
    file: str
    sha256: Sha256
    sentences: int
    words: int
    licence: str


class Checked(Strict):
    """Weights that could be chosen, and what they reach on the held-out sentences."""

    kind: Literal["last", "average", "soup"]
    member: int
    epoch: int
    step: int
    loss: float
    scores: dict[str, Share]


class TokenManifest(Strict):
    """Everything about a model of tagged words; `version` is the start of its weights' SHA-256."""

    format: Literal["tokens-1"] = "tokens-1"
    name: str
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    weights: str
    sha256: Sha256
    backbone: BackboneRecord
    tags: tuple[str, ...]
    recipe: TokenRecipe
    chosen: Checked
    history: tuple[Checked, ...]
    data: tuple[FileRecord, ...]
    held_out: TagReport


def read(directory: Path) -> TokenManifest:
    """Read and check a model directory.

    Raises:
        ModelError: says which file is at fault and how to mend it.
    """
    manifest = read_record(
        directory,
        TokenManifest,
        FORMAT,
        written_by=_COMMAND,
        otherwise=f"models of tagged words have {FORMAT!r}; give a folder written by `{_COMMAND}`",
    )
    verify(directory / manifest.weights, manifest.sha256)
    return manifest


def write(manifest: TokenManifest, directory: Path) -> None:
    """Write the manifest into the directory, whole or not at all."""
    write_record(manifest, directory)
