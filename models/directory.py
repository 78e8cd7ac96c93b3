"""The folder of a model: a manifest with a record of its own, files replaced all or nothing."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from models.backbone import file_sha256
from models.errors import ModelError

FILE: Final = "manifest.json"

Record = TypeVar("Record", bound=BaseModel)


def demand_vacant(directory: Path, *, force: bool) -> None:
    """Check that no model lies in a folder, unless `force`.

    Raises:
        ModelError: one does.
    """
    if (directory / FILE).exists() and not force:
        raise ModelError(
            f"{directory}: holds a model already; choose another --out, or add --force"
        )


@contextmanager
def replacing(directory: Path, files: Sequence[str]) -> Iterator[Path]:
    """Yield an empty folder; at the end its `files` and its manifest move into `directory`.

    The manifest moves last: a crash before it leaves a hash mismatch, which loading reports. Other
    files of the directory stay. After an exception inside nothing has moved.

    Raises:
        ModelError: the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".part-", dir=directory))
    except OSError as error:
        raise ModelError(
            f"{directory}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    try:
        yield staging
        for file in (*files, FILE):
            (staging / file).replace(directory / file)
    except OSError as error:
        raise ModelError(
            f"{directory}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def read_record(
    directory: Path, kind: type[Record], known: object, *, written_by: str, otherwise: str
) -> Record:
    """Read the manifest of a folder, whose format must be the known one.

    Args:
        directory: the folder.
        kind: the record to read it into.
        known: value of its field `format`.
        written_by: the command that writes such folders.
        otherwise: what to say of a folder of another format: what is expected, what to do.

    Raises:
        ModelError: says what is at fault and how to mend it.
    """
    path = directory / FILE
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); give a folder written by `{written_by}`"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); restore the folder") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != known:
        raise ModelError(f"{path}: manifest format {found!r}, {otherwise}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ModelError(f"{path}: {where}: {first['msg']}; restore the folder") from error


def verify(path: Path, sha256: str) -> None:
    """Check that a file is there and has this hash.

    Raises:
        ModelError: it is not, or has another.
    """
    if not path.is_file():
        raise ModelError(f"{path}: missing; restore it or train again")
    actual = file_sha256(path)
    if actual != sha256:
        raise ModelError(
            f"{path}: SHA-256 is {actual}, the manifest says {sha256};"
            " restore both files from the same training run"
        )


def write_record(record: BaseModel, directory: Path) -> None:
    """Write the manifest into the directory, whole or not at all."""
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False)
    temporary = directory / f".{FILE}.part"
    temporary.write_text(compact(text) + "\n", "utf-8")
    temporary.replace(directory / FILE)


def compact(text: str) -> str:
    """Return indented JSON with each list of numbers on one line, for short diffs."""
    lines: list[str] = []
    joined: list[str] | None = None
    for line in text.splitlines():
        bare = line.strip()
        if joined is None and bare.endswith("["):
            joined = [line]
        elif joined is None:
            lines.append(line)
        elif bare.rstrip(",").lstrip("-").replace(".", "", 1).isdigit():
            joined.append(bare)
        elif bare in {"]", "],"} and len(joined) > 1:
            lines.append(joined[0] + " ".join(joined[1:]) + bare)
            joined = None
        else:
            lines.extend(joined)
            joined = [line] if bare.endswith("[") else None
            if joined is None:
                lines.append(line)
    return "\n".join(lines + (joined or []))
