"""The main loop over in-memory adapters: nothing lost, nothing doubled, alerts fire and resolve."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import timedelta

import pytest
from harness.flow import START, Flow, Message, make_flow, message

from monitor.errors import LeaseError, ScoringError, SourceError, StoreError
from monitor.events import TOPICS, AlertStatus, Partition, Reason
from monitor.score.memory import MemoryScorer
from monitor.source.base import Batch
from monitor.source.memory import Fail, Read, Rebalance
from monitor.store.base import RECEIVERS


def ordinary_days(days: int, per_hour: int = 6, seed: int = 1) -> list[Message]:
    """A quarter negative, spread evenly over the hours."""
    rng = random.Random(seed)
    step = timedelta(hours=1) / per_hour
    return [
        message(i, START + i * step, rng.choices("-0+", (1, 2, 1))[0])
        for i in range(days * 24 * per_hour)
    ]


def crisis(first_id: int, hours: float, per_hour: int = 30) -> list[Message]:
    """Nine in ten negative, five times as many as usual, from the fourth day on."""
    rng = random.Random(2)
    at = START + timedelta(days=3)
    return [
        message(first_id + i, at + i * timedelta(hours=1) / per_hour, rng.choices("-0", (9, 1))[0])
        for i in range(int(hours * per_hour))
    ]


def test_what_goes_in_is_scored_or_rejected_to_the_item() -> None:
    flow = make_flow()
    good = [message(i, START + timedelta(minutes=i)) for i in range(50)]
    bad: list[Message | bytes] = [
        b"not json",
        b"",
        b'{"source": "s"}',
        json.dumps({**good[3], "published_at": "x"}).encode(),
    ]
    flow.put([*good, *bad, good[7]])
    flow.drain()
    reasons = Counter(d.reason for d in flow.database.dead_letters.values())
    assert 50 == len(flow.database.documents)
    assert 5 == sum(reasons.values())
    assert 1 == reasons[Reason.DUPLICATE]
    assert 1 == reasons[Reason.BAD_DATE]


def test_a_dead_letter_keeps_the_original_bytes_and_goes_out_on_its_topic() -> None:
    flow = make_flow()
    flow.put([b"\xff\x00 broken"])
    flow.drain()
    (letter,) = flow.database.dead_letters.values()
    assert b"\xff\x00 broken" == letter.value
    (row,) = [r for r in flow.database.outbox.values() if r.destination == "dead-letters"]
    sent = json.loads(row.payload)["value"]
    assert ("news", 0, 0) == (sent["topic"], sent["partition"], sent["offset"])
    assert "not_utf8" == sent["reason"]


def test_a_text_that_the_model_cannot_judge_is_a_dead_letter_and_the_others_go_on() -> None:
    flow = make_flow()
    texts = [message(i, START) for i in range(5)]
    flow.scorer = MemoryScorer(lambda _: (1, 5), bad_texts=frozenset({str(texts[2]["text"])}))
    flow.restart()
    flow.put(texts)
    flow.drain()
    assert {"d0", "d1", "d3", "d4"} == set(flow.database.documents)
    assert [Reason.UNSCORABLE] == [d.reason for d in flow.database.dead_letters.values()]


def test_a_dead_model_stops_the_loop_and_the_batch_is_read_again() -> None:
    flow = make_flow()
    flow.scorer.dead = True
    flow.put([message(1, START)])
    with pytest.raises(ScoringError):
        flow.drain()
    flow.scorer.dead = False
    flow.restart()
    flow.drain()
    assert {"d1"} == set(flow.database.documents)


def test_an_alert_fires_in_a_crisis_and_resolves_after_it() -> None:
    flow = make_flow()
    days = ordinary_days(6)
    trouble = crisis(10_000, hours=5)
    stream = sorted([*days, *trouble], key=lambda m: str(m["published_at"]))
    flow.put(stream)
    flow.drain()
    topic = [a for a in flow.database.alerts.values() if a.detector == "share" and a.fired_at]
    assert {"all", "kind:news", f"topic:{_topic(5)}"} == {a.key for a in topic}
    for alert in topic:
        assert alert.fired_at is not None
        since = alert.fired_at - (START + timedelta(days=3))
        assert timedelta(0) < since < timedelta(hours=2)
        assert alert.status is AlertStatus.RESOLVED
        assert alert.value > 2 * alert.baseline
        assert alert.evidence
        assert all(e.negative > 0.5 for e in alert.evidence)


def test_an_alert_tells_the_way_of_the_newest_document_of_its_evidence() -> None:
    flow = make_flow(poll_records=50)
    mixed = [*ordinary_days(6), *crisis(10_000, hours=5)]
    stream = sorted(mixed, key=lambda m: str(m["published_at"]))
    flow.put(stream)
    flow.drain()
    fired = [a for a in flow.database.alerts.values() if a.fired_at]
    assert fired
    for alert in fired:
        newest = max(e.published_at for e in alert.evidence)
        assert alert.waterfall is not None
        assert newest == alert.waterfall.published_at
        assert START == alert.waterfall.appended_at
        wall = START + timedelta(days=30)
        assert (wall, wall, wall) == (
            alert.waterfall.ingested_at,
            alert.waterfall.scored_at,
            alert.waterfall.fired_at,
        )


def test_ordinary_days_page_nobody() -> None:
    flow = make_flow()
    flow.put(ordinary_days(14))
    flow.drain()
    assert [] == [a for a in flow.database.alerts.values() if a.fired_at]


def test_every_change_of_an_alert_goes_to_kafka_and_to_the_receivers_if_it_stands_alone() -> None:
    flow = make_flow()
    flow.put([*ordinary_days(3), *crisis(10_000, hours=3)])
    flow.drain()
    rows = list(flow.database.outbox.values())
    to_people = [json.loads(r.payload)["id"] for r in rows if r.destination == RECEIVERS]
    to_kafka = [json.loads(r.payload)["value"] for r in rows if r.destination == "alerts"]
    assert to_people
    assert to_people == [a["id"] for a in to_kafka if not a["setting"]["under"]]
    # One crisis, three keys: the topic gives all of the excess, so the others are shown under it.
    share = {a["key"]: a["setting"]["under"] for a in to_kafka if a["detector"] == "share"}
    assert {"all": f"topic:{_topic(5)}", f"topic:{_topic(5)}": ""}.items() <= share.items()


@pytest.mark.parametrize("seed", range(5))
def test_restarts_at_any_batch_give_the_same_buckets_and_alerts(seed: int) -> None:
    stream = [*ordinary_days(3), *crisis(10_000, hours=3)]
    whole = make_flow(poll_records=40)
    whole.put(stream)
    whole.drain()
    broken = make_flow(poll_records=40)
    broken.put(stream)
    rng = random.Random(seed)
    for _ in range(6):
        for _ in range(rng.randrange(1, 4)):
            broken.pipeline.step(broken.stop)
        broken.restart()
    broken.drain()
    assert _outcome(whole) == _outcome(broken)


@pytest.mark.parametrize("written", [False, True])
def test_a_failing_database_loses_and_doubles_nothing(written: bool) -> None:
    stream = [*ordinary_days(3), *crisis(10_000, hours=2)]
    whole = make_flow(poll_records=40)
    whole.put(stream)
    whole.drain()
    flow = make_flow(poll_records=40)
    flow.put(stream)
    poll = flow.source.poll

    def poll_and_tick(timeout: float, limit: int) -> Batch:
        flow.clock.advance(0.3)  # a retry waits by polling
        return poll(timeout, limit)

    flow.source.poll = poll_and_tick  # type: ignore[method-assign]
    error = StoreError("connection lost")
    for _ in range(3):
        flow.database.fail("apply", error, written=written)
        flow.pipeline.step(flow.stop)
    flow.drain()
    assert _outcome(whole) == _outcome(flow)


def test_a_source_that_fails_is_sought_back_to_the_last_transaction() -> None:
    flow = make_flow(poll_records=10)
    flow.put([message(i, START + timedelta(seconds=i)) for i in range(40)])
    flow.restart([Read(10), Read(10), Fail(SourceError("broken frame"))])
    for _ in range(3):  # the assignment, then two reads
        flow.pipeline.step(flow.stop)
    with pytest.raises(SourceError):
        flow.pipeline.step(flow.stop)
    flow.restart()
    flow.drain()
    assert 40 == len(flow.database.documents)


def test_partitions_that_go_and_come_back_are_read_on_from_the_stored_offset() -> None:
    flow = make_flow(poll_records=5)
    flow.put([message(i, START + timedelta(seconds=i)) for i in range(30)])
    news = frozenset({Partition("news", 0)})
    flow.restart([Read(5), Rebalance(revoked=news), Read(5), Rebalance(assigned=news)])
    flow.drain()
    assert 30 == len(flow.database.documents)
    assert not flow.database.dead_letters


def test_a_second_daemon_fences_the_first() -> None:
    flow = make_flow()
    first = flow.pipeline
    flow.restart()
    flow.put([message(1, START)])
    flow.drain()
    flow.put([message(2, START)])
    first.step(flow.stop)  # the assignment
    with pytest.raises(LeaseError):
        first.step(flow.stop)
    assert {"d1"} == set(flow.database.documents)


def test_another_model_does_not_inherit_the_baselines() -> None:
    flow = make_flow()
    flow.put(ordinary_days(3))
    flow.drain()
    flow.scorer = MemoryScorer(model_version="another-1")
    flow.restart()
    share, volume = flow.detectors
    assert {} == share._table.index
    assert {"all", "kind:news"} == set(volume._table.index)  # how much is written outlives it


def test_a_comment_without_kind_counts_as_a_comment() -> None:
    flow = make_flow()
    flow.put([message(1, START)], topic="comments")
    flow.put([message(2, START)], topic="news")
    flow.drain()
    assert {"kind:comment", "kind:news", "all"} <= {key for key, _ in flow.database.buckets}


def _topic(index: int) -> str:
    return TOPICS[index]


def _outcome(flow: Flow) -> tuple[object, ...]:
    """What must not depend on crashes: documents, counts, alerts, and what was told to people."""
    database = flow.database
    told = Counter(r.payload for r in database.outbox.values() if r.destination == RECEIVERS)
    return (
        set(database.documents),
        database.buckets,
        database.closed_until,
        {s: state.state for s, state in database.key_states.items()},
        database.alerts,
        told,
    )
