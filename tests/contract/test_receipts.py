"""Receipts and the documents that they list, whichever database is behind them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from harness.alerts import an_alert
from harness.flow import Flow
from harness.receipts import flow_of

from monitor.events import TOPICS, Alert, Document, Kind, Mention, Origin, Scored
from monitor.keys import pair_key
from monitor.receipt.audit import audit
from monitor.receipt.check import Outcome
from monitor.store.base import Commit, KeptReceipt, Listed, Store
from monitor.store.receipts.base import JudgedText, Receipts
from monitor.store.receipts.rows import digest_of

T0 = datetime(2026, 3, 9, 12, tzinfo=UTC)
DAY = timedelta(days=1)
COMPANY = "company:US:ABC"


class Backend(Protocol):
    store: Callable[[], Store]
    receipts: Callable[[], Receipts]


def scored(number: int, *, topic: int = 3, counted: bool = True, named: bool = False) -> Scored:
    """Document ``number``, published that many minutes after T0; bad, but not towards Abc."""
    document = Document(
        id=f"d{number}",
        kind=Kind.NEWS,
        source="wire",
        published_at=T0 + timedelta(minutes=number),
        title=f"Title {number}",
        text="A text.",
        url=None,
        author="abc" if number % 2 else None,
        lang=None,
        tickers=(),
        origin=Origin("news", 2, 100 + number),
        appended_at=T0,
    )
    mentions = (Mention(COMPANY, "Abc", "Abc", (0.1, 0.2, 0.7)),) if named else ()
    sentiment = (0.1 + 0.2, 0.6, 0.1)  # a sum that has no short decimal form
    return Scored(document, sentiment, topic, 0.9, "m1", T0, mentions=mentions, counted=counted)


def listed(number: int, sentiment: tuple[float, float, float] = (0.1 + 0.2, 0.6, 0.1)) -> Listed:
    return Listed(
        f"d{number}",
        Origin("news", 2, 100 + number),
        T0 + timedelta(minutes=number),
        "wire",
        "abc" if number % 2 else None,
        Kind.NEWS,
        3,
        sentiment,
        None,
        "m1",
        digest_of(f"Title {number}", "A text."),
    )


def written(backend: Backend, *documents: Scored) -> tuple[Store, Receipts]:
    store = backend.store()
    store.load(0)
    store.apply(Commit(documents=documents))
    return store, backend.receipts()


def test_the_newest_counted_documents_of_a_key_and_a_time_are_listed(backend: Backend) -> None:
    more = scored(3, topic=5), scored(4, counted=False), scored(9)
    store, receipts = written(backend, scored(0), scored(1), scored(2), *more)
    key, until = f"topic:{TOPICS[3]}", T0 + timedelta(minutes=9)
    for side in (store, receipts):
        assert [listed(0), listed(1), listed(2)] == side.listed(key, T0, until, 9)
        assert [listed(1), listed(2)] == side.listed(key, T0, until, 2)
        assert [listed(9)] == side.listed(key, until, until + DAY, 9)


def test_of_a_company_what_is_said_of_it_is_listed(backend: Backend) -> None:
    store, receipts = written(backend, scored(0), scored(1, named=True))
    for key in (COMPANY, pair_key(3, COMPANY)):
        for side in (store, receipts):
            assert [listed(1, (0.1, 0.2, 0.7))] == side.listed(key, T0, T0 + DAY, 9)
    assert [] == receipts.listed(pair_key(5, COMPANY), T0, T0 + DAY, 9)


def test_what_is_stored_is_known_and_the_newest_of_it(backend: Backend) -> None:
    assert backend.receipts().newest() is None
    _, receipts = written(backend, scored(0), scored(1))
    assert {"d0"} == receipts.known(["d0", "d7"])
    read = JudgedText("d0", "Title 0\nA text.", (0.1 + 0.2, 0.6, 0.1))
    assert [read] == receipts.texts(["d7", "d0"])
    assert T0 + timedelta(minutes=1) == receipts.newest()


def test_a_receipt_is_kept_with_its_alert_and_the_last_one_counts(backend: Backend) -> None:
    store, receipts = written(backend)
    assert (None, None) == (receipts.find("a1"), receipts.alert("a1"))
    alert: Alert = an_alert("a1", receipt="ab" * 32)
    first, second = (KeptReceipt("a1", T0 + i * DAY, b'{"a":%d}' % i) for i in range(2))
    store.apply(Commit(alerts=[alert], receipts=[first]))
    assert (first, alert) == (receipts.find("a1"), receipts.alert("a1"))
    store.apply(Commit(receipts=[second]))
    assert second == receipts.find("a1")


@pytest.fixture(scope="module")
def in_memory() -> Flow:
    return flow_of(1)


def test_every_alert_that_fires_is_reproduced_and_its_receipt_is_the_same_in_every_database(
    backend: Backend, in_memory: Flow
) -> None:
    flow = flow_of(1, store_on=lambda _database: backend.store())
    receipts = backend.receipts()
    alerts = [a for a in in_memory.database.alerts.values() if a.fired_at is not None]
    assert {"share", "volume"} == {a.detector for a in alerts}
    for alert in alerts:
        kept = receipts.find(alert.id)
        assert kept is not None
        assert in_memory.database.receipts[alert.id].body == kept.body
        found = audit(alert.id, receipts, flow.provenances.of(alert.model_version), 90.0)
        assert Outcome.SAME is found.outcome, found.checks
