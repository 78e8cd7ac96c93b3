"""Whether the receipt of an alert still gives its figure, and what has changed since."""

from __future__ import annotations

from monitor.events import Alert
from monitor.receipt.base import Figures, Provenance, Receipt, read_receipt, sha256_of
from monitor.receipt.check import Audit, Check, Outcome
from monitor.receipt.documents import Documents, counts
from monitor.receipt.figure import DETECTORS, figure
from monitor.receipt.make import figures_of
from monitor.receipt.since import since
from monitor.store.base import KeptReceipt
from monitor.store.receipts.base import Receipts


def audit(alert_id: str, receipts: Receipts, now: Provenance, keep_days: float) -> Audit:
    """Check an alert. ``now`` is what would compute today; documents are kept ``keep_days``, by
    event time. Raises ``StoreError``."""
    alert, kept = receipts.alert(alert_id), receipts.find(alert_id)
    if alert is None:
        why = "there is no such alert: give the whole label alert_id; alerts are deleted for age"
        return _open(alert_id, "alert", why)
    if kept is None:
        return _open(alert_id, "receipt", _why_none(alert))
    try:
        receipt = read_receipt(kept.body)
    except ValueError as error:
        return _open(alert_id, "receipt", f"it cannot be read: {error}")
    newest = receipts.newest()
    oldest = None if newest is None else newest.timestamp() - keep_days * 86_400
    documents = Documents.compare(receipt, receipts, oldest)
    checks = [
        _sealed(alert, kept),
        _told(alert, receipt),
        *documents.checks(),
        *counts(receipt, documents),
        *figure(receipt, documents),
        *since(receipt.provenance, now),
    ]
    return Audit(alert_id, tuple(checks), receipt)


def _open(alert_id: str, what: str, said: str) -> Audit:
    return Audit(alert_id, (Check(what, Outcome.OPEN, said),))


def _why_none(alert: Alert) -> str:
    if alert.fired_at is None:
        return f"the alert is {alert.status.value} and never fired: receipts are made of firing"
    if alert.detector not in DETECTORS:
        return (
            f"an alert of the detector {alert.detector} has no figure that follows from counted "
            "documents, so there is nothing to recompute"
        )
    if alert.receipt:
        return f"it has been deleted; its SHA-256 was {alert.receipt}"
    return "the alert fired before receipts were kept"


def _sealed(alert: Alert, kept: KeptReceipt) -> Check:
    found = sha256_of(kept.body)
    if found == alert.receipt:
        return Check("receipt", Outcome.SAME, f"SHA-256 {found}, as the alert said")
    said = alert.receipt or "nothing"
    return Check("receipt", Outcome.DIFFERS, f"SHA-256 {found}, where the alert said {said}")


def _told(alert: Alert, receipt: Receipt) -> Check:
    """The alert's row against the receipt; its summary and evidence rest on these figures."""
    differing = _differing(receipt.figures, figures_of(alert))
    if not differing:
        return Check("alert", Outcome.SAME, "its figures are those of the receipt")
    return Check("alert", Outcome.DIFFERS, "; ".join(differing))


def _differing(then: Figures, now: Figures) -> list[str]:
    there, here = then.model_dump(), now.model_dump()
    return [
        f"{name} {there[name]!r} in the receipt, {here[name]!r} in the alert"
        for name in there
        if there[name] != here[name]
    ]
