"""Files as rows: JSON lines, CSV and Parquet, gzip and Zstandard; streamed, whatever their size.

The suffix says what a file is. A row that can't be read costs itself alone and is named by its
place; a file that breaks off ends with one ``ConfigError``, behind the rows that could be read.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from monitor.errors import ConfigError
from monitor.events import Reason

JSON_SUFFIXES = (".jsonl", ".ndjson")
CSV_DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET_SUFFIX = ".parquet"
COMPRESSED = (".gz", ".zst")
"""Behind the suffix of JSON lines and CSV; Parquet compresses by itself."""

_LARGEST_FIELD = 16 * 1024 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_KEPT = 256 * 1024  # bytes of a bad row that are shown
_PARQUET_ROWS = 1_000
_ZSTANDARD_STEP = 2_048  # bytes; each may hold 64 MiB of zeros
_ZSTANDARD_WINDOW = 128 << 20
_SURROGATE = re.compile("[\ud800-\udfff]").search


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file, with the names that the file gives its fields."""

    path: Path
    line: int
    """Line of a text file on which it begins, row of a Parquet file; from 1."""
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be read, or has no place in time."""

    path: Path
    line: int
    fault: str
    reason: Reason = field(default=Reason.BAD_ROW, compare=False)
    raw: bytes | None = field(default=None, compare=False, repr=False)
    """As it stands in the file, cut to 256 KiB; None where it has no bytes of its own."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.fault}"


def suffix_of(path: Path) -> tuple[str, str]:
    """What the file is and how it is compressed (empty: it isn't), by its name.

    Raises ``ConfigError`` for a name that says neither.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1] if suffixes and suffixes[-1] in COMPRESSED else ""
    kind = ("", *suffixes[: -1 if packed else None])[-1]
    if kind in JSON_SUFFIXES or kind in CSV_DELIMITERS or (kind == PARQUET_SUFFIX and not packed):
        return kind, packed
    raise ConfigError(
        f"{path}: unknown kind of file; known are "
        f"{', '.join((*JSON_SUFFIXES, *CSV_DELIMITERS, PARQUET_SUFFIX))} (one JSON object a line, "
        f"or a header), all but the last also followed by {' or '.join(COMPRESSED)}"
    )


def read_rows(path: Path) -> Iterator[Row | BadRow]:
    """The file's rows in its order, by its suffix; see `rows_in`."""
    suffix_of(path)
    try:
        with path.open("rb") as file:
            yield from rows_in(file, path)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error


def rows_in(file: BinaryIO, path: Path) -> Iterator[Row | BadRow]:
    """The rows of an open file; ``path`` names it. UTF-8; CSV with a header line.

    Raises ``ConfigError`` where the kind is unknown, the compression or the Parquet file is
    damaged, or Parquet can't be read here.
    """
    kind, packed = suffix_of(path)
    try:
        if kind == PARQUET_SUFFIX:
            yield from _parquet_rows(file, path)
            return
        with _unpacked(file, packed) as plain:
            if kind in JSON_SUFFIXES:
                yield from _json_rows(plain, path)
            else:
                yield from _csv_rows(plain, path, CSV_DELIMITERS[kind])
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise ConfigError(
            f"{path} is not a whole {packed[1:]} file ({error}); make it anew"
        ) from error


def _unpacked(file: BinaryIO, packed: str) -> _Lines:
    if packed == ".gz":
        return gzip.GzipFile(fileobj=file, mode="rb")
    # Neither may close the file, which is the caller's.
    return io.BufferedReader(_Zstandard(file) if packed else _Borrowed(file))


class _Borrowed(io.RawIOBase):
    """A file that somebody else closes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See ``io.RawIOBase``."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Zstandard(io.RawIOBase):
    """A Zstandard file of one or more frames. The library's own reader takes a file that was cut
    off for one that has ended."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame: Any = None
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See ``io.RawIOBase``. Raises ``EOFError`` within a frame, ``zstandard.ZstdError``."""
        while not self._plain:
            packed = self._file.read(_ZSTANDARD_STEP)
            if not packed:
                if self._frame is not None:
                    raise EOFError("it ends in the middle")
                return 0
            self._unpack(packed)
        part, self._plain = self._plain[: len(buffer)], self._plain[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _unpack(self, packed: bytes) -> None:
        parts = []
        while packed:
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor(
                    max_window_size=_ZSTANDARD_WINDOW
                ).decompressobj()
            parts.append(self._frame.decompress(packed))
            packed = b""
            if self._frame.eof:
                packed, self._frame = self._frame.unused_data, None
        self._plain = memoryview(b"".join(parts))


_Lines = gzip.GzipFile | io.BufferedReader


def _lines(file: _Lines, path: Path) -> Iterator[bytes]:
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            raise ConfigError(
                f"{path} has a line of more than {_LONGEST_LINE >> 20} MiB; it isn't what its "
                "name says"
            )
        yield line


def _json_rows(file: _Lines, path: Path) -> Iterator[Row | BadRow]:
    for number, line in enumerate(_lines(file, path), 1):
        if not line.strip():
            continue
        raw = line.rstrip(b"\r\n")[:_KEPT]
        try:
            fields = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            fault = f"not UTF-8: {error.reason} at byte {error.start}"
            yield BadRow(path, number, fault, Reason.NOT_UTF8, raw)
        except (ValueError, RecursionError) as error:
            yield BadRow(path, number, f"not JSON: {str(error)[:120]}", Reason.NOT_JSON, raw)
        else:
            if isinstance(fields, dict):
                yield Row(path, number, fields)
            else:
                yield BadRow(path, number, "not a JSON object", Reason.NOT_AN_OBJECT, raw)


class _Heard:
    """Lines for the CSV reader, and those that it took for its last row."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line

    def raw(self) -> bytes:
        """The bytes of the last row."""
        whole = "".join(self.taken).rstrip("\r\n")
        return whole.encode("utf-8", "surrogateescape")[:_KEPT]


def _csv_rows(file: _Lines, path: Path, delimiter: str) -> Iterator[Row | BadRow]:
    csv.field_size_limit(min(_LARGEST_FIELD, sys.maxsize))
    # A byte that is not UTF-8 must cost its row, not the file: it comes through as a surrogate.
    texts = (line.decode("utf-8", "surrogateescape") for line in _lines(file, path))
    heard = _Heard(_without_mark(texts))
    reader = csv.reader(heard, delimiter=delimiter, strict=False)
    header = next((row for row in reader if row), None)
    if header is None:
        return
    while True:
        heard.taken.clear()
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(path, line, f"not CSV: {error}", raw=heard.raw())
            continue
        if not values:
            continue
        if len(values) > len(header):
            yield BadRow(path, line, "more fields than the header has", raw=heard.raw())
        elif any(_SURROGATE(value) for value in values):
            yield BadRow(path, line, "not UTF-8", Reason.NOT_UTF8, heard.raw())
        else:
            missing: Sequence[None] = (None,) * (len(header) - len(values))
            yield Row(path, line, dict(zip(header, (*values, *missing), strict=True)))


def _without_mark(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line.removeprefix("\ufeff")
        break
    yield from lines


def _parquet_rows(file: BinaryIO, path: Path) -> Iterator[Row | BadRow]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{path}: Parquet needs pyarrow; run `pip install pyarrow`, or write JSON lines"
        ) from error
    number = 0
    try:
        table = pq.ParquetFile(file)
        for batch in table.iter_batches(batch_size=_PARQUET_ROWS):
            for fields in batch.to_pylist():
                number += 1
                try:
                    plain = {name: _plain(value) for name, value in fields.items()}
                except ValueError as error:
                    yield BadRow(path, number, str(error))
                else:
                    yield Row(path, number, plain)
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"{path} is not a Parquet file that can be read ({said}); make it anew"
        ) from error


def _plain(value: Any) -> Any:
    """What JSON can say of a Parquet value. Raises ``ValueError`` for bytes that are no text."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    if isinstance(value, date):  # pandas brings a datetime of its own
        return value.isoformat()
    return value


def _not_nan(value: float) -> float | None:
    return value if not math.isnan(value) else None  # pandas writes NaN for nothing


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError("a binary column that is no UTF-8") from None


_PLAIN: dict[type, Callable[[Any], Any]] = {
    float: _not_nan,
    bytes: _text,
    Decimal: str,
    datetime: datetime.isoformat,
    list: lambda values: [_plain(value) for value in values],
    dict: lambda values: {name: _plain(value) for name, value in values.items()},
}
