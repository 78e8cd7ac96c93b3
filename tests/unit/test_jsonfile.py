"""What commands write for ``--json``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.errors import ConfigError
from monitor.jsonfile import write_json


def test_what_is_no_number_is_null_however_deep_and_the_rest_as_it_is(tmp_path: Path) -> None:
    value = {"a": (float("nan"), [float("-inf"), 0.1 + 0.2]), "b": {"ü": None, "n": True}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text("utf-8")
    expected = {"a": [None, [None, 0.1 + 0.2]], "b": {"ü": None, "n": True}}
    assert expected == json.loads(text, parse_constant=pytest.fail)
    assert text.endswith("}\n") and "ü" in text


def test_a_file_that_cannot_be_written_names_the_option_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "none" / "x.json"
    with pytest.raises(ConfigError, match=r"--json .*x\.json: cannot be written \(No such file"):
        write_json(path, {})
