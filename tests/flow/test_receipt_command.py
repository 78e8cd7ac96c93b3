"""`monitor receipt`: what it prints, what it writes, with which status it ends."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from confluent_kafka import Producer
from harness.alerts import an_alert
from harness.receipts import flow_of
from sqlalchemy import Engine, select, update

from monitor import auditing, cli, config
from monitor.demo.broker import API_VERSION, EmbeddedBroker
from monitor.events import Record
from monitor.opening import kafka_settings
from monitor.receipt.base import Receipt, read_receipt, sha256_of
from monitor.source.settings import KafkaSettings
from monitor.store import schema
from monitor.store.base import Commit
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.receipts.sql import SqlReceipts
from monitor.store.sql import SqlStore

Call = Callable[..., tuple[int, str, str]]

KEYED = '[intake]\nauthor_key = "test"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """A database in which alerts have fired, its configuration, and what was read."""
    folder = tmp_path_factory.mktemp("receipts")
    url = f"sqlite:///{folder / 'monitor.db'}"
    migrate(url)
    engine = open_engine(url)

    flow = flow_of(1, store_on=lambda _database: SqlStore(engine))
    flow.store.apply(Commit(alerts=[an_alert("blind-one", detector="blind")]))
    engine.dispose()
    (folder / "monitor.toml").write_text(
        f'[store]\nurl = "{url}"\n[model]\nregistry = "{folder / "models"}"\n'
    )
    return folder, flow.log.records("news")


@pytest.fixture(scope="module")
def folder(site: tuple[Path, list[Record]]) -> Path:
    return site[0]


@pytest.fixture(scope="module")
def broker(site: tuple[Path, list[Record]]) -> Iterator[EmbeddedBroker]:
    """The records that the alerts came from, in a topic that has four partitions by now."""
    _, records = site
    with EmbeddedBroker() as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 5})
        for record in records:
            producer.produce("news", record.value, partition=0)
        assert 0 == producer.flush(10)
        yield broker


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{folder / 'monitor.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def monitor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """The console script in this process: status, standard output, standard error."""

    def call(*arguments: str | Path, more: str = "") -> tuple[int, str, str]:
        path = folder / "monitor.toml"
        if more:
            path = folder / "more.toml"
            path.write_text((folder / "monitor.toml").read_text() + more)
        argv = ["monitor", "receipt", *map(str, arguments), "-c", str(path)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def some_alert(engine: Engine, detector: str) -> Receipt:
    with engine.connect() as connection:
        for (identifier,) in connection.execute(select(schema.receipts.c.alert_id)):
            kept = SqlReceipts(engine).find(identifier)
            assert kept is not None
            receipt = read_receipt(kept.body)
            if receipt.figures.detector == detector:
                return receipt
    pytest.fail(f"no alert of {detector}")


@pytest.mark.parametrize("detector", ["share", "volume"])
def test_a_reproduced_alert_ends_with_0_and_names_what_has_changed_since(
    monitor: Call, engine: Engine, detector: str
) -> None:
    receipt = some_alert(engine, detector)
    status, out, _ = monitor(receipt.figures.id)
    assert 0 == status
    assert out.endswith(f"alert {receipt.figures.id}: reproduced exactly\n")
    (figure,) = [line for line in out.splitlines() if line.strip().startswith("figure ")]
    assert "same" in figure
    assert f"{receipt.figures.evalue:.6g}" in figure
    # The stream's scorer is none of the registry, and no configuration was noted.
    changed = {line.split()[0] for line in out.splitlines() if "changed since" in line}
    assert {"configuration", "model"} <= changed


def test_the_receipt_and_every_check_can_be_written(
    monitor: Call, engine: Engine, tmp_path: Path
) -> None:
    receipt = some_alert(engine, "share")
    monitor(receipt.figures.id, "--json", tmp_path / "audit.json")
    written = json.loads((tmp_path / "audit.json").read_text())
    assert ("same", receipt.figures.id) == (written["outcome"], written["alert_id"])
    assert receipt == Receipt.model_validate_json(json.dumps(written["receipt"]))
    checks = {check["check"]: check for check in written["checks"]}
    assert sha256_of(receipt.body()) in checks["receipt"]["said"]


def test_a_changed_document_ends_with_1_and_is_named(monitor: Call, engine: Engine) -> None:
    receipt = some_alert(engine, "share")
    last = receipt.documents[-1].id
    changed = schema.documents.c.id == last
    with engine.begin() as connection:
        text = connection.scalar(select(schema.documents.c.text).where(changed))
        connection.execute(update(schema.documents).where(changed).values(text="- 5 forged"))
    try:
        status, out, _ = monitor(receipt.figures.id)
    finally:
        with engine.begin() as connection:
            connection.execute(update(schema.documents).where(changed).values(text=text))
    assert 1 == status
    assert f"{last}: another text" in " ".join(out.split())
    assert "NOT reproduced" in out


def test_what_cannot_be_recomputed_ends_with_2_and_says_why(monitor: Call) -> None:
    status, out, _ = monitor("nobody")
    assert (2, True) == (status, "there is no such alert" in out)
    status, out, _ = monitor("blind-one")
    assert (2, True) == (status, "has no figure that follows" in " ".join(out.split()))


def test_a_file_that_cannot_be_written_is_one_line(monitor: Call, tmp_path: Path) -> None:
    status, _, err = monitor("nobody", "--json", tmp_path / "none" / "audit.json")
    assert 1 == status
    assert "audit.json: cannot be written" in err


def cluster(servers: str) -> str:
    version = list(API_VERSION)
    return f'[kafka]\nbootstrap_servers = "{servers}"\napi_version = {version}\n'


def check_of(out: str, name: str) -> str:
    """The line of a check, and those that it goes on in."""
    begin = out.index(f"\n {name} ")
    lines = out[begin + 1 :].splitlines()
    more = takewhile(lambda line: line.startswith("   "), lines[1:])
    return " ".join(" ".join([lines[0], *more]).split())


def test_with_kafka_the_records_are_read_again_and_no_group_is_joined(
    monitor: Call, engine: Engine, broker: EmbeddedBroker
) -> None:
    receipt = some_alert(engine, "share")
    status, out, _ = monitor(
        receipt.figures.id, "--kafka", more=KEYED + cluster(broker.bootstrap_servers)
    )
    assert 0 == status
    listed = len(receipt.documents)
    said = f"kafka same {listed} of {listed} records read again: id, text, source, author, time"
    assert said == check_of(out, "kafka")


def test_what_differs_from_kafka_ends_with_1(
    monitor: Call, engine: Engine, broker: EmbeddedBroker
) -> None:
    more = '[intake]\nauthor_key = "another"\n' + cluster(broker.bootstrap_servers)
    status, out, _ = monitor(some_alert(engine, "share").figures.id, "--kafka", more=more)
    assert 1 == status
    assert "every author is another: is intake.author_key that of then?" in check_of(out, "kafka")


def test_a_broker_that_is_away_ends_with_2_and_the_rest_is_checked_all_the_same(
    monitor: Call, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(kafka: config.Kafka) -> KafkaSettings:
        return replace(kafka_settings(kafka), connect_timeout=0.1)

    monkeypatch.setattr(auditing, "kafka_settings", impatient)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, out, _ = monitor(
            some_alert(engine, "share").figures.id, "--kafka", more=KEYED + cluster(address)
        )
    assert 2 == status
    said = check_of(out, "kafka")
    assert f"kafka not checkable No Kafka broker answers at {address}" in said
    assert "Check that a broker runs there" in said
    assert check_of(out, "figure").startswith("figure same")


def test_without_the_key_of_the_authors_kafka_is_not_read_and_none_is_made(
    monitor: Call, engine: Engine, folder: Path
) -> None:
    status, out, _ = monitor(some_alert(engine, "share").figures.id, "--kafka")
    assert 2 == status
    assert "the key of the authors' hashes is not here" in check_of(out, "kafka")
    assert not list(folder.glob("*.author-key"))


def test_the_example_in_the_help_names_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["monitor", "receipt", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    said = " ".join(capsys.readouterr().out.split())
    assert "-c monitor.toml --kafka --rescore --json audit.json" in said
