"""Wordings of stories as packed columns, and how an older database comes by them."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from monitor.store import migrations
from monitor.store.engine import open_engine, writing
from monitor.store.migrations import migrate
from monitor.store.sql import SqlStore
from monitor.store.wordings import pack, unpack
from monitor.story.base import ToldRow

NUMBER = st.integers(-(1 << 62), 1 << 62)
ID = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
ORIGIN = st.one_of(st.just((None, None)), st.tuples(ID, NUMBER))


@st.composite
def wordings(draw: st.DrawFn) -> ToldRow:
    """Any row, its story its own in half of the cases."""
    first, (origin, origin_ms) = draw(ID), draw(ORIGIN)
    story = first if draw(st.booleans()) else draw(ID)
    number, first_ms, last_ms, of, story_ms = (draw(NUMBER) for _ in range(5))
    words = draw(st.binary(max_size=256))
    return ToldRow(number, words, first, first_ms, last_ms, origin, origin_ms, of, story, story_ms)


@given(st.lists(wordings(), max_size=5))
def test_what_is_packed_comes_back(rows: list[ToldRow]) -> None:
    assert rows == unpack(pack(rows))


def test_wordings_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version b'9'"):
        unpack(b"9" + pack([])[1:])


def test_an_older_database_keeps_its_wordings(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/monitor.db"
    engine = open_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    rows = [
        ToldRow(1, b"\x01\x02", "d1", 10, 900, None, None, 1, "d1", 10),
        ToldRow(2, b"", "d2", 20, 30, "d1", 10, 1, "d1", 10),
    ]
    with writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
        columns = ", ".join(ToldRow._fields)
        values = ", ".join(f":{name}" for name in ToldRow._fields)
        connection.execute(
            text(f"INSERT INTO stories ({columns}) VALUES ({values})"),
            [row._asdict() for row in rows],
        )

    migrate(url)

    store = SqlStore(engine)
    assert rows == store.load(0).told
    store.close()
