"""Following the registry: one load for each move of the pointer, and the old model in any fault."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from models.errors import ModelError
from models.registry.folder import Release
from monitor.errors import MonitorError
from monitor.metrics import Metrics
from monitor.score.base import Scorer
from monitor.score.memory import MemoryScorer
from monitor.score.reload import Reloader


class Closing(MemoryScorer):
    """Says when it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """A scripted registry and loader around one reloader that began with version ``a``."""

    at: Release | ModelError = field(default_factory=lambda: release("a", 1))
    broken: dict[str, Exception] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    made: dict[str, Closing] = field(default_factory=dict)
    now: float = 1000.0
    during: Callable[[], object] = lambda: None
    """Happens while a model is loaded."""

    def __post_init__(self) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.reloader = Reloader(
            self.current, self.load, release("a", 1), self.metrics, lambda: self.now
        )

    def current(self) -> Release:
        if isinstance(self.at, ModelError):
            raise self.at
        return self.at

    def load(self, path: Path) -> Scorer:
        self.loads.append(path.name)
        self.during()
        if path.name in self.broken:
            raise self.broken[path.name]
        self.made[path.name] = Closing(model_version=path.name)
        return self.made[path.name]

    def promote(self, name: str) -> None:
        assert isinstance(self.at, Release)
        self.at = release(name, self.at.number + 1)

    def taken(self) -> str | None:
        scorer = self.reloader.take()
        return scorer.model_version if scorer else None

    def count(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "monitor_model_reloads_total", {"outcome": outcome}
        )


def release(name: str, number: int) -> Release:
    return Release(name, Path("registry") / name, number)


def test_while_nothing_changes_nothing_is_loaded() -> None:
    world = World()
    for _ in range(3):
        assert world.reloader.look().ok
    assert ([], None) == (world.loads, world.taken())


def test_a_promoted_version_is_loaded_once_and_handed_over_once() -> None:
    world = World()
    world.promote("b")
    assert "version b was loaded" in world.reloader.look().news
    world.reloader.look()
    assert (["b"], 0) == (world.loads, world.count("ok"))
    assert ["b", None] == [world.taken(), world.taken()]
    assert (1, 0) == (world.count("ok"), world.count("failed"))
    world.reloader.look()
    assert ["b"] == world.loads


def test_a_promotion_that_is_taken_back_before_it_took_over_changes_nothing() -> None:
    world = World()
    world.promote("b")
    world.reloader.look()
    world.promote("a")
    world.reloader.look()
    assert (["b"], None) == (world.loads, world.taken())
    assert world.made["b"].closed


def test_the_newest_of_two_promotions_takes_over() -> None:
    world = World()
    world.promote("b")
    world.reloader.look()
    world.promote("c")
    world.reloader.look()
    assert ["c", None] == [world.taken(), world.taken()]
    assert [True, False] == [world.made["b"].closed, world.made["c"].closed]


def test_the_main_loop_may_take_one_while_the_next_is_loaded() -> None:
    world = World()
    world.promote("b")
    world.reloader.look()
    taken: list[str | None] = []
    world.during = lambda: taken.append(world.taken())
    world.promote("c")
    world.reloader.look()
    assert [*taken, world.taken()] == ["b", "c"]
    assert not world.made["b"].closed


@pytest.mark.parametrize(
    "error",
    [
        MonitorError("the model cannot be loaded: hash"),
        ModelError("hash"),
        OSError("input/output error"),
        RuntimeError("CUDA out of memory"),
        KeyError("lora"),
        MemoryError(),
    ],
)
def test_a_version_that_does_not_load_is_told_and_the_old_one_goes_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(broken={"b": error})
    world.promote("b")
    assert not world.reloader.look().ok
    assert (None, 1) == (world.taken(), world.count("failed"))
    (record,) = caplog.records
    assert logging.ERROR == record.levelno
    assert "version b cannot be used, a goes on" in record.getMessage()
    assert str(error) in record.getMessage()


def test_a_broken_version_is_tried_again_after_a_growing_pause() -> None:
    world = World(broken={"b": MonitorError("hash")})
    world.promote("b")
    tries = []
    for second in range(0, 4 * 3600, 5):
        world.now = 1000.0 + second
        before = len(world.loads)
        world.reloader.look()
        if len(world.loads) > before:
            tries.append(second)
    assert [0, 60, 180, 420, 900, 1860, 3780, 7380, 10980] == tries
    del world.broken["b"]
    world.now += 3600
    world.reloader.look()
    assert "b" == world.taken()


def test_a_broken_version_is_tried_at_once_when_the_pointer_moves_or_a_person_asks() -> None:
    world = World(broken={"b": MonitorError("hash")})
    world.promote("b")
    world.reloader.look()
    world.reloader.look()
    assert ["b"] == world.loads
    world.reloader.look(asked=True)
    assert ["b", "b"] == world.loads
    world.promote("b")  # promoted again: somebody mended it
    world.reloader.look()
    assert ["b", "b", "b"] == world.loads
    world.promote("c")
    world.reloader.look()
    assert "c" == world.taken()
    assert 3 == world.count("failed")


def test_back_to_the_running_version_ends_the_trouble_with_a_broken_one() -> None:
    world = World(broken={"b": MonitorError("hash")})
    world.promote("b")
    world.reloader.look()
    world.promote("a")
    assert world.reloader.look().ok
    assert (["b"], None) == (world.loads, world.taken())


def test_a_registry_that_cannot_be_read_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(at=ModelError("current: is not what this program writes"))
    for _ in range(5):
        assert not world.reloader.look().ok
    assert (1, 1) == (len(caplog.records), world.count("failed"))
    world.at = release("b", 2)
    assert world.reloader.look().ok
    assert "b" == world.taken()


def test_what_nobody_took_is_closed_with_the_reloader() -> None:
    world = World()
    world.promote("b")
    world.reloader.look()
    world.reloader.close()
    world.reloader.close()
    assert world.made["b"].closed
    assert world.taken() is None
