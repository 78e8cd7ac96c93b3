"""The composition of what is handed in: when it is on, and what it does when sending fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from monitor import reception
from monitor.clock import SystemClock
from monitor.config import Settings
from monitor.errors import LeaseError, MonitorError, SourceError
from monitor.metrics import Metrics
from monitor.reception import LANE, Reception
from monitor.source.contract import Limits
from monitor.source.decode import Decoder
from monitor.source.settings import KafkaSettings
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.publishing.base import Message
from monitor.store.publishing.sql import SqlLane, SqlPublishing

KEY = {"http": {"keys": [{"name": "desk", "secret": "f" * 32}]}}
FOLDER = {"watch_folders": [{"path": "inbox"}]}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'monitor.db'}"
    migrate(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


def built(engine: Engine, tree: Mapping[str, object], stop: threading.Event) -> Reception:
    return Reception(
        Settings.model_validate(tree),
        KafkaSettings(),
        engine,
        Decoder(Limits(), {}, str).decode,
        SystemClock(),
        Metrics(CollectorRegistry()),
        stop,
    )


@pytest.mark.parametrize(("tree", "used"), [({}, False), (KEY, True), (FOLDER, True)])
def test_it_is_on_where_a_key_or_a_folder_is_configured(
    engine: Engine, tree: Mapping[str, object], used: bool
) -> None:
    assert used is built(engine, tree, threading.Event()).open()


def test_what_waits_from_before_is_sent_although_nothing_is_configured_any_more(
    engine: Engine,
) -> None:
    publishing = SqlPublishing(engine, SqlLane(engine, LANE))
    publishing.add([Message("news", "a", b"{}")], datetime.now(UTC))
    assert built(engine, {}, threading.Event()).open()


class Sending:
    """In the place of the sender's loop: raises, one after the other, then stops the daemon."""

    def __init__(self, stop: threading.Event, *faults: MonitorError) -> None:
        self.stop = stop
        self.faults = list(faults)

    def __call__(self, _stop: threading.Event) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.stop.set()


Start = Callable[..., Sending]


@pytest.fixture
def start(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Start:
    monkeypatch.setattr(reception, "_PATIENCE", 0.0)

    def run(*faults: MonitorError) -> Sending:
        stop = threading.Event()
        part = built(engine, KEY, stop)
        sending = Sending(stop, *faults)
        monkeypatch.setattr(part._sender, "run", sending)
        part.open()
        part.run()
        return sending

    return run


def test_a_fault_that_a_person_has_to_mend_does_not_end_the_daemon(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        sending = start(SourceError("no right to write"), SourceError("no right to write"))
    assert sending.stop.is_set() and not sending.faults
    assert 2 == caplog.text.count("no right to write")


def test_another_daemon_that_takes_over_ends_it(start: Start) -> None:
    with pytest.raises(LeaseError):
        start(LeaseError("taken"))
