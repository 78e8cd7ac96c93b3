"""What every ``Muting`` promises, in memory and in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from harness.alerts import NOW, an_alert

from monitor.events import Alert, AlertStatus
from monitor.matchers import parse
from monitor.store.base import Commit, Store
from monitor.store.engine import open_engine
from monitor.store.memory import MemoryDatabase, MemoryStore
from monitor.store.migrations import migrate
from monitor.store.muting.base import Acknowledgement, Muted, Muting, Silence
from monitor.store.muting.memory import MemoryMuting
from monitor.store.muting.sql import SqlMuting
from monitor.store.sql import SqlStore

HOUR = timedelta(hours=1)
SILENCE = Silence(
    "s1",
    (parse('topic=~"Energy.*"'), parse('severity!="critical"')),
    NOW,
    NOW + HOUR,
    "ann",
    "works on the pipeline – 油价",
    NOW,
)
TAKEN = Acknowledgement("a", "ben", "calls the desk", NOW + HOUR, NOW)


@pytest.fixture(params=["memory", "sqlite"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Muting, Store]]:
    if request.param == "memory":
        database = MemoryDatabase()
        yield MemoryMuting(database), MemoryStore(database)
        return
    url = f"sqlite:///{tmp_path / 'monitor.db'}"
    migrate(url)
    engine = open_engine(url)
    store = SqlStore(engine)
    yield SqlMuting(engine), store
    store.close()
    engine.dispose()


@pytest.fixture
def muting(both: tuple[Muting, Store]) -> Muting:
    return both[0]


def test_at_first_nothing_is_muted(muting: Muting) -> None:
    assert muting.muted(NOW) == Muted()


def test_a_silence_is_there_until_it_is_over(muting: Muting) -> None:
    muting.silence(SILENCE)
    assert muting.muted(NOW) == Muted((SILENCE,))
    assert muting.muted(NOW + HOUR - timedelta(seconds=1)).silences == (SILENCE,)
    assert muting.muted(NOW + HOUR) == Muted()


def test_a_maintenance_window_is_there_before_it_begins(muting: Muting) -> None:
    window = replace(SILENCE, starts=NOW + HOUR, ends=NOW + 2 * HOUR)
    muting.silence(window)
    assert muting.muted(NOW).silences == (window,)
    assert not window.active(NOW)
    assert window.active(NOW + HOUR)


def test_a_silence_with_a_known_id_replaces_it(muting: Muting) -> None:
    muting.silence(SILENCE)
    longer = replace(SILENCE, ends=NOW + 2 * HOUR)
    muting.silence(longer)
    assert muting.muted(NOW).silences == (longer,)


def test_a_silence_that_is_ended_is_over_at_once_and_once(muting: Muting) -> None:
    muting.silence(SILENCE)
    assert muting.expire("s1", NOW + timedelta(minutes=5))
    assert muting.muted(NOW + timedelta(minutes=5)) == Muted()
    assert not muting.expire("s1", NOW + timedelta(minutes=6))
    assert not muting.expire("nobody", NOW)


def test_an_acknowledgement_is_there_until_its_time_is_over(muting: Muting) -> None:
    muting.acknowledge(TAKEN)
    muting.acknowledge(replace(TAKEN, owner="cyd", created_at=NOW))
    assert [a.owner for a in muting.muted(NOW).acknowledgements] == ["cyd"]
    assert muting.muted(NOW + HOUR) == Muted()


def test_an_acknowledgement_can_be_taken_back(muting: Muting) -> None:
    muting.acknowledge(TAKEN)
    assert muting.withdraw("a")
    assert not muting.withdraw("a")
    assert muting.muted(NOW) == Muted()


def test_only_an_alert_that_goes_on_can_be_taken(both: tuple[Muting, Store]) -> None:
    muting, store = both

    def stored(made: Alert) -> None:
        store.apply(Commit(alerts=[made], now=NOW))

    store.load(0)
    assert not muting.firing("a")
    stored(an_alert("a"))
    assert muting.firing("a")
    stored(replace(an_alert("a"), status=AlertStatus.RESOLVED, resolved_at=NOW))
    assert not muting.firing("a")
