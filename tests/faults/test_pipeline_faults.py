"""The main loop itself: reads of the database that fail in mid-pass, and a stop in mid-batch."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Literal

import pytest
from harness.flow import START, Flow, judge, make_flow, message

from monitor.errors import StoreError
from monitor.score.memory import MemoryScorer
from monitor.source.base import Batch

HOURS = 96


def filled() -> Flow:
    """Four days, nine of ten documents negative in the last of them: alerts fire."""
    flow = make_flow(poll_records=40)
    signs = ["-" if n > 0.75 * HOURS * 6 and n % 10 else "0" for n in range(HOURS * 6)]
    step = timedelta(minutes=10)
    flow.put([message(n, START + n * step, sign) for n, sign in enumerate(signs)])
    return flow


def run_until_idle(flow: Flow) -> None:
    """`Pipeline.run`, stopped once forty polls in a row have brought nothing; a retry's wait passes
    by itself."""
    poll = flow.source.poll
    quiet = 0

    def polled(timeout: float, limit: int) -> Batch:
        nonlocal quiet
        batch = poll(timeout, limit)
        quiet = 0 if batch.records else quiet + 1
        flow.clock.advance(20)
        if quiet == 40:
            flow.stop.set()
        return batch

    flow.source.poll = polled  # type: ignore[method-assign]
    flow.pipeline.run(flow.stop)


@pytest.mark.parametrize("operation", ["known", "evidence"])
def test_a_read_that_fails_in_mid_pass_loses_and_doubles_nothing(
    operation: Literal["known", "evidence"],
) -> None:
    whole, broken = filled(), filled()
    run_until_idle(whole)
    error = StoreError("connection lost")
    # The first one fails, then the reload does; it goes well once and fails again.
    broken.database.fail(operation, error, None, error)
    broken.database.fail("load", error)
    run_until_idle(broken)
    assert whole.database.alerts
    assert whole.database.documents.keys() == broken.database.documents.keys()
    assert whole.database.buckets == broken.database.buckets
    assert whole.database.alerts == broken.database.alerts
    assert not broken.database.dead_letters
    assert broken.pipeline.healthy_store


def test_a_read_that_waiting_cannot_mend_ends_the_loop() -> None:
    flow = filled()
    flow.database.fail("known", StoreError("not a database", retryable=False))
    with pytest.raises(StoreError, match="not a database"):
        run_until_idle(flow)


def test_a_stop_finishes_what_the_scorer_has_judged_and_leaves_the_rest() -> None:
    flow = make_flow(poll_records=10)
    flow.put([message(n, START + n * timedelta(seconds=1)) for n in range(50)])
    flow.scorer.hold = True
    for _ in range(4):  # the assignment, then three batches
        flow.pipeline.step(flow.stop)
    flow.scorer.release(2)
    flow.stop.set()
    flow.pipeline.run(flow.stop)
    assert {f"d{n}" for n in range(20)} == set(flow.database.documents)

    flow.stop = threading.Event()
    flow.scorer = MemoryScorer(judge)
    flow.restart()
    flow.drain()
    assert {f"d{n}" for n in range(50)} == set(flow.database.documents)
    assert not flow.database.dead_letters
