"""What /readyz and /livez say of the loop and of the model's devices."""

from __future__ import annotations

from harness.flow import make_flow

from monitor.clock import SystemClock
from monitor.daemon import Health
from monitor.score.engine import BatchScorer
from monitor.score.memory import MemoryDevice
from monitor.score.schedule import Batching


def test_until_everything_is_built_the_model_is_loading_and_the_loop_is_alive() -> None:
    health = Health(watchdog=10.0)
    assert "still loading" == health.ready()["model"]
    assert {"loop": None} == health.alive()


def test_a_ready_daemon_names_no_fault() -> None:
    health = Health(watchdog=10.0)
    flow = make_flow()
    health.pipeline = flow.pipeline
    assert "none assigned yet" == health.ready()["partitions"]
    flow.pipeline.step(flow.stop)
    assert {"model": None, "partitions": None, "database": None} == health.ready()


def test_a_device_that_is_lost_is_named_while_the_others_go_on() -> None:
    devices = [MemoryDevice(name=f"cuda:{n}") for n in (0, 1)]
    scorer = BatchScorer(devices, Batching(64, 16, 0.0, 1), threads=False)
    devices[1].die_at(1)
    scorer.score(["a text of twenty characters"] * 40)
    flow = make_flow()
    successors = [scorer]
    flow.successor = lambda: successors.pop() if successors else None
    flow.pipeline.step(flow.stop)
    health = Health(watchdog=10.0)
    health.pipeline = flow.pipeline
    fault = health.ready()["model"]
    assert fault is not None and fault.startswith("cuda:1 is lost: ")


def test_a_loop_that_got_nowhere_is_not_alive() -> None:
    health = Health(watchdog=10.0)
    health.pipeline = make_flow().pipeline
    health.pipeline.progress = SystemClock().monotonic() - 5
    assert {"loop": None} == health.alive()
    health.pipeline.progress -= 10
    fault = health.alive()["loop"]
    assert fault is not None and "no progress for 15 s" in fault
