"""`monitor receipt`: what it prints, what it writes, with which status it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.alerts import an_alert
from harness.receipts import flow_of
from sqlalchemy import Engine, select, update

from monitor import cli
from monitor.receipt.base import Receipt, read_receipt, sha256_of
from monitor.store import schema
from monitor.store.base import Commit
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.receipts.sql import SqlReceipts
from monitor.store.sql import SqlStore

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which alerts have fired, and its configuration."""
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
    return folder


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

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        config = str(folder / "monitor.toml")
        argv = ["monitor", "receipt", *map(str, arguments), "-c", config]
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
