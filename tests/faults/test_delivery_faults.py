"""A delivery loop that fails or dies at every single call loses no alert and forges no id."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar, get_args

import pytest
from harness.alerts import NOW, START, an_alert, receivers

from monitor.alert.codec import alert_to_json
from monitor.alert.group import GroupTiming
from monitor.alert.lane import InlineLane
from monitor.clock import ManualClock
from monitor.delivery import DeliveryLoop
from monitor.errors import DeliveryError, SourceError, StoreError
from monitor.events import Alert, AlertStatus
from monitor.store.base import (
    RECEIVERS,
    GroupState,
    Notification,
    NotificationStatus,
    OutboxChange,
    OutboxRow,
)
from monitor.store.memory import MemoryDatabase, MemoryOutbox

TIMING = GroupTiming(timedelta(seconds=1), timedelta(seconds=5), timedelta(hours=4))
How = Literal["error before", "error after", "death before", "death after"]
HOWS: tuple[How, ...] = get_args(How)
T = TypeVar("T")


class Killed(BaseException):
    """``kill -9``: nothing in the program may catch it."""


class Fuse:
    """Blows at the n-th call that it guards, before or after the call's effect."""

    def __init__(self, at: int, how: How, error: Callable[[], Exception]) -> None:
        self.left = at
        self.how = how
        self.error = error
        self.blown = False

    def call(self, work: Callable[[], T], error: Callable[[], Exception] | None = None) -> T:
        self.left -= 1
        if self.left != 0:
            return work()
        self.blown = True
        if self.how.endswith("after"):
            work()
        if self.how.startswith("death"):
            raise Killed
        fault = (error or self.error)()
        raise fault


class World:
    """What outlives the process: the database, the topics, the receiver's memory."""

    def __init__(self, fuse: Fuse | None = None) -> None:
        self.db = MemoryDatabase()
        self.clock = ManualClock(NOW)
        self.fuse = fuse or Fuse(0, "error before", lambda: StoreError("never"))
        self.topics: defaultdict[str, list[bytes]] = defaultdict(list)
        self.bodies: defaultdict[str, set[bytes]] = defaultdict(set)
        self.taken: list[Notification] = []

    # Outbox
    def rows(self, limit: int, skip: Collection[str] = ()) -> Sequence[OutboxRow]:
        return self.fuse.call(lambda: MemoryOutbox(self.db).rows(limit, skip))

    def groups(self) -> Sequence[GroupState]:
        return self.fuse.call(lambda: MemoryOutbox(self.db).groups())

    def due(self, now: datetime, limit: int, skip: Collection[str] = ()) -> Sequence[Notification]:
        return self.fuse.call(lambda: MemoryOutbox(self.db).due(now, limit, skip))

    def save(self, change: OutboxChange) -> None:
        self.fuse.call(lambda: MemoryOutbox(self.db).save(change))

    # Publisher
    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        self.fuse.call(
            lambda: self.topics[topic].extend(value for _, value in messages),
            lambda: SourceError("broken"),
        )

    # Notifier
    def send(self, notification: Notification, now: datetime) -> None:
        def take() -> None:
            self.bodies[notification.id].add(notification.body)
            self.taken.append(notification)

        self.fuse.call(take, lambda: DeliveryError("broken", retryable=True))

    def close(self) -> None:
        pass

    # DeliveryMetrics
    def published(self, topic: str, messages: int) -> None:
        pass

    def delivered(self, receiver: str, seconds: float) -> None:
        pass

    def failed(self, destination: str, retryable: bool) -> None:
        pass

    def dead(self, receiver: str) -> None:
        pass

    def lag(self, seconds: float) -> None:
        pass

    def loop(self) -> DeliveryLoop:
        both = receivers({"ops": self, "desk": self})
        return DeliveryLoop(
            self, self, both, TIMING, self, self.clock, lambda: 0.5, lane=InlineLane
        )


def alert(name: str, key: str, *, ended: bool = False) -> Alert:
    made = an_alert(name, key)
    if not ended:
        return made
    return replace(
        made, status=AlertStatus.RESOLVED, resolved_at=START + timedelta(hours=1), updated_at=NOW
    )


SCRIPT: dict[int, list[tuple[str, bytes]]] = {
    0: [
        (RECEIVERS, alert_to_json(alert("a", "topic:A"))),
        ("scored", b'{"key": "1", "value": {"n": 1}}'),
        ("alerts", b'{"key": "a", "value": {"n": 2}}'),
    ],
    3: [(RECEIVERS, alert_to_json(alert("b", "topic:B")))],
    4: [
        (RECEIVERS, alert_to_json(alert("a", "topic:A", ended=True))),
        ("scored", b'{"key": "3", "value": {"n": 3}}'),
        (RECEIVERS, alert_to_json(alert("c", "topic:A"))),
    ],
    9: [
        (RECEIVERS, alert_to_json(alert("b", "topic:B", ended=True))),
        (RECEIVERS, alert_to_json(alert("c", "topic:A", ended=True))),
    ],
}


def play(world: World, steps: int = 120) -> int:
    """Run the script, a step a second; a new loop over the same world after each death."""
    deaths, loop = 0, world.loop()
    for second in range(steps):
        for destination, payload in SCRIPT.get(second, []):
            world.db.append(destination, payload, world.clock.now())
        try:
            loop.step(world.clock.now())
        except Killed:
            deaths += 1
            loop = world.loop()
        world.clock.advance(1)
    return deaths


def assert_nothing_lost_or_forged(world: World) -> None:
    assert world.db.outbox == {}
    assert world.db.groups == {}
    assert {"1": {1, 3}, "2": {2}} == {
        "1": {json.loads(v)["n"] for v in world.topics["scored"]},
        "2": {json.loads(v)["n"] for v in world.topics["alerts"]},
    }
    told: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for notification in world.taken:
        for item in json.loads(notification.body)["alerts"]:
            told[notification.receiver].add((item["labels"]["alert_id"], item["status"]))
    for receiver in ("ops", "desk"):
        # Each one's end is told; its beginning may be in the same message.
        assert {(name, "resolved") for name in "abc"} <= told[receiver]
    assert {1} == {len(bodies) for bodies in world.bodies.values()}
    stored = world.db.notifications
    assert {NotificationStatus.PENDING} & {n.status for n in stored.values()} == set()
    for identity, bodies in world.bodies.items():
        assert bodies == {stored[identity].body}


def calls_of_a_quiet_run() -> int:
    world = World(Fuse(10**9, "error before", lambda: StoreError("never")))
    play(world)
    assert_nothing_lost_or_forged(world)
    assert len(world.taken) == len(world.bodies)
    return 10**9 - world.fuse.left


def test_a_quiet_run_tells_every_alert_once_when_it_fires_and_once_when_it_ends() -> None:
    world = World()
    play(world)
    assert_nothing_lost_or_forged(world)
    told = sorted(
        (n.receiver, item["labels"]["alert_id"], item["status"])
        for n in world.taken
        for item in json.loads(n.body)["alerts"]
    )
    both = [(name, status) for name in "abc" for status in ("firing", "resolved")]
    assert told == sorted((receiver, *pair) for receiver in ("ops", "desk") for pair in both)


@pytest.mark.parametrize("how", HOWS)
def test_a_fault_at_any_call_loses_nothing_and_gives_no_id_two_bodies(how: How) -> None:
    # The script is over after 20 of the 120 seconds; the rest are looks at an empty outbox.
    for at in range(1, calls_of_a_quiet_run() // 3):
        world = World(Fuse(at, how, lambda: StoreError("the connection was lost")))
        deaths = play(world)
        assert world.fuse.blown, at
        assert deaths == (1 if how.startswith("death") else 0), at
        assert_nothing_lost_or_forged(world)


class Again(Fuse):
    """Blows again and again, at random distances and in random ways."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        super().__init__(0, "error before", lambda: StoreError("lost"))
        self.rewind()

    def rewind(self) -> None:
        self.left = self.random.randrange(1, 30)
        self.how = self.random.choice(HOWS)

    def call(self, work: Callable[[], T], error: Callable[[], Exception] | None = None) -> T:
        if self.left == 0:
            self.count += 1
            self.rewind()
        return super().call(work, error)


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_faults_and_deaths_at_random_calls_lose_nothing(seed: int) -> None:
    faults = 0
    for round_ in range(1000):
        again = Again(1000 * seed + round_)
        world = World(again)
        play(world, 40)
        faults += again.count
        world.fuse = Fuse(0, "error before", lambda: StoreError("never"))
        loop = world.loop()
        for _ in range(60):  # the repair has come: everything is settled within the hour
            world.clock.advance(60)
            loop.step(world.clock.now())
        assert_nothing_lost_or_forged(world)
        if faults >= 300:
            return
    pytest.fail(f"only {faults} faults were injected")
