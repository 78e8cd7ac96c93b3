"""Reports on targets as tables for a terminal, and as JSON."""

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from models.labels import SENTIMENTS
from models.manifest import Score, TargetReport
from models.marking.report import Against


def record_of(found: Against) -> dict[str, object]:
    """Return the report as what JSON takes."""
    return {
        "head": found.head.model_dump(mode="json"),
        "sentiment of the text": found.texts.model_dump(mode="json"),
        "difference of macro-F1": {k: round(v, 4) for k, v in asdict(found.difference).items()},
    }


def print_against(console: Console, title: str, found: Against) -> None:
    """Print the head's scores beside those of giving each entity the sentiment of its text."""
    console.rule(f"{title}: {found.head.targets} entities")
    table = Table("each entity", "accuracy", "macro-F1", *(f"F1 {name}" for name in SENTIMENTS))
    for name, report in (("by the head", found.head), ("as its text", found.texts)):
        table.add_row(name, _of(report.accuracy), _of(report.macro_f1), *_classes(report))
    console.print(table)
    change = found.difference
    console.print(
        f"macro-F1 {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f});"
        f" calibration error {found.head.ece_before:.3f}, scaled {found.head.ece_after:.3f}"
    )


def _of(score: Score) -> str:
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _classes(report: TargetReport) -> list[str]:
    return [f"{report.classes[name].f1:.3f}" for name in SENTIMENTS]
