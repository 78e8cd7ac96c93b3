"""Files as rows: what is damaged is named, and a file that breaks off is never taken for whole."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from monitor.errors import ConfigError
from monitor.events import Reason
from monitor.source.files import FieldMap, load
from monitor.source.table import BadRow, Row, read_rows, suffix_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LINES = b"".join(b'{"n": %d}\n' % n for n in range(5_000))

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def table(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "A.JSONL"])
def test_a_packed_file_has_the_rows_of_the_plain_one(
    tmp_path: Path, suffix: str, name: str
) -> None:
    plain, packed = tmp_path / name, tmp_path / f"{name}{suffix}"
    plain.write_bytes(LINES)
    packed.write_bytes(PACK[suffix](LINES[:1_000]) + PACK[suffix](LINES[1_000:]))

    expected = [(r.line, r.fields) for r in read_rows(plain) if isinstance(r, Row)]
    assert expected == [(r.line, r.fields) for r in read_rows(packed) if isinstance(r, Row)]
    assert 5_000 == len(expected)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("left", [0.5, 0.99])
def test_a_packed_file_that_was_cut_off_is_told_behind_its_last_row(
    tmp_path: Path, suffix: str, left: float
) -> None:
    whole = PACK[suffix](LINES)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(whole[: int(len(whole) * left)])
    found: list[Row | BadRow] = []

    with pytest.raises(ConfigError, match=rf"a\.jsonl\{suffix} is not a whole .* file"):
        found.extend(read_rows(path))


@pytest.mark.parametrize("suffix", PACK)
def test_what_is_not_packed_as_its_name_says_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ConfigError, match="is not a whole"):
        list(read_rows(path))


def test_a_bomb_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(80 << 20)))
    with pytest.raises(ConfigError, match="a line of more than 64 MiB"):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["a.gz", "a.json", "a.parquet.gz", "a", "jsonl", "a.csv.bz2"])
def test_a_name_that_does_not_say_what_it_is_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown kind of file; known are \.jsonl"):
        suffix_of(Path(name))


def test_parquet_says_its_values_as_json_can(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.parquet",
        id=[7, 8],
        ts=pa.array([NOON, None], pa.timestamp("ms", tz="Europe/Berlin")),
        day=[date(2026, 3, 2), None],
        price=[Decimal("1.50"), None],
        share=[0.5, float("nan")],
        text=[b"caf\xc3\xa9", None],
        tickers=[["A", "B"], []],
    )

    first, second = read_rows(path)

    assert isinstance(first, Row) and isinstance(second, Row)
    assert {
        "id": 7,
        "ts": "2026-03-02T13:00:00+01:00",
        "day": "2026-03-02",
        "price": "1.50",
        "share": 0.5,
        "text": "café",
        "tickers": ["A", "B"],
    } == first.fields
    assert [None] * 5 == [second.fields[n] for n in ("ts", "day", "price", "share", "text")]
    json.dumps(dict(first.fields), allow_nan=False)


def test_parquet_goes_the_way_of_every_file(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", n=[1, 2], at=[NOON, NOON], said=["one", "two"])

    messages, unreadable, _ = load(
        [path], FieldMap.parse("id=n,published_at=at,text=said,source==x")
    )

    assert 0 == unreadable
    assert {
        "id": "1",
        "source": "x",
        "published_at": "2026-03-02T12:00:00Z",
        "text": "one",
    } == json.loads(messages[0].value)


def test_times_of_parquet_in_nanoseconds_and_without_a_zone(tmp_path: Path) -> None:
    at = pa.array([1_772_452_800_123_456_789], pa.timestamp("ns"))
    path = table(tmp_path / "a.parquet", published_at=at, title=["t"])
    assert 1 == load([path], FieldMap())[1]
    (message,), _, _ = load([path], FieldMap(assume_utc=True))
    assert NOON.replace(microsecond=123_456) == message.published_at


def test_rows_of_parquet_that_are_no_text_cost_themselves(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", text=[b"\xff", b"fine"])
    bad, good = read_rows(path)
    assert BadRow(path, 1, "a binary column that is no UTF-8") == bad
    assert Row(path, 2, {"text": "fine"}) == good


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n"])
def test_a_damaged_parquet_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not a Parquet file that can be read"):
        list(read_rows(path))


def test_a_machine_without_pyarrow_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path / "a.parquet", n=[1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match="pip install pyarrow"):
        list(read_rows(path))


def test_a_bad_row_keeps_its_bytes_and_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1\r\n[1]\ncaf\xe9\n')
    found = [(r.reason, r.raw) for r in read_rows(path) if isinstance(r, BadRow)]
    assert [
        (Reason.NOT_JSON, b'{"a": 1'),
        (Reason.NOT_AN_OBJECT, b"[1]"),
        (Reason.NOT_UTF8, b"caf\xe9"),
    ] == found


def test_a_bad_row_of_csv_keeps_its_bytes_over_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\r\n"x\ny\xe9",2\r\n1,2,3\r\n4,5\r\n')
    first, second, last = read_rows(path)
    assert isinstance(first, BadRow) and isinstance(second, BadRow)
    assert (2, Reason.NOT_UTF8, b'"x\ny\xe9",2') == (first.line, first.reason, first.raw)
    assert (4, Reason.BAD_ROW, b"1,2,3") == (second.line, second.reason, second.raw)
    assert Row(path, 5, {"a": "4", "b": "5"}) == last
