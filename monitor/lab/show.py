"""The comparison as tables, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from monitor.events import Alert
from monitor.keys import display_name
from monitor.lab.compare import Changed, Comparison, Moved, Side
from monitor.lab.ledger import Outcome
from monitor.store.verdicts.base import Judgement

_WIDTH = 160  # of a file or a pipe
_MOST = 30  # alerts listed of each sort
_KEPT_BACK = ("insufficient", "expected", "under")


def show(
    found: Comparison,
    documents: int,
    changes: Sequence[str],
    names: Mapping[str, str],
    *,
    stored: bool = False,
) -> None:
    """Print everything. ``names``: of companies and watched items, by key; ``stored``: the changed
    rules stand beside what fired."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(
        f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC; "
        f"{documents:,} documents gone through"
    )
    for change in changes or ["nothing is changed"]:
        console.print(f"  {change}")
    console.print(_figures(found, "as it was" if stored else "today's rules"))
    if not stored:
        console.print(
            f"of {found.stored} alerts that were sent then, today's rules send"
            f" {found.reproduced} again"
        )
    for name, changed in (("gained", found.gained), ("lost", found.lost)):
        if changed:
            console.print(_listed(name, changed, names))
    moved = sorted((m for m in found.both if m.lead), key=lambda m: -abs(m.lead))
    if moved:
        console.print(_moved(moved, names))


def as_json(
    found: Comparison,
    documents: int,
    changes: Sequence[str],
    names: Mapping[str, str],
    against: str = "rules",
) -> dict[str, Any]:
    """Everything; times in RFC 3339, lead times in seconds (positive: earlier than today).

    ``against``: "rules", ``today`` is what today's rules came to; "stored", it is what fired.
    """
    return {
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "documents": documents,
        "changes": list(changes),
        "against": against,
        "today": _side(found.today),
        "other": _side(found.other),
        "sent_then": found.stored,
        "reproduced": found.reproduced,
        "median_lead": None if found.median_lead is None else found.median_lead.total_seconds(),
        "both": [
            {
                **_alert(m.other, names),
                "sent_today": _iso(m.today.sent_at),
                "lead": m.lead.total_seconds(),
            }
            for m in found.both
        ],
        "gained": [_change(c, names) for c in found.gained],
        "lost": [_change(c, names) for c in found.lost],
    }


def _figures(found: Comparison, beside: str) -> Table:
    table = Table(title_justify="left", box=None)
    table.add_column("")
    for name in (beside, "changed", "difference"):
        table.add_column(name, justify="right")
    today, other = found.today, found.other

    def row(name: str, was: float, now: float, form: str = ".0f") -> None:
        table.add_row(name, f"{was:{form}}", f"{now:{form}}", f"{now - was:+{form}}")

    row("alerts sent", today.sent, other.sent)
    row("a day", today.per_day, other.per_day, ".2f")
    for reason in _KEPT_BACK:
        row(f"not sent: {reason}", today.kept_back.get(reason, 0), other.kept_back.get(reason, 0))
    for judgement in Judgement:
        row(f"judged {judgement}", today.judged.get(judgement, 0), other.judged.get(judgement, 0))
    table.add_row("precision", _precision(today), _precision(other))
    row("judged true, not sent", today.missed, other.missed)
    earlier = sum(m.lead > timedelta(0) for m in found.both)
    later = sum(m.lead < timedelta(0) for m in found.both)
    lead = "" if found.median_lead is None else f", median {_minutes(found.median_lead)}"
    table.add_row("sent by both", "", f"{len(found.both)}")
    table.add_row("earlier, later", "", f"{earlier}, {later}{lead}")
    table.add_row("gained, lost", "", f"{len(found.gained)}, {len(found.lost)}")
    return table


def _precision(side: Side) -> str:
    if side.precision is None:
        return "–"
    return f"{side.precision:.0%} ({side.interval.low:.0%}–{side.interval.high:.0%})"


def _listed(name: str, changed: Sequence[Changed], names: Mapping[str, str]) -> Table:
    more = f", the first {_MOST} of {len(changed)}" if len(changed) > _MOST else ""
    table = Table(title=f"{name}{more}", title_justify="left", box=None)
    for column in ("sent at", "alert", "verdict", "otherwise"):
        table.add_column(column)
    for change in changed[:_MOST]:
        table.add_row(
            _shown(change.outcome.sent_at),
            _summary(change.outcome.alert, names),
            change.judgement or "",
            change.otherwise or "no alarm",
        )
    return table


def _moved(moved: Sequence[Moved], names: Mapping[str, str]) -> Table:
    more = f", the {_MOST} that moved most of {len(moved)}" if len(moved) > _MOST else ""
    table = Table(title=f"earlier or later{more}", title_justify="left", box=None)
    for column in ("sent at", "today at", "lead", "alert"):
        table.add_column(column)
    for each in moved[:_MOST]:
        table.add_row(
            _shown(each.other.sent_at),
            _shown(each.today.sent_at),
            _minutes(each.lead),
            display_name(each.other.alert.key, names),
        )
    return table


def _side(side: Side) -> dict[str, Any]:
    return {
        "sent": side.sent,
        "per_day": side.per_day,
        "not_sent": {reason: side.kept_back.get(reason, 0) for reason in _KEPT_BACK},
        "judged": {str(j): side.judged.get(j, 0) for j in Judgement},
        "precision": side.precision,
        "precision_interval": list(side.interval),
        "judged_true_not_sent": side.missed,
    }


def _alert(outcome: Outcome, names: Mapping[str, str]) -> dict[str, Any]:
    alert = outcome.alert
    return {
        "key": alert.key,
        "detector": alert.detector,
        "severity": alert.severity.value,
        "started_at": alert.started_at.isoformat(),
        "fired_at": _iso(alert.fired_at),
        "sent_at": _iso(outcome.sent_at),
        "resolved_at": _iso(alert.resolved_at),
        "documents": alert.documents,
        "negative": alert.negative,
        "summary": _summary(alert, names),
    }


def _summary(alert: Alert, names: Mapping[str, str]) -> str:
    """A rerun does not read whom its texts name, so that its summaries have symbols for names."""
    symbol = display_name(alert.key)
    if not alert.summary.startswith(symbol):
        return alert.summary
    return display_name(alert.key, names) + alert.summary.removeprefix(symbol)


def _change(changed: Changed, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        **_alert(changed.outcome, names),
        "otherwise": changed.otherwise or None,
        "verdict": changed.judgement,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _minutes(lead: timedelta) -> str:
    return f"{lead / timedelta(minutes=1):+.0f} min"
