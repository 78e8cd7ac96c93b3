"""A drill goes the way of real documents and leaves no trace in what is counted."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from harness.flow import START, Flow, Message, make_flow, message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.annotate import Annotator
from monitor.drill.texts import DOCUMENTS
from monitor.errors import StoreError
from monitor.events import AlertStatus, Origin, Reason
from monitor.keys import drill_key
from monitor.score.memory import MemoryScorer
from monitor.source.base import Batch
from monitor.store.base import RECEIVERS
from monitor.story.stories import Stories

DAY = START + timedelta(days=1)


def rehearsal(drill: str = "d1", sign: str = "-", count: int = DOCUMENTS) -> list[Message]:
    return [
        {
            **message(n, DAY + timedelta(minutes=n), sign, source="DRILL"),
            "id": f"drill-{drill}-{n}",
            "drill": drill,
        }
        for n in range(count)
    ]


def stream(seed: int, days: int = 2) -> list[Message]:
    """Ordinary days and, on the last, a crisis."""
    draw = random.Random(seed)
    made = []
    for hour in range(24 * days):
        trouble = hour >= 24 * days - 8
        for n in range(12 if trouble else 4):
            at = START + timedelta(hours=hour, minutes=draw.randrange(60))
            sign = "-" if draw.random() < (0.95 if trouble else 0.2) else "0"
            made.append(message(hour * 100 + n, at, sign, topic=draw.choice([3, 5])))
    return sorted(made, key=lambda m: str(m["published_at"]))


def kept(flow: Flow) -> dict[str, Any]:
    """Everything that the database holds but offsets, and rows of drills."""
    db = flow.database
    told = [row.payload for row in db.outbox.values() if row.destination == RECEIVERS]
    return {
        "documents": [
            scored._replace(document=scored.document._replace(origin=Origin("", 0, 0)))
            for scored in db.documents.values()
        ],
        "buckets": db.buckets,
        "key states": db.key_states,
        "alerts": {k: a for k, a in db.alerts.items() if a.detector != "drill"},
        "told": db.told,
        "closed until": db.closed_until,
        "event times": {p: position.max_event_time for p, position in db.positions.items()},
        "to the receivers": [p for p in told if json.loads(p)["detector"] != "drill"],
    }


def test_a_drill_fires_once_all_of_its_documents_were_judged_negative() -> None:
    flow = make_flow(poll_records=5)
    flow.put(rehearsal())
    flow.drain()
    (alert,) = flow.database.alerts.values()
    assert drill_key("d1") == alert.key
    assert alert.status is AlertStatus.FIRING
    assert alert.summary.startswith("DRILL d1: nothing has happened")
    assert [f"drill-d1-{n}" for n in range(DOCUMENTS)] == [e.document_id for e in alert.evidence]
    assert alert.waterfall is not None
    assert flow.database.drills["d1"].fired_at == alert.waterfall.fired_at
    rows = [row.destination for row in flow.database.outbox.values()]
    assert [RECEIVERS, "alerts"] == rows


def test_a_drill_writes_no_document_no_bucket_and_no_story() -> None:
    flow = make_flow()
    flow.annotator = lambda: Annotator(Stories())
    flow.restart()
    flow.put(rehearsal())
    flow.drain()
    db = flow.database
    assert not (db.documents or db.buckets or db.key_states or db.told or db.dead_letters)
    assert db.closed_until is None
    assert all(position.max_event_time is None for position in db.positions.values())


@pytest.mark.parametrize("missing", ["one is not negative", "one never comes"])
def test_it_does_not_fire_for_less(missing: str) -> None:
    flow = make_flow()
    messages = rehearsal()
    flow.put(messages[:-1])
    if missing == "one is not negative":
        flow.put([rehearsal(sign="0")[-1]])
    flow.drain()
    assert not flow.database.alerts
    assert DOCUMENTS - 1 == flow.database.drills["d1"].negative


def test_a_document_of_a_drill_that_comes_twice_counts_once() -> None:
    flow = make_flow(poll_records=1)
    flow.put([*rehearsal()[:6], *rehearsal()[:6]])
    flow.drain()
    assert 6 == flow.database.drills["d1"].arrived
    flow.put(rehearsal()[6:])
    flow.drain()
    flow.put(rehearsal())
    flow.drain()
    (alert,) = flow.database.alerts.values()
    assert 2 == len(flow.database.outbox)
    assert alert.status is AlertStatus.FIRING


def test_it_goes_on_over_restarts_and_a_failing_database() -> None:
    flow = make_flow(poll_records=4)
    flow.put(rehearsal()[:5])
    flow.drain()
    flow.restart()
    flow.put(rehearsal()[5:9])
    flow.drain()
    flow.restart()
    poll = flow.source.poll

    def poll_and_tick(timeout: float, limit: int) -> Batch:
        flow.clock.advance(0.3)  # a retry waits by polling
        return poll(timeout, limit)

    flow.source.poll = poll_and_tick  # type: ignore[method-assign]
    flow.database.fail("apply", StoreError("lost while it was written"), written=True)
    flow.put(rehearsal()[9:])
    flow.drain()
    assert 1 == len(flow.database.alerts)
    assert 2 == len(flow.database.outbox)


def test_two_drills_at_once_do_not_mix() -> None:
    flow = make_flow(poll_records=3)
    mixed = [m for pair in zip(rehearsal("a"), rehearsal("b"), strict=True) for m in pair]
    flow.put(mixed[:-1])
    flow.drain()
    assert [drill_key("a")] == [alert.key for alert in flow.database.alerts.values()]
    flow.put(mixed[-1:])
    flow.drain()
    assert 2 == len(flow.database.alerts)


def test_a_text_of_a_drill_that_the_model_cannot_judge_is_a_dead_letter() -> None:
    flow = make_flow()
    messages = rehearsal()
    bad = frozenset({str(messages[3]["text"])})
    flow.scorer = MemoryScorer(lambda _: (0, 5), bad_texts=bad)
    flow.restart()
    flow.put([message(1, DAY), *messages])
    flow.drain()
    assert [Reason.UNSCORABLE] == [d.reason for d in flow.database.dead_letters.values()]
    assert DOCUMENTS - 1 == flow.database.drills["d1"].arrived
    assert {"d1"} == set(flow.database.documents)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 3),
    at=st.lists(st.integers(0, 400), min_size=DOCUMENTS, max_size=DOCUMENTS),
    poll=st.sampled_from([7, 64, 512]),
    sign=st.sampled_from("-0"),
)
def test_the_database_of_real_keys_is_the_same_with_a_drill_in_between_and_without(
    seed: int, at: list[int], poll: int, sign: str
) -> None:
    """In its place stand records that are no documents, so that the batches are the same: which
    documents are polled together may decide which of two copies is told first."""
    real = stream(seed)

    def run(between: Sequence[Message | bytes]) -> Flow:
        mixed: list[Message | bytes] = list(real)
        for place, each in sorted(zip(at, between, strict=True), key=lambda p: -p[0]):
            mixed.insert(place, each)
        flow = make_flow(poll_records=poll)
        flow.annotator = lambda: Annotator(Stories())
        flow.restart()
        flow.put(mixed)
        flow.drain()
        return flow

    without, within = run([b"no document"] * DOCUMENTS), run(rehearsal(sign=sign))

    assert DOCUMENTS == within.database.drills["d1"].arrived
    assert (sign == "-") == any(a.detector == "drill" for a in within.database.alerts.values())
    assert kept(without) == kept(within)
    assert any(a.fired_at for a in without.database.alerts.values()), "there was a real crisis"
    assert not within.database.dead_letters
