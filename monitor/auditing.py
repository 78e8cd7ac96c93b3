"""`monitor receipt`: what an alert followed from, and whether that still gives its figure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from models import manifest
from models.errors import ModelError
from monitor.config import Settings, load_settings
from monitor.decoding import kept_author_key, make_decoder
from monitor.errors import MonitorError, SourceError
from monitor.jsonfile import write_json
from monitor.loading import current_release, load_scorer
from monitor.metrics import Metrics
from monitor.opening import configuration_of, kafka_settings
from monitor.receipt.audit import audit
from monitor.receipt.base import Provenance, Receipt
from monitor.receipt.check import Audit, Check, Outcome
from monitor.receipt.provenance import Provenances
from monitor.receipt.records import Reread, reread
from monitor.receipt.rescore import rescored
from monitor.source.archive import KafkaArchive
from monitor.store.engine import open_reader
from monitor.store.receipts.sql import SqlReceipts

STATUS = {Outcome.SAME: 0, Outcome.DIFFERS: 1, Outcome.OPEN: 2}
"""Exit status by outcome."""
_WIDTH = 140  # of a file or a pipe
_SAID = {
    Outcome.SAME: "reproduced exactly",
    Outcome.DIFFERS: "NOT reproduced: see what differs",
    Outcome.OPEN: "not checkable",
}


@dataclass(frozen=True, slots=True)
class ReceiptOptions:
    """What the command line chose."""

    alert_id: str
    config: Path | None
    json: Path | None
    """Where the receipt and all checks are to be written."""
    rescore: bool = False
    """Judge the stored texts again."""
    kafka: bool = False
    """Read the documents' records again."""


def run_receipt(options: ReceiptOptions) -> int:
    """Check one alert and print a line for each check; `STATUS`. Raises ``MonitorError``."""
    settings = load_settings(options.config)
    now, keep = provenance_of(settings), settings.store.keep_texts_days
    with closing(SqlReceipts(open_reader(settings.store.url))) as receipts:
        found = audit(options.alert_id, receipts, now, keep)
        if found.receipt is not None:
            more = _asked_for(options, settings, found.receipt, receipts)
            found = replace(found, checks=(*found.checks, *more))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    _show(found, console)
    if options.json is not None:
        write_json(options.json, audit_object(found))
    return STATUS[found.outcome]


def _asked_for(
    options: ReceiptOptions, settings: Settings, receipt: Receipt, receipts: SqlReceipts
) -> Iterator[Check]:
    """What is looked at beyond the database."""
    texts: Mapping[str, str] = {}
    if options.kafka:
        there = _reread(settings, receipt)
        texts = there.texts
        yield there.check
    if options.rescore:
        path = current_release(settings.model).path
        with closing(load_scorer(settings.model, Metrics(CollectorRegistry()), path)) as scorer:
            yield rescored(receipt, receipts, scorer, texts)


def _reread(settings: Settings, receipt: Receipt) -> Reread:
    if kept_author_key(settings) is None:
        said = (
            "the key of the authors' hashes is not here: run this where the daemon keeps its "
            "database, or set intake.author_key to that of the daemon"
        )
        return Reread(Check("kafka", Outcome.OPEN, said))
    try:
        archive = KafkaArchive(kafka_settings(settings.kafka))
    except SourceError as error:
        return Reread(Check("kafka", Outcome.OPEN, str(error)))
    with closing(archive):
        return reread(receipt, archive, make_decoder(settings).decode)


def provenance_of(settings: Settings) -> Provenance:
    """What a daemon of this configuration would compute with."""
    provenances = Provenances(configuration_of(settings))
    try:
        weights = manifest.read(current_release(settings.model).path)
    except (ModelError, MonitorError) as error:
        print(f"monitor receipt: no model to compare with: {error}", file=sys.stderr)
        return provenances.of("")
    provenances.note(weights.version, weights.files)
    return provenances.of(weights.version)


def _show(found: Audit, console: Console) -> None:
    if found.receipt is not None:
        console.print(_headline(found.receipt))
    table = Table(box=None, title_justify="left")
    for name in ("check", "outcome", ""):
        table.add_column(name, overflow="fold", no_wrap=name == "check")
    for check in found.checks:
        table.add_row(check.what, check.outcome.value, check.said)
    console.print(table)
    console.print(f"alert {found.alert_id}: {_SAID[found.outcome]}")


def _headline(receipt: Receipt) -> str:
    f, gates = receipt.figures, receipt.gates
    return (
        f"{f.key} by {f.detector}: {f.negative} of {f.documents} voices negative, "
        f"{len(receipt.documents)} documents listed, {gates.authors[0]} authors (of "
        f"{gates.authors[1]} needed), {gates.sources[0]} sources (of {gates.sources[1]})"
    )


def audit_object(found: Audit) -> dict[str, Any]:
    """An audit as JSON values."""
    return {
        "alert_id": found.alert_id,
        "outcome": found.outcome.value,
        "checks": [
            {"check": c.what, "outcome": c.outcome.value, "said": c.said} for c in found.checks
        ],
        "receipt": None if found.receipt is None else found.receipt.model_dump(mode="json"),
    }
