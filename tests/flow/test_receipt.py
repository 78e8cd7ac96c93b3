"""Every alert that fires can be recomputed from the store, and what was changed since is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from harness.flow import Flow, judge
from harness.receipts import flow_of

from monitor.events import TOPICS, Alert, Scored
from monitor.receipt import make
from monitor.receipt.audit import audit
from monitor.receipt.base import read_receipt, sha256_of
from monitor.receipt.check import Audit, Outcome
from monitor.receipt.provenance import Provenances
from monitor.receipt.rescore import rescored
from monitor.score.memory import MemoryScorer
from monitor.store.receipts.memory import MemoryReceipts

KEEP = 90.0


def fired(flow: Flow) -> list[Alert]:
    return [a for a in flow.database.alerts.values() if a.fired_at is not None]


def checked(flow: Flow, alert: Alert, now: Provenances | None = None, model: str = "") -> Audit:
    provenance = (now or flow.provenances).of(model or alert.model_version)
    return audit(alert.id, MemoryReceipts(flow.database), provenance, KEEP)


def said(found: Audit, outcome: Outcome) -> dict[str, str]:
    return {check.what: check.said for check in found.checks if check.outcome is outcome}


@pytest.fixture(scope="module")
def shared() -> Flow:
    return flow_of(1)


@pytest.fixture
def flow(shared: Flow) -> Iterator[Flow]:
    """Its database may be changed: it is put back afterwards."""
    db = shared.database
    kept = dict(db.documents), dict(db.alerts), dict(db.receipts)
    yield shared
    db.documents, db.alerts, db.receipts = kept


def an_alert(flow: Flow, detector: str = "share", key: str = f"topic:{TOPICS[5]}") -> Alert:
    return next(a for a in fired(flow) if (a.detector, a.key) == (detector, key))


@contextmanager
def document(flow: Flow, alert: Alert) -> Iterator[Scored]:
    """A voice of the alert's last bucket."""
    receipt = read_receipt(flow.database.receipts[alert.id].body)
    entry = next(
        e
        for e in reversed(receipt.documents)
        if e.voice and e.published_ms >= receipt.cause.start * 1000
    )
    yield flow.database.documents[entry.id]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_alert_that_fires_is_reproduced_exactly_from_the_store(
    seed: int, shared: Flow
) -> None:
    flow = shared if seed == 1 else flow_of(seed, 64 * seed)
    alerts = fired(flow)
    assert {"share", "volume"} == {a.detector for a in alerts}
    assert {"all", "company:XX:NGT"} <= {a.key for a in alerts}
    assert any(a.key.startswith("pair:") for a in alerts)
    for alert in alerts:
        found = checked(flow, alert)
        assert not said(found, Outcome.DIFFERS)
        assert Outcome.SAME is found.outcome
        assert {"receipt", "alert", "documents", "counts", "figure"} <= said(
            found, Outcome.SAME
        ).keys()
    early = [a for a in alerts if a.fired_at is not None and a.fired_at.minute % 5]
    assert early, "one that fires within its bucket is among them"


def test_a_receipt_lists_what_was_counted_and_where_it_lies(flow: Flow) -> None:
    alert = an_alert(flow)
    kept = flow.database.receipts[alert.id]
    assert alert.receipt == sha256_of(kept.body)
    receipt = read_receipt(kept.body)
    assert kept.body == receipt.body()
    assert {False, True} == {entry.voice for entry in receipt.documents}
    for entry in receipt.documents:
        stored = flow.database.documents[entry.id]
        assert tuple(stored.document.origin) == entry.kafka
        assert stored.document.author == entry.author
    inside = [e for e in receipt.documents if e.published_ms >= receipt.figures.window_start * 1000]
    assert sum(count.n for count in receipt.buckets) == sum(bool(e.voice) for e in inside)
    assert receipt.gates.voices == (alert.documents, 5)
    assert "Northgate" not in kept.body.decode(), "texts are not kept longer than they may be"


@pytest.mark.parametrize("detector", ["share", "volume"])
def test_a_deleted_document_is_named(flow: Flow, detector: str) -> None:
    alert = an_alert(flow, detector, "company:XX:NGT" if detector == "volume" else "all")
    with document(flow, alert) as gone:
        del flow.database.documents[gone.document.id]
    found = checked(flow, alert)
    assert Outcome.DIFFERS is found.outcome
    differs = said(found, Outcome.DIFFERS)
    assert f"{gone.document.id} was deleted before its time" == differs["documents"]
    assert {"documents", "counts", "figure now"} == differs.keys()
    assert "evalue" in differs["figure now"]


def test_a_changed_text_is_named_and_so_is_one_that_was_erased(flow: Flow) -> None:
    alert = an_alert(flow)
    with document(flow, alert) as stored:
        name, of = stored.document.id, stored.document
    for text, what in (("0 5 another", "another text"), ("", "its text was erased")):
        changed = stored._replace(document=of._replace(text=text, title=""))
        flow.database.documents[name] = changed
        found = checked(flow, alert)
        assert Outcome.DIFFERS is found.outcome
        assert said(found, Outcome.DIFFERS).keys() == {"documents"}
        assert f"{name}: {what}" in said(found, Outcome.DIFFERS)["documents"]


def test_a_changed_verdict_is_named_with_what_it_does_to_the_figure(flow: Flow) -> None:
    alert = an_alert(flow)
    with document(flow, alert) as stored:
        flip = (0.05, 0.9, 0.05) if stored.label == "negative" else (0.9, 0.05, 0.05)
        flow.database.documents[stored.document.id] = stored._replace(
            sentiment=flip, model_version="another"
        )
    differs = said(checked(flow, alert), Outcome.DIFFERS)
    assert {"documents", "counts", "figure now"} == differs.keys()
    assert f"{stored.document.id}: verdict" in differs["documents"]
    assert "by another now" in differs["documents"]


def test_what_moved_to_another_key_is_named(flow: Flow) -> None:
    alert = an_alert(flow)
    with document(flow, alert) as stored:
        flow.database.documents[stored.document.id] = stored._replace(topic=2)
    differs = said(checked(flow, alert), Outcome.DIFFERS)
    assert f"{stored.document.id} does not count for {alert.key} any more" == differs["documents"]


def test_what_retention_deleted_leaves_the_receipts_own_list(flow: Flow) -> None:
    alert = an_alert(flow)
    receipt = read_receipt(flow.database.receipts[alert.id].body)
    newest = max(flow.database.documents.values(), key=lambda s: s.document.published_at)
    at = datetime.fromtimestamp(receipt.figures.window_end, UTC) + timedelta(days=KEEP + 1)
    later = newest._replace(document=newest.document._replace(id="later", published_at=at))
    flow.database.documents = {"later": later}
    found = checked(flow, alert)
    assert Outcome.SAME is found.outcome
    gone = said(found, Outcome.GONE)["documents"]
    assert f"0 of {len(receipt.documents)} compared" in gone
    assert "deleted by retention" in gone
    assert {"counts", "figure"} <= said(found, Outcome.SAME).keys()


def test_what_came_in_later_is_told_and_changes_nothing(flow: Flow) -> None:
    alert = an_alert(flow)
    with document(flow, alert) as stored:
        more = stored._replace(document=stored.document._replace(id="more", author=None))
        flow.database.documents["more"] = more
    found = checked(flow, alert)
    assert Outcome.SAME is found.outcome
    assert "1 documents" in said(found, Outcome.CHANGED)["later documents"]


def test_a_copy_that_was_found_later_is_told_and_changes_nothing(flow: Flow) -> None:
    alert = an_alert(flow)
    with document(flow, alert) as stored:
        flow.database.documents[stored.document.id] = stored._replace(copy_of="earlier")
    found = checked(flow, alert)
    assert Outcome.SAME is found.outcome
    assert stored.document.id in said(found, Outcome.CHANGED)["later copies"]


def test_another_setting_another_model_and_another_program_are_named(flow: Flow) -> None:
    alert = an_alert(flow)
    other = Provenances({"detect": {"budget": 0.5, "min_authors": 3}})
    found = checked(flow, alert, other, "m-next")
    changed = said(found, Outcome.CHANGED)
    assert Outcome.SAME is found.outcome, "the receipt holds the settings of then"
    assert "detect.budget 1.0 then, 0.5 now" == changed["configuration"]
    assert f"version {alert.model_version} then, m-next now" == changed["model"]

    flow.provenances.note(alert.model_version, {"model.safetensors": "0" * 64})
    same_name = said(checked(flow, alert), Outcome.CHANGED)["model"]
    flow.provenances.note(alert.model_version, {})
    assert "with other model.safetensors" in same_name


def test_settings_of_the_detector_that_are_not_those_of_its_version_are_not_computed_with(
    flow: Flow,
) -> None:
    alert = an_alert(flow)
    kept = flow.database.receipts[alert.id]
    receipt = read_receipt(kept.body)
    cause = receipt.cause.model_copy(update={"settings": {**receipt.cause.settings, "budget": 9.0}})
    body = receipt.model_copy(update={"cause": cause}).body()
    flow.database.receipts[alert.id] = replace(kept, body=body)
    found = checked(flow, alert)
    assert Outcome.DIFFERS is found.outcome
    assert "where the alert said" in said(found, Outcome.DIFFERS)["receipt"]
    assert f"the alert is of {alert.detector_version}" in said(found, Outcome.OPEN)["figure"]


def test_another_version_of_the_rule_is_not_checkable_and_says_which_program_is(
    flow: Flow,
) -> None:
    alert = an_alert(flow)
    kept = flow.database.receipts[alert.id]
    receipt = read_receipt(kept.body)
    of = receipt.figures.detector_version.replace("share-2", "share-1")
    body = receipt.model_copy(
        update={"figures": receipt.figures.model_copy(update={"detector_version": of})}
    ).body()
    flow.database.receipts[alert.id] = replace(kept, body=body)
    changed = replace(alert, detector_version=of, receipt=sha256_of(body))
    flow.database.alerts[alert.id] = changed
    found = checked(flow, changed)
    assert Outcome.OPEN is found.outcome
    assert "with version" in said(found, Outcome.OPEN)["figure"]


def test_a_figure_that_was_changed_in_the_alert_or_its_receipt_is_named(flow: Flow) -> None:
    alert = an_alert(flow)
    flow.database.alerts[alert.id] = replace(alert, evalue=alert.evalue * (1 + 1e-15))
    assert "evalue" in said(checked(flow, alert), Outcome.DIFFERS)["alert"]
    flow.database.alerts[alert.id] = alert

    kept = flow.database.receipts[alert.id]
    receipt = read_receipt(kept.body)
    figures = receipt.figures.model_copy(update={"negative": receipt.figures.negative + 1})
    body = receipt.model_copy(update={"figures": figures}).body()
    flow.database.receipts[alert.id] = replace(kept, body=body)
    differs = said(checked(flow, alert), Outcome.DIFFERS)
    assert {"receipt", "alert", "figure"} == differs.keys()
    assert "negative" in differs["figure"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"detector": "blind"}, "has no figure"),
        ({"detector": "drill"}, "has no figure"),
        ({"receipt": ""}, "before receipts were kept"),
        ({}, "has been deleted"),
        ({"fired_at": None}, "never fired"),
    ],
)
def test_an_alert_without_a_receipt_says_why(
    flow: Flow, change: dict[str, object], why: str
) -> None:
    alert = an_alert(flow)
    del flow.database.receipts[alert.id]
    flow.database.alerts[alert.id] = replace(alert, **change)  # type: ignore[arg-type]
    found = checked(flow, alert)
    assert Outcome.OPEN is found.outcome
    assert why in said(found, Outcome.OPEN)["receipt"]


def test_an_unknown_alert_is_not_found(flow: Flow) -> None:
    found = audit("nobody", MemoryReceipts(flow.database), flow.provenances.of("m"), KEEP)
    assert "no such alert" in said(found, Outcome.OPEN)["alert"]


def test_a_receipt_that_cannot_be_read_says_where(flow: Flow) -> None:
    alert = an_alert(flow)
    kept = flow.database.receipts[alert.id]
    broken = kept.body.replace(b'"early":', b'"earlier":')
    flow.database.receipts[alert.id] = replace(kept, body=broken)
    assert "cause.early" in said(checked(flow, alert), Outcome.OPEN)["receipt"]


def test_texts_can_be_judged_again_by_the_same_weights(flow: Flow) -> None:
    alert, receipts = an_alert(flow), MemoryReceipts(flow.database)
    receipt = read_receipt(flow.database.receipts[alert.id].body)
    again = rescored(receipt, receipts, MemoryScorer(judge))
    assert Outcome.SAME is again.outcome
    assert f"{len(receipt.documents)} of {len(receipt.documents)} texts judged again" in again.said

    contrary = MemoryScorer(lambda text: ((judge(text)[0] + 1) % 3, 5))
    differs = rescored(receipt, receipts, contrary)
    assert Outcome.DIFFERS is differs.outcome
    assert receipt.documents[0].id in differs.said or "…" in differs.said

    failing = MemoryScorer(judge, bad_texts=frozenset(t.content for t in receipts.texts(["d9"])))
    flow.database.documents = {"d9": flow.database.documents["d9"]}
    listed = receipt.model_copy(
        update={"documents": (receipt.documents[0].model_copy(update={"id": "d9"}),)}
    )
    assert Outcome.DIFFERS is rescored(listed, receipts, failing).outcome

    other = rescored(receipt, receipts, MemoryScorer(judge, model_version="m-next"))
    assert Outcome.CHANGED is other.outcome
    assert "the weights are m-next now" in other.said


def test_of_more_documents_than_a_receipt_holds_the_newest_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(make, "MOST", 40)
    flow = flow_of(1)
    cut = 0
    for alert in fired(flow):
        receipt = read_receipt(flow.database.receipts[alert.id].body)
        assert len(receipt.documents) <= 40
        cut += receipt.listed_from > receipt.figures.window_start
        found = checked(flow, alert)
        assert "figure" in said(found, Outcome.SAME)
        assert Outcome.SAME is found.outcome
    assert cut
