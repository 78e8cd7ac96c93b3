"""Texts of a file, labelled or not, to try explanations on."""

from pathlib import Path

import numpy as np

from models.dataset.read import Columns, lines_of, texts_with_places
from models.dataset.table import READERS, Table, read_table
from models.errors import DataError


def drawn(path: Path, split: str | None, limit: int, seed: int) -> list[str]:
    """Return at most `limit` texts of a table's column `text`, or of a text file's lines.

    Raises:
        DataError: it cannot be read, or has no text (of the split).
    """
    if path.suffix.lower() in READERS:
        texts = _of_table(path, split)
    elif split is None:
        texts = lines_of(path)
    else:
        raise DataError(f"{path}: a file of lines has no column split; drop --split")
    if len(texts) <= limit:
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), limit, replace=False)
    return [texts[index] for index in sorted(chosen)]


def _of_table(path: Path, split: str | None) -> list[str]:
    table = read_table(path)
    if split is not None:
        column = Columns().split
        if column not in table.columns:
            raise DataError(f"{path}: no column {column}; drop --split or add the column")
        rows = tuple(row for row in table.rows if row.cells.get(column) == split)
        if not rows:
            raise DataError(f"{path}: no row whose {column} is {split!r}; check --split")
        table = Table(table.path, table.columns, rows, table.faults)
    return [text for _, text in texts_with_places(table)]
