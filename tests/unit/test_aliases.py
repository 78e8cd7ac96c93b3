"""Alias files: read, checked, and stronger than what is shipped."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from monitor.entity.aliases import load_aliases
from monitor.entity.gazetteer import SHIPPED, Row, compiled, load, read_rows
from monitor.entity.link import Linker
from monitor.errors import ConfigError

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def written(folder: Path, text: str) -> Path:
    path = folder / "aliases.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_says_every_fault_with_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        ignored = ["x"]
        ignore = ["Blue Monday", "..."]
        [organisations]
        "Norvane" = "Norvane AG"
        [companies]
        "NORV" = ["Norvane"]
        "NO:NORV" = []
        "NO:HALD" = { aliases = ["Halden"] }
        "NO:KEST" = { name = "Kestrel", alias = ["K"], delisted = "last year" }
        "NO:BRIG" = ["Brightwell", { name = "Bright", since = 2024-02-01, until = 2023-02-01 }]
        """,
    )
    with pytest.raises(ConfigError) as caught:
        load_aliases(path)
    head, *faults = str(caught.value).splitlines()
    assert f"{path}: 9 faults in the alias file" == head
    places = {line.strip().split(": ")[0] for line in faults}
    assert places == {
        "ignored",
        "ignore[1]",
        "organisations.Norvane",
        "companies.NORV",
        "companies.NO:NORV",
        "companies.NO:HALD.name",
        "companies.NO:KEST.alias",
        "companies.NO:KEST.delisted",
        "companies.NO:BRIG[1]",
    }
    assert "must be a date such as 2022-10-28 (found 'last year')" in str(caught.value)


def test_a_date_may_be_a_text_as_well(tmp_path: Path) -> None:
    file = load_aliases(
        written(tmp_path, '[companies]\n"NO:KEST" = { name = "Kestrel", delisted = "2022-10-28" }')
    )
    assert date(2022, 10, 28) == file.companies["company:NO:KEST"].delisted


@pytest.mark.parametrize(("text", "why"), [("a = ", "is not TOML"), (None, "cannot be read")])
def test_a_file_that_is_none_is_told_so(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "aliases.toml" if text is None else written(tmp_path, text)
    with pytest.raises(ConfigError, match=why):
        load_aliases(path)


def test_the_user_s_names_win_over_the_shipped_ones(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        ignore = ["Tesla"]
        [companies]
        "US:JPM" = { name = "JPMorgan", aliases = ["the house of Dimon"] }
        "NO:NORV" = ["Norvane Shipping", "Boeing"]
        """,
    )
    linker = Linker(load(aliases=path))
    text = "Tesla, the house of Dimon, JPMorgan, Boeing and Airbus said so."
    found = [(link.surface, link.key) for link in linker.link(text, (), (), NOW)]
    assert found == [
        ("the house of Dimon", "company:US:JPM"),
        ("JPMorgan", "company:US:JPM"),
        ("Boeing", "company:NO:NORV"),
        ("Airbus", "company:FR:AIR"),
    ]


def test_a_name_counts_within_its_dates(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[companies]\n"NO:NORV" = ["Norvane", { name = "Nordfrakt", until = 2020-05-31 }]\n'
        '"NO:HALD" = ["Halden", { name = "Nordfrakt", since = 2024-01-01 }]',
    )
    linker = Linker(compiled([], [load_aliases(path)]))

    def keys(year: int) -> list[str]:
        at = datetime(year, 3, 1, tzinfo=UTC)
        return [link.key for link in linker.link("Shares of Nordfrakt fell.", (), (), at)]

    assert ["company:NO:NORV"] == keys(2020)
    assert [] == keys(2022)
    assert ["company:NO:HALD"] == keys(2024)


def test_words_nearby_speak_against_a_common_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[companies]\n"NO:TERN" = { name = "Tern", common = ["Tern"], unless = ["arctic"] }',
    )
    linker = Linker(compiled([], [load_aliases(path)]))
    company, bird = "Analysts at Tern told investors so.", "An arctic Tern flew over investors."
    assert ["company:NO:TERN"] == [link.key for link in linker.link(company, (), (), NOW)]
    assert [] == linker.link(bird, (), (), NOW)


def test_the_shipped_aliases_of_a_listed_company_use_its_key() -> None:
    """A key of no list belongs to a company that is delisted or listed elsewhere."""
    listed = {row.key for row in read_rows(SHIPPED / "gazetteer.tsv.xz")}
    file = load_aliases(SHIPPED / "aliases.toml")
    chinese = [k for k in file.companies if k.startswith("company:CN:") and k not in listed]
    assert [] == chinese
    american = [
        key
        for key, listing in file.companies.items()
        if key.startswith("company:US:") and key not in listed and listing.delisted is None
    ]
    assert len(american) < 30, american


def test_classes_of_shares_are_one_company() -> None:
    gazetteer = compiled(
        [Row("company:US:NORA", "XNYS", ("NORA", "NOR"), "Norvane Inc.", ("Norvane Inc.",))], []
    )
    assert "company:US:NORA" == gazetteer.resolve("US:NOR") == gazetteer.resolve("company:US:NORA")
    assert gazetteer.resolve("US:XXX") is None


def test_a_file_that_is_no_gazetteer_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "gazetteer.tsv.xz"
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"is no gazetteer .* `monitor gazetteer build`"):
        load(gazetteer=path)
