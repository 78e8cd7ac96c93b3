"""What is expected to be loud, from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.detect.calendar import Calendar, Event, read_calendar
from monitor.errors import ConfigError

EVENT = Event("company:US:NGT", 1_000, 2_000, "results")


def test_an_event_is_expected_while_it_overlaps() -> None:
    calendar = Calendar([EVENT])
    assert EVENT == calendar.expected("company:US:NGT", 0, 1_001)
    assert EVENT == calendar.expected("company:US:NGT", 1_999, 3_000)
    assert calendar.expected("company:US:NGT", 0, 1_000) is None
    assert calendar.expected("company:US:NGT", 2_000, 3_000) is None
    assert calendar.expected("company:US:OTHER", 1_000, 2_000) is None


def test_a_company_brings_its_topics_and_all_brings_everybody() -> None:
    calendar = Calendar([EVENT, Event("all", 5_000, 6_000, "holiday")])
    assert EVENT == calendar.expected("pair:Earnings|company:US:NGT", 1_000, 1_500)
    holiday = calendar.expected("topic:Macro", 5_500, 5_600)
    assert holiday is not None
    assert "holiday" == holiday.label


TOML = """
[[event]]
key = "company:US:NGT"
from = 2026-04-30T20:00:00Z
until = 2026-05-01T20:00:00Z
label = "results"
"""
CSV = (
    "key,from,until,label\ncompany:US:NGT,2026-04-30T20:00:00Z,2026-05-01T22:00:00+02:00,results\n"
)


@pytest.mark.parametrize(("name", "text"), [("c.toml", TOML), ("c.csv", CSV)])
def test_both_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    calendar = read_calendar(path)
    event = calendar.expected("company:US:NGT", 1_777_579_200, 1_777_579_201)
    assert Event("company:US:NGT", 1_777_579_200, 1_777_665_600, "results") == event
    assert 1 == len(calendar)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("c.toml", "[[event]\n", "c.toml: "),
        ("c.toml", TOML + "\n[other]\n", "and nothing else"),
        ("c.toml", TOML.replace("label", "lable"), "event 1: expected exactly"),
        ("c.toml", TOML.replace("company:US:NGT", "firm:NGT"), "event 1: unknown key 'firm:NGT'"),
        ("c.toml", TOML.replace("2026-05-01", "2026-04-01"), "until must be after from"),
        ("c.toml", TOML.replace("2026-05-01T20:00:00Z", "2026-05-01T20:00:00"), "needs a zone"),
        ("c.csv", CSV.replace("label", "name"), "first line must be key,from,until,label"),
        ("c.csv", CSV.replace("2026-04-30T20:00:00Z", "soon"), "line 2: from is no RFC 3339"),
        ("c.csv", CSV.replace(",results", ","), "label not empty"),
        ("c.json", "{}", "must end in .toml or .csv"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str, text: str, fault: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=fault.replace(".", r"\.")):
        read_calendar(path)


def test_a_missing_file_is_a_fault_of_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detect\.calendar: .*cannot be read"):
        read_calendar(tmp_path / "none.toml")
