"""Watch lists: companies, names and patterns; every fault at the start."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitor.config import load_settings
from monitor.entity.entities import open_entities
from monitor.entity.gazetteer import Gazetteer, load
from monitor.entity.link import Linker
from monitor.entity.watch import WatchItem, WatchList
from monitor.errors import ConfigError

AT = datetime(2023, 3, 10, tzinfo=UTC)


@cache
def gazetteer() -> Gazetteer:
    return load()


def watched(text: str, *items: WatchItem) -> list[str]:
    links = Linker(gazetteer()).link(text, (), (), AT)
    return WatchList(items, gazetteer()).match(text, links)


def item(identifier: str = "desk", **parts: tuple[str, ...]) -> WatchItem:
    return WatchItem.model_validate({"id": identifier, **parts})


def test_a_company_is_watched_by_any_of_its_keys() -> None:
    alphabet = item("alphabet", companies=("US:GOOG",))
    assert ["alphabet"] == watched("Google opens an office in Oslo.", alphabet)
    assert [] == watched("Nokia opens an office in Oslo.", alphabet)


def test_an_unlisted_organisation_is_watched_by_its_name() -> None:
    desk = item(companies=("name:The Halden Marine Bank, Ltd",))
    assert ["desk"] == watched("Depositors of Halden Marine Bank queued in the rain.", desk)


def test_people_and_products_are_whole_words_in_any_case() -> None:
    desk = item(names=("Ingrid Solvik", "steam engine", "钢铁侠"))
    assert ["desk"] == watched("A talk by INGRID SOLVIK was cancelled.", desk)
    assert ["desk"] == watched("The Steam  engine, reborn".replace("  ", " "), desk)
    assert ["desk"] == watched("他看了钢铁侠。", desk)
    assert [] == watched("Ingrid Solviksen spoke about steam engineering.", desk)


def test_patterns_search_the_text() -> None:
    desk = item(patterns=(r"(?i)\bbank runs?\b",))
    assert ["desk"] == watched("A Bank Run in slow motion", desk)
    assert [] == watched(
        "The bank runs-up costs of riverbank running".replace("runs-", "run"), desk
    )


def test_a_document_counts_once_for_each_item() -> None:
    first = item("first", companies=("US:GOOGL",), names=("Google",), patterns=("Goo",))
    second = item("second", names=("Oslo",))
    assert ["first", "second"] == watched("Google and Google in Oslo, Oslo", second, first)


def test_a_pattern_that_would_backtrack_is_linear() -> None:
    desk = item(patterns=("(a+)+$",))
    assert [] == WatchList([desk], gazetteer()).match("a" * 40_000 + "b", ())


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing"),
        (r"(?=look)", "invalid perl operator"),
        (r"(a)\1", "invalid escape"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        ("a*", "matches an empty text"),
        ("x" * 501, "at most 500 characters"),
    ],
)
def test_a_pattern_that_cannot_be_watched_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        item(patterns=(pattern,))


def test_an_item_that_watches_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="watches nothing"):
        item()


def test_unknown_companies_and_twin_ids_are_told_together() -> None:
    items = [item("a", companies=("US:NOSUCH",)), item("a", companies=("XX:1", "US:JPM"))]
    with pytest.raises(ConfigError) as caught:
        WatchList(items, gazetteer())
    first, second, third = str(caught.value).splitlines()
    assert "watch 'a': the id occurs 2 times" == first
    assert "unknown company 'US:NOSUCH'" in second
    assert "unknown company 'XX:1'" in third


def test_the_faults_of_all_files_are_told_together(tmp_path: Path) -> None:
    aliases, watch = tmp_path / "aliases.toml", tmp_path / "watch.toml"
    aliases.write_text('[companies]\n"NORV" = ["Norvane"]\n', "utf-8")
    watch.write_text('nothing = 1\n[[watch]]\nid = "Ä"\npatterns = ["("]\n', "utf-8")
    with pytest.raises(ConfigError) as caught:
        open_entities(aliases=aliases, watch_file=watch)
    told = str(caught.value)
    assert f"{aliases}: 1 fault in the alias file" in told
    assert f"{watch}: 3 faults in the watch list" in told
    assert {"nothing", "watch.0.id", "watch.0.patterns"} <= {
        line.strip().split(":")[0] for line in told.splitlines()
    }


def test_the_configuration_holds_items_and_tells_their_faults(tmp_path: Path) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text('[[entities.watch]]\nid = "desk"\ncompanies = ["US:JPM"]\n', "utf-8")
    settings = load_settings(path, {})
    assert (item(companies=("US:JPM",)),) == settings.entities.watch
    path.write_text(
        "[entities]\nproduct = true\n"
        '[[entities.watch]]\nid = "desk"\npatterns = ["("]\n'
        '[[entities.watch]]\nid = "other"\nname = ["x"]\n',
        "utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    places = {line.strip().split(":")[0] for line in str(caught.value).splitlines()[1:]}
    expected = {"entities.product", "entities.watch.0.patterns", "entities.watch.1.name"}
    assert expected <= places


def test_a_user_s_company_can_be_watched(tmp_path: Path) -> None:
    aliases = tmp_path / "aliases.toml"
    aliases.write_text('[companies]\n"NO:NORV" = ["Norvane Shipping"]\n', "utf-8")
    entities = open_entities(aliases=aliases, watch=[item(companies=("NO:NORV",))])
    text = "Norvane Shipping bought eleven ships."
    links = entities.linker.link(text, (), (), AT)
    assert ["desk"] == entities.watch.match(text, links)
