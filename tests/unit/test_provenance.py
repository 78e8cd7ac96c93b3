"""What a receipt says of program and configuration, and keys whose documents are not listed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.alerts import START, an_alert

from monitor.config import Detect, Entities, Settings
from monitor.detect.base import Reading
from monitor.detect.gates import Exhibit, Gate
from monitor.detect.surroundings import Fired
from monitor.detect.witness import Witness
from monitor.events import Alert
from monitor.opening import configuration_of
from monitor.receipt import provenance
from monitor.receipt.base import read_receipt
from monitor.receipt.make import Notary
from monitor.receipt.provenance import Provenances
from monitor.store.base import Listed


def sha(settings: Settings) -> str:
    return Provenances(configuration_of(settings)).of("m1").configuration_sha256


def test_the_configuration_holds_what_figures_depend_on_and_no_secret() -> None:
    found = configuration_of(Settings())
    assert {"aggregate", "detect", "entities", "files", "sources", "stories"} == found.keys()
    assert json.loads(json.dumps(found)) == found
    assert sha(Settings()) == sha(Settings(watchdog=7.0))
    assert sha(Settings()) != sha(Settings(detect=Detect(min_authors=4)))


def test_a_file_that_is_named_counts_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "calendar.csv"
    settings = Settings(detect=Detect(calendar=path), entities=Entities(aliases=tmp_path / "no"))
    assert "unreadable: No such file" in configuration_of(settings)["files"]["detect.calendar"]
    path.write_text("key,from,until,label\n")
    before = sha(settings)
    path.write_text("key,from,until,label\nall,x,y,z\n")
    assert before != sha(settings)


def test_the_rule_is_known_by_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    before = provenance.program().rule_sha256
    provenance.program.cache_clear()
    assert before == provenance.program().rule_sha256
    monkeypatch.setattr(provenance, "RULE", provenance.RULE[:-1])
    provenance.program.cache_clear()
    assert before != provenance.program().rule_sha256
    provenance.program.cache_clear()


class Nothing:
    """A store that must not be asked."""

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        raise AssertionError(f"{key} has no documents of its own")


def fired(witness: Witness | None) -> Fired:
    alert: Alert = an_alert("a", key="other:company")
    since = int(START.timestamp())
    reading = Reading(
        alert.key, True, 2.0, 1.0, 9, 8.0, 4.0, 0.6, 0.2, 40, 24, since, witness=witness
    )
    return Fired(alert, reading, Exhibit((), {}, {}), Gate(10, 3, 3))


def test_of_those_that_are_counted_together_the_figure_is_kept_and_no_document() -> None:
    notary = Notary(Nothing(), Provenances())
    start = int((START + timedelta(minutes=5)).timestamp())
    witness = Witness(
        key="other:company",
        start=start,
        early=False,
        states={"other:company": b"\x00\xff"},
        spoken={"other:company": (9, 8)},
        firing=(),
        blind=(),
        shared=(0, 1, 0, 0, 0, 0),
        settings={"budget": 0.5},
    )
    digest = notary.seal(fired(witness), (), {}, datetime(2026, 1, 1, tzinfo=UTC))
    (kept,) = notary.drain()
    receipt = read_receipt(kept.body)
    assert 64 == len(digest)
    assert ((), ()) == (receipt.documents, receipt.buckets)
    assert witness == receipt.cause.witness("other:company")
    assert [] == notary.drain()


def test_a_reading_without_a_witness_has_no_receipt() -> None:
    notary = Notary(Nothing(), Provenances())
    assert "" == notary.seal(fired(None), (), {}, datetime(2026, 1, 1, tzinfo=UTC))
    assert [] == notary.drain()
