"""Tables of companies and stories."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.samples import MONDAY, moment, scored

from dashboards import named
from monitor.events import Bucket, Mention, Scored
from monitor.store.base import Commit
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.named import KeySums, StorySums, named_keys, names, top_stories
from monitor.store.sql import SqlStore

SINCE, UNTIL = moment(MONDAY), moment(MONDAY + 7200)


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    url = f"sqlite:///{tmp_path}/named.db"
    migrate(url)
    store = SqlStore(open_engine(url))
    store.load(0)
    return store


def told(number: int, story: int, author: str | None, source: str) -> Scored:
    found = scored(number, MONDAY + 60 * number)
    document = found.document._replace(author=author, source=source, title=f"Title {number}")
    return found._replace(
        document=document,
        story=f"d{story}",
        mentions=(Mention("company:US:ABC", "Abc Corp.", "Abc", (0.5, 0.25, 0.25)),),
    )


def test_keys_that_texts_name_come_with_their_names_most_voices_first(store: SqlStore) -> None:
    store.apply(
        Commit(
            documents=[told(1, 1, None, "wire")],
            buckets=[
                Bucket("company:US:ABC", MONDAY, 3, 2, 1, -500, posts=4),
                Bucket("company:US:ABC", MONDAY + 300, 2, 1, 0, -100, posts=2),
                Bucket("name:northgate", MONDAY, 9, 0, 0, 0, posts=9),
                Bucket("watch:rates", MONDAY, 1, 1, 0, 0, posts=1),
                Bucket("watch:gone", MONDAY, 0, 0, 0, 0, posts=3),
                Bucket("all", MONDAY, 50, 0, 0, 0, posts=60),
                Bucket("company:US:OLD", MONDAY - 300, 5, 5, 0, 0, posts=5),
            ],
        )
    )
    engine = store._engine
    expected = [
        KeySums("name:northgate", "northgate", 9, 0, 0, 0, 9),
        KeySums("company:US:ABC", "Abc Corp.", 5, 3, 1, -600, 6),
        KeySums("watch:rates", "rates", 1, 1, 0, 0, 1),
    ]
    assert expected == named_keys(engine, SINCE, UNTIL)
    assert expected[1:2] == named_keys(engine, SINCE, UNTIL, ("company",))
    assert expected[:1] == named_keys(engine, SINCE, UNTIL, limit=1)
    assert {"company:US:ABC": "Abc Corp."} == names(engine, ["company:US:ABC", "name:northgate"])


def test_a_story_is_as_big_as_the_voices_that_told_it(store: SqlStore) -> None:
    batch = [
        told(1, 1, None, "wire"),
        told(2, 1, None, "wire"),
        told(3, 1, "ann", "forum"),
        told(4, 4, "ann", "forum"),
        told(5, 4, "bob", "forum"),
        told(6, 4, "cyd", "forum"),
        told(500, 500, None, "wire"),
    ]
    store.apply(Commit(documents=batch))
    first, second = top_stories(store._engine, SINCE, UNTIL)
    assert (
        StorySums("d4", "Title 4", 3, 3, 3, moment(MONDAY + 240), moment(MONDAY + 360), 1) == first
    )
    assert ("d1", 3, 2, 2) == (second.story, second.posts, second.voices, second.sources)
    assert [first] == top_stories(store._engine, SINCE, UNTIL, limit=1)


def test_too_few_voices_are_insufficient_evidence_and_no_share() -> None:
    few, many = KeySums("name:x", "x", 2, 2, 0, -9, 2), KeySums("watch:y", "y", 40, 10, 5, 90, 50)
    frame = named.companies([few, many])
    assert ["other name", "watched"] == frame["sort"].tolist()
    assert [True, False] == frame["share"].isna().tolist()
    assert ["insufficient evidence", "16 – 38 %"] == frame["interval"].tolist()


def test_a_story_says_how_long_it_lasted() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    row = StorySums("d1", "Orders fell", 4, 3, 1, at, at + timedelta(hours=3), 2)
    shown = named.stories([row])
    assert "<bdi>Orders fell</bdi>" in shown
    assert "from 2026-03-02 00:00, for 3 h, 2 sources" in shown
    assert ["3", "4", "25 %"] == re.findall(r'<td class="m-n">(.*?)</td>', shown)


def test_the_title_of_a_story_is_text_whatever_it_holds() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    shown = named.stories([StorySums("d1", "<b>x</b>", 1, 1, 0, at, at, 1)])
    assert "<bdi>&lt;b&gt;x&lt;/b&gt;</bdi>" in shown
    assert "for 0 s, 1 source<" in shown


def test_an_empty_window_has_an_empty_table() -> None:
    assert named.companies([]).empty
