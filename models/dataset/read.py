"""Labelled texts from files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from models.backbone import file_sha256
from models.dataset.corpus import ATTRIBUTES, Corpus
from models.dataset.table import Fault, Row, Table, complaint, read_table
from models.errors import DataError
from models.labels import ALIASES, LABELS, TASKS, Task


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a file's columns.

    Without `label`, the labels stand in the column `sentiment` or `topic` where there is one, else
    in `label`.
    """

    text: str = "text"
    label: str | None = None
    split: str = "split"


COLUMNS: Final = Columns()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What could be read of a file for one task, and all faults of the other rows."""

    corpus: Corpus
    faults: tuple[Fault, ...]


def load(path: Path, task: Task, *, columns: Columns = COLUMNS, split: str | None = None) -> Loaded:
    """Read a CSV, TSV, JSONL or Parquet file and collect the faults of its rows.

    A label is a class name of the task (any case; `Bullish` and `Bearish` are understood), or a
    number that the file `labels.json` in the same folder maps to such a name. Where a file has
    columns of both tasks, a row without a label of this task is passed over.

    Args:
        path: the file; its suffix tells how to read it.
        task: whose labels to read.
        columns: the names of the columns.
        split: read only the rows whose column `split` has this value; all rows without.

    Raises:
        DataError: the file cannot be read at all, or lacks a column.
    """
    table = read_table(path)
    column = _label_column(table, task, columns)
    _demand(table, (columns.text, column, *([columns.split] if split is not None else [])))
    names = _names(path.with_name("labels.json"), task)
    other = next(t for t in TASKS if t != task)
    faults = list(table.faults)
    texts: list[str] = []
    labels: list[int] = []
    kept: list[Row] = []
    for row in table.rows:
        try:
            text = _text(row.cells.get(columns.text))
            if column == task and _blank(row.cells.get(column)) and row.cells.get(other):
                continue
            label = _label(row.cells.get(column), names, task)
            part = None if split is None else _split(row.cells.get(columns.split))
        except DataError as error:
            faults.append(Fault(row.place, row.number, str(error)))
            continue
        if part == split:
            texts.append(text)
            labels.append(label)
            kept.append(row)
    corpus = Corpus(
        task=task,
        texts=tuple(texts),
        labels=np.asarray(labels, np.int64),
        path=path,
        sha256=file_sha256(path),
        places=tuple(row.place for row in kept),
        attributes={
            name: tuple(_attribute(row.cells.get(name)) for row in kept)
            for name in ATTRIBUTES
            if name in table.columns
        },
    )
    return Loaded(corpus, tuple(sorted(faults, key=lambda fault: fault.number)))


def read(path: Path, task: Task, *, columns: Columns = COLUMNS, split: str | None = None) -> Corpus:
    """Read a file of labelled texts as `load` does; no row may be faulty.

    Raises:
        DataError: the file cannot be read, lacks a column, or has faulty rows: all are named.
    """
    found = load(path, task, columns=columns, split=split)
    if found.faults:
        raise DataError(complaint(found.faults))
    if not len(found.corpus):
        part = "" if split is None else f" of the split {split!r}"
        raise DataError(f"{path}: no text{part} with a label of {task}; add some")
    return found.corpus


def read_corpus(path: Path, task: Task, split: str = "train") -> Corpus:
    """Read the rows of one split of a corpus: text, split, and a class name for each task.

    Raises:
        DataError: as `read`.
    """
    return read(path, task, split=split)


def texts_of(path: Path, *, columns: Columns = COLUMNS) -> list[str]:
    """Return the texts of a file, whatever its labels.

    Raises:
        DataError: the file cannot be read, lacks the column, or has faulty rows: all are named.
    """
    return [text for _, text in texts_with_places(read_table(path), columns)]


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        found = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 ({error}); check the file") from error
    if not found:
        raise DataError(f"{path}: holds no text; give one with a text on each line")
    return found


def texts_with_places(table: Table, columns: Columns = COLUMNS) -> Iterator[tuple[str, str]]:
    """Return (place, text) of each row; raises as `texts_of`."""
    _demand(table, (columns.text,))
    faults = list(table.faults)
    found: list[tuple[str, str]] = []
    for row in table.rows:
        try:
            found.append((row.place, _text(row.cells.get(columns.text))))
        except DataError as error:
            faults.append(Fault(row.place, row.number, str(error)))
    if faults:
        raise DataError(complaint(sorted(faults, key=lambda fault: fault.number)))
    return iter(found)


def tasks_of(path: Path, *, columns: Columns = COLUMNS) -> tuple[Task, ...]:
    """Return the tasks that a file has labels of: its columns, else the task that its labels fit.

    Raises:
        DataError: the file cannot be read, or its labels fit neither task, or both.
    """
    table = read_table(path)
    named = tuple(task for task in TASKS if task in table.columns)
    if columns.label is None and named:
        return named
    column = columns.label or "label"
    _demand(table, (columns.text, column))
    fitting: dict[Task, int] = dict.fromkeys(TASKS, 0)
    for task in TASKS:
        try:
            names = _names(path.with_name("labels.json"), task)
        except DataError:
            continue
        for row in table.rows:
            try:
                _label(row.cells.get(column), names, task)
            except DataError:
                continue
            fitting[task] += 1
    best = max(fitting.values())
    found = tuple(task for task, rows in fitting.items() if rows == best)
    if not best or len(found) > 1:
        raise DataError(
            f"{path}: the column {column} names no class of {' or '.join(TASKS)};"
            " say which it holds with --task, or map numbers in a labels.json beside the file"
        )
    return found


def _label_column(table: Table, task: Task, columns: Columns) -> str:
    if columns.label is not None:
        return columns.label
    return task if task in table.columns else "label"


def _demand(table: Table, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing and table.columns:
        raise DataError(
            f"{table.path}: no column {', '.join(missing)} (there are"
            f" {', '.join(table.columns)}); rename yours, or say which it is: data has --text and"
            " --label"
        )
    if missing:
        raise DataError(complaint(table.faults))


def _blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _text(cell: object) -> str:
    if _blank(cell):
        raise DataError("empty text; remove the row")
    if not isinstance(cell, str):
        raise DataError(f"the text is a {type(cell).__name__}, not a string; quote it")
    if any("\ud800" <= character <= "\udfff" for character in cell):
        raise DataError("half of a surrogate pair in the text; escape whole characters")
    return cell


def _split(cell: object) -> str:
    if isinstance(cell, str) and cell:
        return cell
    raise DataError("no split; write train or test")


def _attribute(cell: object) -> str:
    return "" if cell is None else str(cell)


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


def _label(cell: object, names: Mapping[str, str], task: Task) -> int:
    if _blank(cell):
        raise DataError("no label; add one, or remove the row")
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a table with gaps turns whole numbers into 1.0
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        raise DataError(f"the label is a {type(cell).__name__}; write a class name or a number")
    key = str(cell).strip()
    name = names.get(key, key).strip().lower()
    name = ALIASES.get(name, name)
    for index, label in enumerate(LABELS[task]):
        if label.lower() == name:
            return index
    raise DataError(
        f"label {cell!r} is no {task} class; use one of {', '.join(LABELS[task])},"
        " or map numbers to them in a labels.json beside the file"
    )
