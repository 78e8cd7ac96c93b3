"""The main loop with several batches at the scorer: order, back-pressure, faults, exactly once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from harness.flow import START, Flow, Message, judge, make_flow, message

from monitor.errors import ScoringError, SourceError, StoreError
from monitor.events import Partition, Reason
from monitor.score.base import PROBE, Scorer
from monitor.score.engine import BatchScorer
from monitor.score.memory import MemoryDevice, MemoryScorer
from monitor.score.schedule import Batching
from monitor.source.memory import Fail, Read, Rebalance, Step
from monitor.store.base import RECEIVERS

BATCH = 10
NEWS = Partition("news", 0)


def stream(count: int) -> list[Message]:
    """A day and more: nine of ten negative in the last quarter, so that alerts fire."""
    rng = random.Random(4)
    step = timedelta(days=4) / count
    signs = [
        "-" if n > 0.75 * count and n % 10 else rng.choices("-0+", (1, 2, 1))[0]
        for n in range(count)
    ]
    return [message(n, START + n * step, sign) for n, sign in enumerate(signs)]


LAST = message(1_000_000, START + timedelta(days=4))
"""As a comment it lets the watermark follow the news."""


def loaded(batches: int, count: int = 100, script: tuple[Step, ...] = ()) -> Flow:
    """A flow of which so many batches are at a scorer that holds them."""
    flow = make_flow(poll_records=BATCH)
    flow.scorer.hold = True
    flow.put(stream(count))
    if script:
        flow.restart(script)
    for _ in range(1 + batches):  # the assignment first
        flow.pipeline.step(flow.stop)
    return flow


def finish(flow: Flow) -> None:
    """Let go of everything and read to the end."""
    flow.scorer.hold = False
    flow.scorer.release()
    flow.drain()


def stored(flow: Flow) -> list[int]:
    """Offsets of the documents in the database, in the order in which they were written."""
    return [scored.document.origin.offset for scored in flow.database.documents.values()]


def outcome(flow: Flow) -> tuple[object, ...]:
    """What must not depend on what was in flight when."""
    database = flow.database
    told = Counter(r.payload for r in database.outbox.values() if r.destination == RECEIVERS)
    return (
        set(database.documents),
        database.dead_letters.keys(),
        database.buckets,
        database.closed_until,
        {s: state.state for s, state in database.key_states.items()},
        database.alerts,
        told,
    )


def undisturbed(count: int = 100, comment: bool = False) -> tuple[object, ...]:
    flow = make_flow(poll_records=BATCH)
    flow.put(stream(count))
    flow.put([LAST] * comment, "comments")
    flow.drain()
    return outcome(flow)


def test_the_next_batches_are_read_while_the_first_is_being_judged() -> None:
    flow = loaded(3)
    assert (3, 3) == (flow.scorer.held, flow.pipeline.in_flight)
    assert [] == stored(flow)
    flow.scorer.release(2)
    flow.pipeline.step(flow.stop)
    assert list(range(2 * BATCH)) == stored(flow)
    assert 2 * BATCH == flow.database.positions[NEWS].next_offset
    assert 2 * BATCH == flow.source.committed[NEWS]
    finish(flow)
    assert undisturbed() == outcome(flow)
    assert list(range(100)) == stored(flow)


def test_a_full_scorer_pauses_the_source_and_polling_goes_on() -> None:
    flow = loaded(0)
    flow.scorer.room = 2
    for _ in range(10):
        flow.pipeline.step(flow.stop)
    # Two are at the scorer, one has been read and waits for room; then a poll without records.
    assert (2, 4) == (flow.scorer.held, flow.pipeline.in_flight)
    assert flow.source._paused
    assert 11 == flow.source.polls
    assert 3 * BATCH == flow.source._positions[NEWS]
    flow.scorer.release(1)
    flow.pipeline.step(flow.stop)
    flow.pipeline.step(flow.stop)
    assert list(range(BATCH)) == stored(flow)
    flow.scorer.room = None
    finish(flow)
    assert not flow.source._paused
    assert undisturbed() == outcome(flow)


def test_the_number_of_batches_in_flight_is_bounded() -> None:
    flow = loaded(60, count=1_000)
    assert 32 == flow.scorer.held
    assert flow.source._paused
    assert 33 >= flow.pipeline.in_flight  # and one that tells of the polls since
    finish(flow)
    assert undisturbed(1_000) == outcome(flow)


def test_polls_that_bring_nothing_do_not_pile_up_behind_a_slow_batch() -> None:
    flow = loaded(40, count=3 * BATCH)
    assert 3 == flow.scorer.held
    assert 4 == flow.pipeline.in_flight


def test_an_id_that_is_still_in_flight_has_been_read_before() -> None:
    flow = make_flow(poll_records=BATCH)
    flow.scorer.hold = True
    messages = stream(3 * BATCH)
    messages[2 * BATCH] = messages[3]
    flow.put(messages)
    for _ in range(4):
        flow.pipeline.step(flow.stop)
    finish(flow)
    (letter,) = flow.database.dead_letters.values()
    assert (Reason.DUPLICATE, 2 * BATCH) == (letter.reason, letter.origin.offset)
    assert 3 * BATCH - 1 == len(flow.database.documents)
    assert [3] == [n for n in stored(flow) if n == 3]


# ---------------------------------------------------------------- event time


def test_no_bucket_closes_over_a_batch_in_flight_however_long_it_takes() -> None:
    """When the first batch is judged its partition has been silent for minutes, and would pass for
    idle, if the third batch had not been read from it meanwhile."""

    def read(hold: bool) -> Flow:
        flow = make_flow(partitions=2, poll_records=BATCH)
        flow.scorer.hold = hold
        late = START + timedelta(days=5)
        for number in (0, 1):
            _append(flow, "comments", number, [message(1_000_000 + number, late)])
        for part, number, begin in ((0, 0, START), (1, 1, late), (2, 0, START)):
            messages = [
                message(n, begin + n * timedelta(minutes=5))
                for n in range(part * BATCH, (part + 1) * BATCH)
            ]
            _append(flow, "news", number, messages)
            for _ in range(2):
                flow.pipeline.step(flow.stop)
        flow.clock.advance(600)
        return flow

    slow, quick = read(hold=True), read(hold=False)
    assert not slow.database.documents
    finish(slow)
    quick.drain()
    assert 0 == slow.metrics.late._value.get()
    assert 3 * BATCH + 2 == len(slow.database.documents)
    assert outcome(quick) == outcome(slow)


def _append(flow: Flow, topic: str, number: int, messages: list[Message]) -> None:
    for content in messages:
        flow.log.append(topic, None, json.dumps(content).encode(), number)


# ---------------------------------------------------------------- faults with batches in flight


@pytest.mark.parametrize("written", [False, True])
def test_a_transaction_that_fails_with_three_batches_in_flight(written: bool) -> None:
    """Retried in place, or, where it had been written after all, fenced and read anew."""
    flow = loaded(3)
    poll = flow.source.poll

    def poll_and_tick(timeout: float, limit: int):  # type: ignore[no-untyped-def]
        flow.clock.advance(0.3)  # a retry waits by polling
        return poll(timeout, limit)

    flow.source.poll = poll_and_tick  # type: ignore[method-assign]
    flow.database.fail("apply", StoreError("connection lost"), written=written)
    flow.scorer.release(1)
    flow.pipeline.step(flow.stop)
    assert list(range(BATCH)) == stored(flow)
    # Where it was fenced, what else was in flight is given up.
    assert (0 if written else 3) == flow.scorer.held
    finish(flow)
    assert undisturbed() == outcome(flow)


@pytest.mark.parametrize("back", [True, False])
def test_partitions_that_go_and_come_back_with_three_batches_in_flight(back: bool) -> None:
    """What is in flight is still written, and reading goes on after it, not before it."""
    script: list[Step] = [Read(BATCH), Read(BATCH), Read(BATCH), Rebalance(frozenset({NEWS}))]
    if back:
        script.append(Rebalance(assigned=frozenset({NEWS})))
    flow = loaded(6, script=tuple(script))
    assert flow.pipeline.in_flight >= 4
    if back:
        assert 4 == flow.scorer.held  # the fourth batch is not the first one again
        finish(flow)
        assert undisturbed() == outcome(flow)
        assert list(range(100)) == stored(flow)
    else:
        assert 3 == flow.scorer.held
        finish(flow)
        assert list(range(3 * BATCH)) == stored(flow)
        assert 3 * BATCH == flow.database.positions[NEWS].next_offset
        flow.restart()
        flow.drain()
        assert set(range(100)) == set(stored(flow))
    assert not flow.database.dead_letters


def test_a_source_that_fails_does_not_throw_away_what_is_in_flight() -> None:
    flow = loaded(2, script=(Read(BATCH), Read(BATCH), Fail(SourceError("broken frame"))))

    class Stop:
        """Set once everything is stored."""

        def is_set(self) -> bool:
            return len(flow.database.documents) == 100

        def wait(self, timeout: float) -> bool:
            flow.clock.advance(timeout)
            flow.scorer.hold = False
            flow.scorer.release()
            return self.is_set()

    held = flow.scorer._held[0]
    held.wait = Stop().wait  # type: ignore[method-assign]
    flow.pipeline.run(Stop())  # type: ignore[arg-type]  # what the loop asks of an Event
    assert list(range(100)) == stored(flow)
    assert 100 == flow.scorer.judged  # nothing was judged twice
    assert not flow.database.dead_letters
    assert 1 == flow.metrics.source_failures._value.get()


def test_a_process_that_dies_with_batches_judged_but_not_written_leaves_them_to_the_next() -> None:
    flow = loaded(3)
    flow.scorer.release(1)
    flow.pipeline.step(flow.stop)
    flow.scorer.release(2)  # judged; the crash comes before their transactions
    flow.scorer = MemoryScorer(judge)
    flow.restart()
    flow.drain()
    assert undisturbed() == outcome(flow)
    assert list(range(100)) == stored(flow)


def test_a_scorer_that_dies_with_batches_in_flight_ends_the_loop_and_loses_nothing() -> None:
    flow = loaded(3)
    flow.scorer.dead = True
    flow.scorer.release()
    with pytest.raises(ScoringError):
        flow.pipeline.run(flow.stop)
    assert [] == stored(flow)
    flow.scorer = MemoryScorer(judge)
    flow.restart()
    flow.drain()
    assert undisturbed() == outcome(flow)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_verdicts_crashes_and_faults_gives_the_same_buckets_and_alerts(
    seed: int,
) -> None:
    rng = random.Random(seed)
    flow = make_flow(poll_records=BATCH)
    flow.put(stream(600))
    flow.put([LAST], "comments")
    flow.scorer.hold = True
    poll = flow.source.poll

    def ticking(flow: Flow) -> None:
        poll = flow.source.poll

        def poll_and_tick(timeout: float, limit: int):  # type: ignore[no-untyped-def]
            flow.clock.advance(0.3)
            return poll(timeout, limit)

        flow.source.poll = poll_and_tick  # type: ignore[method-assign]

    def crash() -> None:
        flow.scorer = MemoryScorer(judge)
        flow.scorer.hold = True
        flow.restart()
        ticking(flow)

    ticking(flow)
    lost = StoreError("connection lost")
    moves: list[tuple[float, Callable[[], object]]] = [
        (0.5, lambda: flow.scorer.release(rng.randint(0, flow.scorer.held))),
        (0.05, crash),
        (0.05, lambda: flow.database.fail("apply", lost)),
        (0.05, lambda: flow.database.fail("apply", lost, written=True)),
        (0.1, lambda: setattr(flow.scorer, "room", rng.choice([None, 1, 3]))),
    ]
    for _ in range(150):
        for chance, move in moves:
            if rng.random() < chance:
                move()
        flow.pipeline.step(flow.stop)
    flow.scorer.room = None
    finish(flow)
    assert poll is not flow.source.poll
    expected = undisturbed(600, comment=True)
    assert expected[-1]
    assert expected == outcome(flow)


# ---------------------------------------------------------------- another model


def test_each_batch_in_flight_is_judged_by_one_model_and_the_old_one_is_closed_after_its_last() -> (
    None
):
    flow = loaded(2)
    old, new = flow.scorer, MemoryScorer(judge, model_version="new-1")
    new.hold = True
    successors: list[Scorer] = [new]
    flow.successor = lambda: successors.pop() if successors else None
    for _ in range(2):
        flow.pipeline.step(flow.stop)
    assert (2, 2) == (old.held, new.held)
    new.release(1)  # ahead of the old one's
    flow.pipeline.step(flow.stop)
    assert [] == stored(flow)
    old.release(1)
    flow.pipeline.step(flow.stop)
    assert not old.closed
    told = flow.metrics.registry.get_sample_value
    assert told("monitor_model_info", {"version": "new-1"}) is None
    old.release(1)
    flow.pipeline.step(flow.stop)
    assert old.closed and not new.closed
    assert 1 == told("monitor_model_info", {"version": "new-1"})
    new.hold = False
    new.release()
    flow.drain()
    versions = [s.model_version for s in flow.database.documents.values()]
    assert ["memory-1"] * 20 + ["new-1"] * 80 == versions
    assert list(range(100)) == stored(flow)
    judged = [s for s in flow.database.key_states.values() if s.detector in ("share", "volume")]
    states = {s.version.rpartition("/")[2] for s in judged}
    assert {"new-1"} == states


def test_a_model_that_was_replaced_before_its_first_verdict_is_closed_after_its_last() -> None:
    flow = loaded(1)
    first, second, third = models = [
        flow.scorer,
        *(MemoryScorer(judge, model_version=f"new-{n}") for n in (1, 2)),
    ]
    waiting: list[Scorer | None] = [second, None, third]
    flow.successor = lambda: waiting.pop(0) if waiting else None
    for scorer in models:
        scorer.hold = True
    for _ in range(3):
        flow.pipeline.step(flow.stop)
    assert [1, 2, 1] == [scorer.held for scorer in models]
    closed = []
    for scorer in (first, second, second, third):
        scorer.release(1)
        flow.pipeline.step(flow.stop)
        closed.append([m.closed for m in models])
    # A model is closed when the first verdicts of the next one are taken.
    only_first = [True, False, False]
    assert [[False] * 3, only_first, only_first, [True, True, False]] == closed
    flow.scorer = third
    finish(flow)
    found = Counter(s.model_version for s in flow.database.documents.values())
    assert {"memory-1": 10, "new-1": 20, "new-2": 70} == found


def test_a_fence_with_two_models_in_flight_leaves_all_of_it_to_the_new_one() -> None:
    flow = loaded(2)
    old, new = flow.scorer, MemoryScorer(judge, model_version="new-1")
    successors: list[Scorer] = [new]
    flow.successor = lambda: successors.pop() if successors else None
    flow.pipeline.step(flow.stop)
    poll = flow.source.poll

    def poll_and_tick(timeout: float, limit: int):  # type: ignore[no-untyped-def]
        flow.clock.advance(0.3)
        return poll(timeout, limit)

    flow.source.poll = poll_and_tick  # type: ignore[method-assign]
    flow.database.fail("apply", StoreError("connection lost"), written=True)
    old.release(1)
    flow.pipeline.step(flow.stop)
    assert old.closed
    flow.drain()
    versions = [s.model_version for s in flow.database.documents.values()]
    assert ["memory-1"] * 10 + ["new-1"] * 90 == versions
    assert not flow.database.dead_letters


# ---------------------------------------------------------------- signs of life


def stepping(flow: Flow, passes: int, each: Callable[[], object] = lambda: None) -> float:
    """Seconds that /livez and the watchdog would see without progress after so many passes, each
    of ten seconds."""
    count = 0

    class Stop:
        def is_set(self) -> bool:
            nonlocal count
            count += 1
            flow.clock.advance(10)
            each()
            return count > passes

        def wait(self, _seconds: float) -> bool:
            return count > passes

    flow.pipeline._settings = type(flow.pipeline._settings)(
        poll_records=BATCH, poll_timeout=0.0, finish=0.0
    )
    flow.pipeline.run(Stop())  # type: ignore[arg-type]  # what the loop asks of an Event
    return flow.clock.monotonic() - flow.pipeline.progress


def test_a_device_that_hangs_is_seen_however_busily_the_source_is_polled() -> None:
    assert stepping(loaded(3), 30) > 250


def test_a_slow_device_is_not_taken_for_one_that_hangs() -> None:
    flow = loaded(3)

    def judge_a_little() -> None:
        flow.scorer.judged += 1

    assert stepping(flow, 30, judge_a_little) <= 20


def test_a_loop_without_work_is_alive() -> None:
    assert stepping(make_flow(), 30) <= 20


# ---------------------------------------------------------------- the real engine


def test_documents_go_through_the_engine_while_a_device_dies_and_texts_are_bad() -> None:
    """Two devices with threads of their own; one dies in mid-stream."""
    bad = frozenset(str(m["text"]) for m in stream(600)[50::97])

    def marked(text: str) -> tuple[int, int]:
        return (1, 0) if text == PROBE else judge(text)

    devices = [
        MemoryDevice(marked, bad_texts=bad, name=f"cuda:{n}", in_flight=2 - n) for n in (0, 1)
    ]
    engine = BatchScorer(devices, Batching(256, 64, 0.0, 1))
    devices[1].die_at(12)
    successors: list[Scorer] = [engine]
    flow = make_flow(poll_records=BATCH)
    flow.successor = lambda: successors.pop() if successors else None
    flow.put(stream(600))
    flow.drain()
    assert flow.pipeline.fault is not None and "cuda:1" in flow.pipeline.fault
    flow.pipeline.close()
    letters = flow.database.dead_letters.values()
    assert {Reason.UNSCORABLE} == {letter.reason for letter in letters}
    assert set(range(50, 600, 97)) == {letter.origin.offset for letter in letters}
    assert sorted(stored(flow)) == stored(flow)
    assert set(range(600)) - set(range(50, 600, 97)) == set(stored(flow))
    for scored in flow.database.documents.values():
        assert judge(scored.document.text) == (scored.sentiment_index, scored.topic)
