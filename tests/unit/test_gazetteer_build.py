"""Building the gazetteer from lists as the exchanges write them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monitor.entity.build import build
from monitor.entity.gazetteer import Row, read_rows
from monitor.errors import ConfigError

NASDAQ = [  # symbol, security, test issue, fund
    ("NORVA", "Norvane Inc. - Class A Common Stock", "N", "N"),
    ("NORV", "Norvane Inc. - Class C Capital Stock", "N", "N"),
    ("NORVW", "Norvane Inc. - Warrant", "N", "N"),
    (
        "HALD",
        "Halden Marine Holdings plc - American Depositary Shares, each representing one share",
        "N",
        "N",
    ),
    ("TREE", "Orchard, Inc. - Common Stock", "N", "N"),
    ("FUNDX", "Norvane Growth ETF", "N", "Y"),
    ("ZTEST", "Nasdaq Test Stock", "Y", "N"),
    ("File Creation Time: 0731202621:31", "", "", ""),
]
OTHER = [  # symbol, security, exchange
    ("KST.A", "Kestrel Mills Company (The) Class A Common Stock", "N"),
    ("KST", "Kestrel Mills Company (The) Common Stock", "N"),
    ("KST$B", "Kestrel Mills Company 5.85% Series B Preferred Stock", "N"),
    ("KSTN", "Kestrel Mills Company 6.75% Senior Notes due 2052", "N"),
    ("BRGT", "Brightwell Partners LP Common Units", "A"),
]
CN = """\
stock_code,short_name,exchange,list_date
000777,松林Ａ,SZ,1991-01-29
600778,海  石股份,SH,2001-08-27
000779,*ST青禾,SZ,1994-09-12
300024,机器人,SZ,2009-10-30
"""


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    with (tmp_path / "nasdaq-listed-symbols.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Symbol", "Security Name", "Test Issue", "ETF"), *NASDAQ])
    head = ("ACT Symbol", "Security Name", "Exchange", "ETF", "Test Issue")
    with (tmp_path / "other-listed.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *((*row, "N", "N") for row in OTHER)])
    (tmp_path / "all_code.csv").write_text(CN, "utf-8")
    return tmp_path


@pytest.fixture
def rows(lists: Path) -> dict[str, Row]:
    out = lists / "gazetteer.tsv.xz"
    assert 9 == build(lists, lists, out)
    return {row.key: row for row in read_rows(out)}


def test_classes_of_shares_are_one_row_and_class_a_is_the_primary_symbol(
    rows: dict[str, Row],
) -> None:
    norvane = rows["company:US:NORVA"]
    assert ("NORVA", "NORV") == norvane.tickers
    assert ("Norvane Inc.", "Norvane") == norvane.names
    assert "XNAS" == norvane.mic


def test_a_symbol_without_a_dot_comes_first(rows: dict[str, Row]) -> None:
    assert ("KST", "KST.A") == rows["company:US:KST"].tickers
    assert "Kestrel Mills" in rows["company:US:KST"].names


def test_depositary_shares_and_units_of_partnerships_are_shares(rows: dict[str, Row]) -> None:
    assert ("Halden Marine Holdings plc", "Halden Marine Holdings", "Halden Marine") == rows[
        "company:US:HALD"
    ].names
    assert "XASE" == rows["company:US:BRGT"].mic


def test_everyday_words_carry_a_mark(rows: dict[str, Row]) -> None:
    assert ("Orchard, Inc.", "~Orchard") == rows["company:US:TREE"].names
    assert ("~TREE",) == rows["company:US:TREE"].tickers
    assert ("~机器人",) == rows["company:CN:300024"].names


def test_names_of_a_shares_lose_widths_spaces_and_marks(rows: dict[str, Row]) -> None:
    assert ("松林A",) == rows["company:CN:000777"].names
    assert ("海石股份",) == rows["company:CN:600778"].names
    assert "*ST青禾" in rows["company:CN:000779"].names


def test_funds_are_known_as_no_companies(rows: dict[str, Row]) -> None:
    assert "FUNDX" in rows["others"].tickers
    assert not {"company:US:FUNDX", "company:US:ZTEST", "company:US:NORVW"} & rows.keys()


def test_the_same_lists_give_the_same_bytes(lists: Path) -> None:
    for name in ("one", "two"):
        build(lists, lists, lists / name)
    assert (lists / "one").read_bytes() == (lists / "two").read_bytes()


def test_a_list_that_is_missing_or_another_is_told_so(lists: Path) -> None:
    (lists / "all_code.csv").write_text("code,name\n1,x\n", "utf-8")
    with pytest.raises(ConfigError, match="lacks the columns exchange, short_name, stock_code"):
        build(lists, lists, lists / "out")
    (lists / "other-listed.csv").unlink()
    with pytest.raises(ConfigError, match=r"docs/entities\.md says where"):
        build(lists, lists, lists / "out")
