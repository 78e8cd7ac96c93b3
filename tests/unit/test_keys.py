"""The keys of the aggregates."""

from __future__ import annotations

import pytest
from harness.samples import scored

from monitor.events import TOPICS, Mention
from monitor.keys import (
    display_name,
    is_named,
    is_of,
    keys_of,
    other_key,
    pair_key,
    pair_of,
    sort_of,
    topic_key,
)

APPLE = Mention("company:US:AAPL", "Apple", "Apple", (0.7, 0.2, 0.1))
BANK = Mention("name:northgate bank", "Northgate Bank", "Northgate", (0.7, 0.2, 0.1))


@pytest.mark.parametrize(
    ("key", "sort", "named"),
    [
        ("all", "all", False),
        ("kind:news", "kind", False),
        ("topic:Macro", "topic", False),
        ("company:US:AAPL", "company", True),
        ("name:x", "name", True),
        ("watch:w", "watch", True),
        ("pair:Macro|company:US:AAPL", "pair", True),
        ("other:company", "other", True),
    ],
)
def test_every_key_has_its_sort(key: str, sort: str, named: bool) -> None:
    assert (sort, named) == (sort_of(key), is_named(key))


@pytest.mark.parametrize("key", ["", "company:", "kind:blog", "pair:Macro|name:x", "other:topic"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="unknown key"):
        sort_of(key)


def test_a_document_counts_for_each_company_on_its_topic() -> None:
    document = scored(topic=5)._replace(mentions=(APPLE, BANK))
    pair = pair_key(5, APPLE.key)
    assert {"all", "kind:news", topic_key(TOPICS[5]), APPLE.key, BANK.key, pair} == set(
        keys_of(document)
    )
    for number, topic in enumerate(TOPICS):
        assert (topic_key(topic), APPLE.key) == pair_of(pair_key(number, APPLE.key))
        assert "pair" == sort_of(pair_key(number, APPLE.key))
    assert is_of(document, other_key("company"))
    assert is_of(document, other_key("pair"))
    assert not is_of(scored(), other_key("name"))


def test_a_pair_is_called_by_its_company_and_topic() -> None:
    key = pair_key(5, APPLE.key)
    assert f"Apple on {TOPICS[5]}" == display_name(key, {APPLE.key: "Apple"})
    assert f"AAPL (US) on {TOPICS[5]}" == display_name(key)
    assert "Other companies" == display_name("other:company")
