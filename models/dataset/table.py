"""Rows of CSV, TSV, JSONL and Parquet files, and all that is wrong with a file at once."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from models.errors import DataError

LISTED: Final = 20
"""Faults of a file that an error lists; the others are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, where, and how to mend it."""

    place: str  # file and row
    number: int  # of the line or row, from 1
    message: str

    def __str__(self) -> str:
        """Return the fault as one line."""
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file as read: cells by column name."""

    place: str  # "texts.csv, line 7": the line that it begins on, or "texts.parquet, row 7"
    number: int
    cells: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file that could be read, its columns, and the faults of the others."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]


def read_table(path: Path) -> Table:
    """Read a file by its suffix: .csv, .tsv, .jsonl (or .ndjson), .parquet.

    Texts are UTF-8, with or without a byte-order mark. Faults of single rows are collected.

    Raises:
        DataError: the file is missing, is of another kind, or cannot be read at all.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: files are read by their suffix, and {path.suffix or 'none'!r} is not one of"
            f" {', '.join(READERS)}; convert or rename the file"
        )
    try:
        table = reader(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if not table.rows and not table.faults:
        raise DataError(f"{path}: no rows; give a file with texts")
    return table


def complaint(faults: Sequence[Fault]) -> str:
    """Return the faults as one message: a line each up to `LISTED`, then their number."""
    lines = [str(fault) for fault in faults[:LISTED]]
    if len(faults) > LISTED:
        lines.append(f"… and {len(faults) - LISTED:,} more faults, {len(faults):,} in all")
    return "\n".join(lines)


def _text_of(path: Path) -> str:
    """Return a file's characters; bytes that are not UTF-8 become U+DC80–U+DCFF, one a byte."""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(
            f"{path}: UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8 {path.name}"
        )
    return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _unreadable(text: str) -> str | None:
    """Return what is wrong with the bytes of a row, or nothing."""
    for character in text:
        if "\udc80" <= character <= "\udcff":
            return (
                f"not UTF-8 (byte 0x{ord(character) - 0xDC00:02X}); convert the file, for"
                " Windows-1252 with: iconv -f CP1252 -t UTF-8"
            )
        if character == "\0":
            return "a NUL byte; remove it, or convert the file if it is UTF-16"
    return None


def _delimited(path: Path, delimiter: str) -> Table:
    text = _text_of(path)
    # newline="": the csv module keeps the line ends inside quoted texts.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    faults: list[Fault] = []
    columns: tuple[str, ...] | None = None
    while True:
        number = reader.line_num + 1
        place = f"{path}, line {number}"
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            faults.append(Fault(place, number, _quoting(error)))
            continue
        if not cells:
            continue  # an empty line
        if columns is None:
            if bad := _unreadable("".join(cells)):
                raise DataError(f"{place}: {bad}")
            columns = tuple(cell.strip() for cell in cells)
            if len(set(columns)) < len(columns):
                raise DataError(f"{place}: two columns of one name; rename one: {columns}")
        elif bad := _unreadable("".join(cells)):
            faults.append(Fault(place, number, bad))
        elif len(cells) != len(columns):
            faults.append(
                Fault(
                    place,
                    number,
                    f"{len(cells)} cells under a header of {len(columns)}; quote texts that hold a"
                    " delimiter, or complete the row",
                )
            )
        else:
            rows.append(Row(place, number, dict(zip(columns, cells, strict=True))))
    if columns is not None and not rows and not faults:
        raise DataError(f"{path}: no rows below the header")
    return Table(path, columns or (), tuple(rows), tuple(faults))


def _quoting(error: csv.Error) -> str:
    reason = str(error)
    if "field limit" in reason or "unexpected end" in reason:
        return f"not valid CSV: a quote that opens in this row is never closed ({reason}); close it"
    return f"not valid CSV ({reason}); double the quotes inside a quoted text"


def _json_lines(path: Path) -> Table:
    rows: list[Row] = []
    faults: list[Fault] = []
    columns: dict[str, None] = {}
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    for number, line in enumerate(_text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        if bad := _unreadable(line):
            faults.append(Fault(place, number, bad))
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.append(Fault(place, number, f"not JSON ({error}); write one object a line"))
            continue
        if not isinstance(found, dict):
            kind = type(found).__name__
            faults.append(
                Fault(place, number, f"not an object but a {kind}; write one object a line")
            )
            continue
        columns.update(dict.fromkeys(found))
        rows.append(Row(place, number, found))
    return Table(path, tuple(columns), tuple(rows), tuple(faults))


def _parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow; run: pip install 'monitor[train]'"
        ) from error
    with path.open("rb") as file:
        try:
            found = parquet.read_table(file)
            names = tuple(found.column_names)
            cells = [column.to_pylist() for column in found.columns]
        except (pa.ArrowException, ValueError, OSError) as error:
            raise DataError(f"{path}: not a readable Parquet file ({error})") from error
    rows = tuple(
        Row(f"{path}, row {number}", number, dict(zip(names, row, strict=True)))
        for number, row in enumerate(zip(*cells, strict=True), start=1)
    )
    return Table(path, names, rows, ())


READERS: Final[Mapping[str, Callable[[Path], Table]]] = MappingProxyType(
    {
        ".csv": lambda path: _delimited(path, ","),
        ".tsv": lambda path: _delimited(path, "\t"),
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".parquet": _parquet,
    }
)
"""Reader of each suffix."""
