"""The manifest of a folder with a model of tagged words."""

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.backbone import file_sha256
from models.errors import ModelError
from models.manifest import FILE, BackboneRecord, ClassReport, Sha256, Share, compact
from models.tokens.recipe import TokenRecipe

FORMAT: Final = "tokens-1"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TypeReport(_Record):
    """Scores of words by the type of their entity, O included."""

    types: dict[str, ClassReport]
    micro: Share
    macro: ClassReport
    weighted: Share


class TagReport(_Record):
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


class FileRecord(_Record):
    """A file of tagged words."""

    role: Literal["training", "held out"]
    file: str
    sha256: Sha256
    sentences: int
    words: int
    licence: str


class Checked(_Record):
    """Weights that could be chosen, and what they reach on the held-out sentences."""

    kind: Literal["last", "average", "soup"]
    member: int
    epoch: int
    step: int
    loss: float
    scores: dict[str, Share]


class TokenManifest(_Record):
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
    path = directory / FILE
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); give a folder written by"
            " `python -m models tokens train`"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); restore the folder") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ModelError(
            f"{path}: manifest format {found!r}, models of tagged words have {FORMAT!r}; give a"
            " folder written by `python -m models tokens train`"
        )
    try:
        manifest = TokenManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ModelError(f"{path}: {where}: {first['msg']}; restore the folder") from error
    actual = file_sha256(directory / manifest.weights)
    if actual != manifest.sha256:
        raise ModelError(
            f"{directory / manifest.weights}: SHA-256 is {actual}, the manifest says"
            f" {manifest.sha256}; restore both files from the same training run"
        )
    return manifest


def write(manifest: TokenManifest, directory: Path) -> None:
    """Write the manifest into the directory, whole or not at all."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    temporary = directory / f".{FILE}.part"
    temporary.write_text(compact(text) + "\n", "utf-8")
    temporary.replace(directory / FILE)
