"""`monitor verdicts`: how often each rule was right."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from monitor.config import load_settings
from monitor.store.engine import open_reader
from monitor.store.reads import Reads
from monitor.store.verdicts.base import Judgement
from monitor.store.verdicts.sql import SqlVerdicts
from monitor.verdict.precision import ENOUGH, Rule, in_words, rules

_WIDTH = 160  # of a file or a pipe


def show_rules(path: Path | None, target: float | None) -> None:
    """Print the table. ``target`` None: the configuration's. Raises ``MonitorError``."""
    settings = load_settings(path)
    target = settings.verdicts.target if target is None else target
    engine = open_reader(settings.store.url)
    with closing(Reads(engine)) as reads:
        span = reads.span()
        found = rules(SqlVerdicts(engine).fired(), span[1] if span else None, target)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    if not found:
        console.print("no alert has fired yet")
        return
    console.print(_table(found, target))
    console.print(
        f"A threshold is suggested where {ENOUGH} judged alerts or more above it reach the target; "
        "in brackets: 95 % Wilson intervals."
    )


def _table(found: list[Rule], target: float) -> Table:
    table = Table(title=f"verdicts, target {target:.0%}", title_justify="left", box=None)
    for name in ("rule", "fired", "a day", *Judgement, "precision", "threshold", "suggested"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for rule in found:
        table.add_row(
            f"{rule.detector} on {rule.sort}",
            f"{rule.fired}",
            f"{rule.per_day:.2f}",
            *(f"{rule.judged.get(judgement, 0)}" for judgement in Judgement),
            "–"
            if rule.precision is None
            else f"{rule.precision:.0%} ({rule.interval.low:.0%}–{rule.interval.high:.0%})",
            in_words(rule.threshold),
            suggested(rule),
        )
    return table


def suggested(rule: Rule) -> str:
    """A suggestion in words."""
    if (at := rule.suggestion) is None:
        return "–"
    return (
        f"{in_words(at.evalue)}: {at.precision:.0%} ({at.interval.low:.0%}–{at.interval.high:.0%}) "
        f"of {at.judged}, {at.per_day:.2f} a day"
    )
