"""Conditions on labels, read and applied as Alertmanager does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import ConfigError
from monitor.matchers import Matcher, all_match, parse

LABELS = {"topic": "Energy | Oil", "severity": "critical", "quote": 'a"b'}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('severity="critical"', True),
        ("severity=critical", True),
        (" severity = critical ", True),
        ('severity!="critical"', False),
        ('topic="Energy | Oil"', True),
        ('topic=~"Energy.*|Banks"', True),
        ('topic=~"Energy"', False),
        ('topic!~"Energy"', True),
        ('topic!~"Energy.*"', False),
        ('company=""', True),
        ("company=", True),
        ('company!=""', False),
        ('company=~".+"', False),
        (r'quote="a\"b"', True),
    ],
)
def test_a_matcher_matches_the_whole_value(text: str, matches: bool) -> None:
    assert parse(text).matches(LABELS) is matches
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    "text", ["", "severity", "=critical", "sev erity=x", 'a="b', "a=~[", "1a=b"]
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


@given(st.text(max_size=50))
def test_what_is_written_is_read_again(value: str) -> None:
    assert parse(str(Matcher("a", "=", value))) == Matcher("a", "=", value)


def test_all_conditions_have_to_hold_and_none_is_no_hindrance() -> None:
    assert all_match([], LABELS)
    assert all_match([parse("severity=critical"), parse("topic=~.*Oil")], LABELS)
    assert not all_match([parse("severity=critical"), parse("topic=Banks")], LABELS)
