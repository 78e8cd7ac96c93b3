"""Another model in mid-stream: in = out, one model a batch, and what detection makes of it."""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import torch
from harness.flow import START, Flow, Message, judge, make_flow, message
from harness.weights import shifted, variant
from prometheus_client import CollectorRegistry

from models.predict import DEFAULT, Predictor
from models.registry.folder import Registry
from monitor.errors import MonitorError, ScoringError, StoreError
from monitor.events import AlertStatus
from monitor.metrics import Metrics
from monitor.score.base import Scorer
from monitor.score.engine import BatchScorer
from monitor.score.memory import MemoryScorer
from monitor.score.reload import Reloader
from monitor.score.schedule import Batching
from monitor.score.transformer import TransformerDevice

BATCH = 16


def stream(count: int) -> list[Message]:
    return [message(n, START + timedelta(minutes=n)) for n in range(count)]


def versions_by_offset(flow: Flow) -> list[str]:
    """The version that scored each document, in the order of the log."""
    found = sorted(flow.database.documents.values(), key=lambda s: s.document.origin.offset)
    return [scored.model_version for scored in found]


def test_promotions_rollbacks_and_a_broken_version_lose_and_double_nothing(
    tmp_path: Path,
) -> None:
    """The registry is real; a scorer that needs no network stands for the one of each version."""
    home = Registry(tmp_path / "registry")
    names = []
    for n in (1, 2, 3):
        variant(DEFAULT, tmp_path / str(n), shifted(n / 10))
        names.append(home.add(tmp_path / str(n)))
    first, second, broken = names
    metrics = Metrics(CollectorRegistry())

    def load(path: Path) -> Scorer:
        if path.name == broken:
            raise MonitorError("the model cannot be loaded: SHA-256")
        return MemoryScorer(judge, model_version=path.name)

    reloader = Reloader(home.current, load, home.current(), metrics)
    flow = make_flow(poll_records=BATCH)
    flow.successor = reloader.take
    flow.put(stream(20 * BATCH))
    flow.pipeline.step(flow.stop)  # the assignment
    # Before these passes (each of one batch) somebody does this, and the job looks.
    moves = {3: first, 7: second, 11: None, 14: broken, 17: second}
    expected = []
    now = "memory-1"
    for number in range(20):
        if number in moves:
            to = moves[number]
            entry = (
                home.promote(to, check=lambda _: None)
                if to
                else home.rollback(check=lambda _: None)
            )
            reloader.look()
            reloader.look()
            now = now if entry.after == broken or entry.after is None else entry.after
        expected += [now] * BATCH
        assert BATCH == flow.pipeline.step(flow.stop)

    assert expected == versions_by_offset(flow)
    assert ["memory-1", first, second, first, second] == [k for k, _ in groupby(expected)]
    assert 20 * BATCH == len(flow.database.documents)
    assert {} == flow.database.dead_letters
    sent = [r for r in flow.database.outbox.values() if r.destination == "scored"]
    ids = [line for row in sent for line in row.payload.splitlines()]
    assert 20 * BATCH == len(ids) == len(set(ids))
    assert 20 * BATCH == sum(b.n for (key, _), b in flow.database.buckets.items() if key == "all")
    value = metrics.registry.get_sample_value
    assert 4 == value("monitor_model_reloads_total", {"outcome": "ok"})
    assert 1 == value("monitor_model_reloads_total", {"outcome": "failed"})


@pytest.mark.parametrize("seed", range(3))
def test_versions_change_at_batch_boundaries_only_whenever_they_come(seed: int) -> None:
    rng = random.Random(seed)
    flow = make_flow(poll_records=BATCH)
    waiting: list[MemoryScorer] = []
    flow.successor = lambda: waiting.pop(0) if waiting else None
    count = 0

    def judging(text: str) -> tuple[int, int]:
        nonlocal count
        if rng.random() < 0.05:  # in the middle of a batch
            count += 1
            waiting.append(MemoryScorer(judging, model_version=f"v{count:03}"))
        return judge(text)

    flow.scorer = MemoryScorer(judging, model_version="v000")
    flow.restart()
    flow.put(stream(30 * BATCH))
    flow.drain()
    found = versions_by_offset(flow)
    assert 30 * BATCH == len(found)
    assert sorted(found) == found
    assert len(set(found)) > 5
    changes = [i for i, (a, b) in enumerate(pairwise(found), start=1) if a != b]
    assert {0} == {i % BATCH for i in changes}


def test_the_model_that_scores_is_told_to_prometheus() -> None:
    flow = make_flow()
    successors: Iterator[Scorer | None] = iter([MemoryScorer(model_version="new-1")])
    flow.metrics.model("memory-1")
    flow.successor = lambda: next(successors, None)
    flow.put(stream(3))
    flow.drain()
    told = flow.metrics.registry.get_sample_value
    assert 1 == told("monitor_model_info", {"version": "new-1"})
    assert told("monitor_model_info", {"version": "memory-1"}) is None


def test_a_database_that_fails_at_the_change_over_delays_it_and_loses_nothing() -> None:
    flow = make_flow(poll_records=BATCH)
    successors: Iterator[Scorer | None] = iter([None, MemoryScorer(judge, model_version="new-1")])
    flow.put(stream(4 * BATCH))
    flow.pipeline.step(flow.stop)
    flow.successor = lambda: next(successors, None)
    flow.database.fail("load", StoreError("locked"))

    class Stop:
        """Set once everything has been read."""

        def is_set(self) -> bool:
            return len(flow.database.documents) == 4 * BATCH

        def wait(self, _seconds: float) -> bool:
            return self.is_set()

    flow.pipeline._settings = type(flow.pipeline._settings)(
        poll_records=BATCH, poll_timeout=0.0, retry_first=0.0
    )
    flow.pipeline.run(Stop())  # type: ignore[arg-type]  # what the loop asks of an Event
    found = versions_by_offset(flow)
    assert {"memory-1": BATCH, "new-1": 3 * BATCH} == Counter(found)
    assert {s.version.rpartition("/")[2] for s in flow.database.key_states.values()} <= {"new-1"}


def test_the_network_of_the_old_version_is_freed(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    homes = []
    for n in (1, 2):
        variant(DEFAULT, tmp_path / str(n), shifted(n / 10))
        homes.append(tmp_path / str(n))
    predictors = [Predictor.load(home) for home in homes]
    network = weakref.ref(predictors[0].network)
    parameters = [weakref.ref(p) for p in predictors[0].network.parameters()]
    batching = Batching.suited("cpu", packed=False)
    first, second = (BatchScorer([TransformerDevice(p, 1024)], batching) for p in predictors)
    predictors.clear()
    queue = [first, None, second]  # with the assignment, then after one batch
    flow = make_flow(poll_records=2)
    flow.successor = lambda: queue.pop(0) if queue else None
    flow.put(stream(6))
    flow.pipeline.step(flow.stop)
    assert network() is not None
    flow.drain()
    gc.collect()
    assert network() is None
    assert [] == [p for p in parameters if p() is not None]
    assert {first.model_version, second.model_version} == set(versions_by_offset(flow))
    with pytest.raises(ScoringError, match="has been closed"):
        first.score(["Shares fell."])


# ---------------------------------------------------------------- detection across a change


def days(first: int, count: int, weights: Sequence[int], per_hour: int = 6) -> list[Message]:
    """Days from day ``first`` on, with the signs in this proportion (-, 0, +)."""
    rng = random.Random(first)
    step = timedelta(hours=1) / per_hour
    begin = START + timedelta(days=first)
    return [
        message(first * 100_000 + i, begin + i * step, rng.choices("-0+", weights)[0])
        for i in range(count * 24 * per_hour)
    ]


def changed_over(new: Scorer, before: list[Message], after: list[Message]) -> Flow:
    """A flow whose model is replaced between the two streams."""
    flow = make_flow()
    flow.put(before)
    flow.drain()
    queue = [new]
    flow.successor = lambda: queue.pop() if queue else None
    flow.pipeline.step(flow.stop)
    flow.put(after)
    flow.drain()
    return flow


def fired(flow: Flow, detector: str = "share") -> set[str]:
    return {a.key for a in flow.database.alerts.values() if a.detector == detector and a.fired_at}


def gloomy(text: str) -> tuple[int, int]:
    """Another model: what the others find neutral it finds negative."""
    sentiment, topic = judge(text)
    return (2 if sentiment == 2 else 0), topic


def test_a_gloomier_model_pages_nobody() -> None:
    """Under the old baseline the step from a quarter to three quarters would be a crisis."""
    before, after = days(0, 4, (1, 2, 1)), days(4, 4, (1, 2, 1))
    assert set() == fired(
        changed_over(MemoryScorer(gloomy, model_version="gloomy-1"), before, after)
    )
    assert {"all"} <= fired(changed_over(MemoryScorer(gloomy), before, after))  # the same version


def test_after_a_change_a_crisis_is_found_again_within_a_day() -> None:
    crisis = days(5, 1, (9, 1, 0), per_hour=30)[:150]  # five hours
    after = [*days(4, 1, (1, 2, 1)), *crisis]
    flow = changed_over(MemoryScorer(judge, model_version="new-1"), days(0, 4, (1, 2, 1)), after)
    assert {"all", "kind:news"} <= fired(flow)
    versions = {a.model_version for a in flow.database.alerts.values() if a.fired_at}
    assert {"new-1"} == versions


def test_how_much_is_written_is_remembered_across_a_change() -> None:
    """Counts do not depend on who judges: a burst an hour after the change is a burst."""
    burst = days(4, 1, (1, 2, 1), per_hour=120)[:360]  # three hours, twenty times as many
    flow = changed_over(MemoryScorer(judge, model_version="new-1"), days(0, 4, (1, 2, 1)), burst)
    assert {"all", "kind:news"} == fired(flow, "volume")


def test_an_alert_that_fires_at_the_change_ends_when_its_key_is_calm_again() -> None:
    crisis = days(4, 1, (9, 1, 0), per_hour=30)[:150]
    flow = changed_over(
        MemoryScorer(judge, model_version="new-1"),
        [*days(0, 4, (1, 2, 1)), *crisis],
        days(5, 1, (1, 2, 1)),
    )
    share = [a for a in flow.database.alerts.values() if a.detector == "share" and a.fired_at]
    assert {"all", "kind:news"} <= {a.key for a in share}
    assert {AlertStatus.RESOLVED} == {a.status for a in share}
    for alert in share:
        assert alert.resolved_at is not None
        assert alert.resolved_at < START + timedelta(days=5, hours=12)
