"""Parts of a file written beside each other, rows and columns as they were."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.dataset.table import Table
from models.errors import DataError


def write_parts(table: Table, parts: Mapping[str, Sequence[int]], folder: Path) -> list[Path]:
    """Write each part's rows (indices into `table.rows`) in the format of the table's file.

    The files are `NAME` + suffix; a `labels.json` beside the source is copied, so that numbers
    keep their meaning. All files are written under other names first: a fault leaves none.

    Raises:
        DataError: a file exists already, or the folder cannot be written.
    """
    suffix = table.path.suffix.lower()
    targets = {name: folder / f"{name}{suffix}" for name in parts}
    if taken := [path for path in targets.values() if path.exists()]:
        raise DataError(f"{taken[0]}: exists already; choose another --out, or remove it")
    waiting = {path: path.with_name(f".{path.name}.part") for path in targets.values()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in parts.items():
            _write(table, rows, waiting[targets[name]], suffix)
        names = table.path.with_name("labels.json")
        if names.exists() and not (folder / "labels.json").exists():
            shutil.copyfile(names, folder / "labels.json")
        for path, temporary in waiting.items():
            temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    finally:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)
    return list(targets.values())


def _write(table: Table, rows: Sequence[int], path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        from pyarrow import parquet

        parquet.write_table(parquet.read_table(table.path).take(list(rows)), path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if suffix in {".jsonl", ".ndjson"}:
            for row in rows:
                line = json.dumps(dict(table.rows[row].cells), ensure_ascii=False)
                file.write(line + "\n")
            return
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([table.rows[row].cells[name] for name in table.columns] for row in rows)
