"""What is deleted for its age, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.alerts import an_alert
from sqlalchemy import Engine, event, func, select

from monitor.events import (
    AlertStatus,
    Bucket,
    DeadLetter,
    Document,
    Kind,
    Mention,
    Origin,
    Reason,
    Scored,
)
from monitor.matchers import parse
from monitor.store import schema
from monitor.store.base import Commit, KeptReceipt, Notification, NotificationStatus, OutboxChange
from monitor.store.drills.base import Drill, DrillOutcome
from monitor.store.drills.sql import SqlDrills
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.muting.base import Acknowledgement, Silence
from monitor.store.muting.sql import SqlMuting
from monitor.store.outbox import SqlOutbox
from monitor.store.publishing.base import Message
from monitor.store.publishing.sql import SqlLane
from monitor.store.receipts.sql import SqlReceipts
from monitor.store.receiving.base import Answer, Offer, Request
from monitor.store.receiving.sql import SqlReceiving
from monitor.store.retention import CHUNK, Keep, prune
from monitor.store.sql import SqlStore
from monitor.store.verdicts.base import Judgement, Verdict
from monitor.store.verdicts.sql import SqlVerdicts

EVENT = datetime(2023, 3, 9, tzinfo=UTC)
WALL = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEEP = Keep(texts=2 * DAY, buckets=4 * DAY, dead_letters=6 * DAY)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'retention.db'}"
    migrate(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


def scored(name: str, published_at: datetime) -> Scored:
    origin = Origin("news", 0, 0)
    document = Document(
        name, Kind.NEWS, "wire", published_at, "Title", "Text", None, None, None, (), origin, WALL
    )
    named = Mention("company:US:ABC", "Abc", "Abc", (0.0, 1.0, 0.0))
    return Scored(document, (0.0, 1.0, 0.0), 0, 1.0, "m1", WALL, mentions=(named,))


def letter(offset: int, at: datetime) -> DeadLetter:
    return DeadLetter(Origin("news", 0, offset), Reason.EMPTY, "", None, at)


def notification(name: str, status: NotificationStatus, at: datetime) -> Notification:
    return Notification(name, "desk", "all", b"{}", at, at, status)


def test_each_kind_of_row_ages_by_its_own_clock_and_keep(engine: Engine) -> None:
    store = SqlStore(engine)
    store.load(0)
    start = int(EVENT.timestamp())
    store.apply(
        Commit(
            documents=[scored("old", EVENT - 3 * DAY), scored("kept", EVENT - DAY)],
            buckets=[Bucket("all", start - d * 86_400, 1, 0, 0, 0) for d in (5, 3)],
            dead_letters=[letter(1, WALL - 7 * DAY), letter(2, WALL - 5 * DAY)],
        )
    )
    old = WALL - 7 * DAY
    SqlOutbox(engine).save(
        OutboxChange(
            put_notifications=[
                notification("old", NotificationStatus.DELIVERED, old),
                notification("old, but on its way", NotificationStatus.PENDING, old),
                notification("kept", NotificationStatus.DEAD, WALL - 5 * DAY),
            ]
        )
    )

    muting = SqlMuting(engine)
    for name, ends in (("old", old), ("kept", WALL - 5 * DAY)):
        muting.silence(Silence(name, (parse("topic=x"),), ends - DAY, ends, "ann", "", ends))
        muting.acknowledge(Acknowledgement(name, "ann", "", ends, ends))

    receiving = SqlReceiving(engine, SqlLane(engine, "intake"))
    for name, at in (("handed in", old), ("kept", WALL - 5 * DAY), ("today", WALL)):
        request = Request("desk", name, "d", lambda _: Answer(202, b""))
        offer = Offer(Message("news", f"pushed {name}", b"{}"), "")
        receiving.accept([offer], 9, at, request)

    gone = replace(an_alert("gone"), status=AlertStatus.RESOLVED, resolved_at=EVENT - 5 * DAY)
    store.apply(
        Commit(
            alerts=[gone, an_alert("kept")],
            receipts=[KeptReceipt(name, WALL, b"{}") for name in ("gone", "kept")],
        )
    )
    verdicts = SqlVerdicts(engine)
    for name in ("gone", "kept"):
        verdicts.give(Verdict(name, Judgement.TRUE, "ann", "", old))
    drills = SqlDrills(engine)
    for name, at, outcome in (
        ("old", old, DrillOutcome.PASSED),
        ("old, but it runs", old, DrillOutcome.RUNNING),
        ("kept", WALL - 5 * DAY, DrillOutcome.MISSED),
    ):
        drills.begin(Drill(name, False, at, at, outcome=outcome))

    deleted = prune(engine, EVENT, WALL, KEEP)

    assert ["kept"] == [fired.alert_id for fired in verdicts.fired()]
    assert verdicts.of("gone") is None
    receipts = SqlReceipts(engine)
    assert receipts.find("gone") is None
    assert KeptReceipt("kept", WALL, b"{}") == receipts.find("kept")
    assert drills.find("old") is None
    assert ["old, but it runs"] == [drill.id for drill in drills.running()]
    expected = {"documents": 1, "mentions": 1, "buckets": 1, "alerts": 1}
    expected |= {"dead_letters": 1, "notifications": 1, "verdicts": 1, "drills": 1}
    expected |= {"silences": 1, "acknowledgements": 1, "receipts": 1}
    assert expected | {"handed_in": 1, "push_requests": 2} == deleted
    assert {"kept"} == store.known(["old", "kept"])
    assert [start - 3 * 86_400] == [bucket.start for bucket in store.load(0).buckets]
    waiting = SqlOutbox(engine).due(WALL, 9)
    assert ["old, but on its way"] == [each.id for each in waiting]


def test_a_large_deletion_goes_in_chunks(engine: Engine) -> None:
    store = SqlStore(engine)
    store.load(0)
    rows = 2 * CHUNK + 1
    store.apply(Commit(dead_letters=[letter(n, WALL - 7 * DAY) for n in range(rows)]))
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)

    assert rows == prune(engine, EVENT, WALL, KEEP)["dead_letters"]

    with engine.connect() as connection:
        left = connection.scalar(select(func.count()).select_from(schema.dead_letters))
    assert 0 == left
    assert 12 + 3 == len(commits)  # one look at each other table, three chunks of this one
