"""What the lab reads of a database, whichever it is: documents as they came, and whom they name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.events import Document, Kind, Mention, Origin, Partition, Scored
from monitor.lab import history
from monitor.lab.history import History
from monitor.store import schema
from monitor.store.base import Commit, Move, Position
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.sql import SqlStore

T0 = datetime(2026, 3, 9, 12, tzinfo=UTC)
COUNT = 23


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    in_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'lab.db'}" if in_file else request.getfixturevalue("postgres_url")
    migrate(url)
    opened = open_engine(url)
    with opened.begin() as connection:
        for table in schema.metadata.tables.values():
            connection.execute(table.delete())
    yield opened
    opened.dispose()


def scored(number: int) -> Scored:
    """Ids are in no order; every third names nobody, the others one or two."""
    document = Document(
        id=f"{number * 7 % COUNT:02d}",
        kind=Kind.COMMENT if number % 4 else Kind.NEWS,
        source=f"source {number % 3}",
        published_at=T0 + timedelta(minutes=number, milliseconds=5),
        title=f"Title {number}",
        text="A text.",
        url=None,
        author="abc" if number % 2 else None,
        lang=None,
        tickers=(),
        origin=Origin("news", 0, number),
        appended_at=T0,
    )
    named = tuple(
        Mention(f"company:US:{name}", name, name, (0.7, 0.2, 0.1)) for name in "BA"[: number % 3]
    )
    return Scored(document, (0.3, 0.6, 0.1), 3, 0.9, "m1", T0, mentions=named)


@pytest.mark.parametrize("page", [2, 5, 4096])
def test_documents_come_as_they_were_polled_with_what_they_name(
    engine: Engine, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_PAGE", page)
    store = SqlStore(engine)
    store.load(0)
    told = [scored(number) for number in range(COUNT)]
    polled = [T0 + timedelta(seconds=second) for second in range(0, COUNT, 2)]
    for i, now in enumerate(polled):
        store.apply(Commit(documents=told[2 * i : 2 * i + 2], now=now))

    pages = list(History(engine).pages(texts=True))

    read = [known for each in pages for known in each.documents]
    assert [one.document.id for one in told] == [known.heard.id for known in read]
    assert [sorted(m.key for m in one.mentions) for one in told] == [
        sorted(view.key for view in known.heard.views) for known in read
    ]
    assert {0} == {view.sentiment for known in read for view in known.heard.views}
    assert {Partition("news", 0)} == {known.place for known in read}
    assert [f"Title {number}" for number in range(COUNT)] == [
        known.content.title for known in read if known.content is not None
    ]
    assert [now.timestamp() for now in polled] == [at for each in pages for at in each.at]


def test_what_lay_there_before_it_was_read_is_known_by_partition(engine: Engine) -> None:
    store = SqlStore(engine)
    store.load(0)
    news, comments = Partition("news", 0), Partition("comments", 3)
    polls = [(T0 + timedelta(milliseconds=50), news), (T0 + timedelta(minutes=5), comments)]
    for number, (now, place) in enumerate(polls):
        each = scored(number)
        origin = Origin(place.topic, place.number, 0)
        document = each.document._replace(origin=origin)
        position = Position(1, document.published_at)
        store.apply(
            Commit(
                documents=[each._replace(document=document)],
                moves=[Move(place, None, position)],
                now=now,
            )
        )

    backlog = History(engine).backlog()

    start = T0.timestamp()
    assert {news, comments} == set(backlog.partitions)
    assert start == backlog.since(start - 1)
    assert [news] == backlog.at_end(start + 299)
    assert inf == backlog.since(start + 300)
