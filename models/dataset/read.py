"""Labelled texts from files."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from models.backbone import file_sha256
from models.dataset.corpus import Corpus
from models.errors import DataError
from models.labels import ALIASES, LABELS, Task


def read(path: Path, task: Task) -> Corpus:
    """Read a CSV with the columns `text` and `label`.

    A label is a class name of the task (any case; `Bullish` and `Bearish` are understood), or a
    number that the file `labels.json` in the same folder maps to such a name.

    Raises:
        DataError: the file is missing, not UTF-8 CSV, lacks a column, or a row is faulty.
    """
    names = _names(path.with_name("labels.json"), task)
    rows = list(_rows(path))
    return Corpus(
        task=task,
        texts=tuple(text for _, text, _ in rows),
        labels=np.asarray([_label(cell, names, task, where) for where, _, cell in rows], np.int64),
        path=path,
        sha256=file_sha256(path),
    )


def read_corpus(path: Path, task: Task, split: str = "train") -> Corpus:
    """Read the rows of one split of a JSONL corpus: text, split, and a class name for each task.

    Raises:
        DataError: the file is missing, not UTF-8 JSONL, or a row is faulty; names file and line.
    """
    texts: list[str] = []
    labels: list[int] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 ({error}); give a JSONL file") from error
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            text, part, label = row["text"], row["split"], row[task]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{where}: not an object with text, split, sentiment and topic ({error})"
            ) from error
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: empty text; remove the row")
        if label not in LABELS[task]:
            raise DataError(f"{where}: {label!r} is no class of {task}")
        if part == split:
            texts.append(text)
            labels.append(LABELS[task].index(label))
    return Corpus(task, tuple(texts), np.asarray(labels, np.int64), path, file_sha256(path))


def texts_of(path: Path) -> list[str]:
    """Return the texts of a CSV, whatever its labels; raises `DataError` as `read` does."""
    return [text for _, text, _ in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (where, text, label) of each row."""
    line = 0
    try:
        # newline="": the csv module keeps the line ends inside quoted texts.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = {"text", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path}: no column {', '.join(sorted(missing))}; add it")
            for row in reader:
                line = reader.line_num
                text = row["text"] or ""
                if not text.strip():
                    raise DataError(f"{path}, line {line}: empty text; remove the row")
                yield f"{path}, line {line}", text, row["label"] or ""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, after line {line}: not UTF-8; convert the file") from error
    except csv.Error as error:
        raise DataError(f"{path}, after line {line}: not valid CSV ({error})") from error
    if not line:
        raise DataError(f"{path}: no rows below the header")


def _names(path: Path, task: Task) -> Mapping[str, str]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(key): str(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f'{path}: must be a JSON object of number to class name of {task}: {{"0": "…"}}'
        ) from error


def _label(cell: str, names: Mapping[str, str], task: Task, where: str) -> int:
    name = names.get(cell, cell).strip().lower()
    name = ALIASES.get(name, name)
    for index, label in enumerate(LABELS[task]):
        if label.lower() == name:
            return index
    raise DataError(
        f"{where}: label {cell!r} is no {task} class; use one of {', '.join(LABELS[task])},"
        " or map numbers to them in a labels.json beside the file"
    )
