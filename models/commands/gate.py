"""`python -m models gate`, and how its decision is printed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.commands.options import DEVICE, THREADS
from models.errors import ModelError
from models.labels import TASKS

if TYPE_CHECKING:
    from models.training.gate import ClassChange, Decision, Measure

REFUSED = 3
"""Exit code of a candidate that was refused; 1 is a fault, such as a missing file."""


def gate_command(
    current: Annotated[Path, typer.Argument(help="Folder of the model that runs.")],
    candidate: Annotated[Path, typer.Argument(help="Folder of the one that is to replace it.")],
    sentiment: Annotated[
        Path | None, typer.Option(help="Held-out texts with labels: CSV, JSONL or Parquet.")
    ] = None,
    topic: Annotated[Path | None, typer.Option(help="The same for the topics.")] = None,
    strict: Annotated[
        bool, typer.Option(help="Refuse a fall already when its interval excludes 0.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable decision.")] = False,
    device: DEVICE = "auto",
    threads: THREADS = None,
) -> None:
    """Refuse a candidate that forgot a class: exit code 3.

    The held-out texts must be new to both models. A class fell when the 95 % interval of its change
    in F1 or recall lies wholly below -1 point; a task when its macro-F1 fell by more than a point
    and the interval excludes 0.

    Example:

        python -m models gate models/default runs/march --sentiment s_valid.csv --topic t_valid.csv
    """
    from models.dataset.read import read
    from models.training.gate import compare_models

    files = {"sentiment": sentiment, "topic": topic}
    corpora = [read(path, task) for task in TASKS if (path := files[task]) is not None]
    if not corpora:
        raise ModelError("nothing to compare on: give --sentiment FILE or --topic FILE")
    decision = compare_models(
        current, candidate, corpora, strict=strict, device=device, threads=threads
    )
    if as_json:
        typer.echo(json.dumps(asdict(decision), indent=1, ensure_ascii=False))
    else:
        print_decision(Console(), decision)
        for task in TASKS:
            if files[task] is None:
                Console(stderr=True).print(f"{task}: not looked at, for want of --{task} FILE")
    if not decision.passed:
        raise typer.Exit(REFUSED)


def print_decision(console: Console, decision: "Decision") -> None:
    """Print a table of each task's classes, and why the candidate is refused."""
    for change in decision.tasks:
        console.rule(f"{change.task}: {change.texts} texts")
        table = Table("class", "texts", "F1", "change in F1", "recall", "change", "verdict")
        table.columns[0].no_wrap = True  # a name in two pieces is no name
        for found in change.classes:
            table.add_row(found.name, str(found.texts), *_cells(found), _coloured(found.verdict))
        verdict = "fell" if change.fell else "held"
        macro = change.macro_f1
        table.add_section()
        table.add_row("macro", "", _pair(macro), _interval(macro), "", "", _coloured(verdict))
        right = change.accuracy
        table.add_row("accuracy", "", _pair(right), _interval(right), "", "", "")
        console.print(table)
    if decision.passed:
        unsure = sum(c.verdict == "unsure" for change in decision.tasks for c in change.classes)
        console.print("passed: no class fell by more than a point, chance allowed for")
        if unsure:
            console.print(
                f"unsure of {unsure} class(es): too few held-out texts to exclude such a fall"
            )
    else:
        console.print("[red]refused[/red]")
        for reason in decision.reasons:
            console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)


def _cells(change: "ClassChange") -> tuple[str, str, str, str]:
    if not change.texts:
        return "", "", "", ""
    f1, recall = change.f1, change.recall
    return _pair(f1), _interval(f1), _pair(recall), _interval(recall)


def _pair(measure: "Measure") -> str:
    return f"{measure.before:.3f} → {measure.after:.3f}"


def _interval(measure: "Measure") -> str:
    d = measure.difference
    return f"{100 * d.value:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def _coloured(verdict: str) -> str:
    colour = {"fell": "red", "no texts": "red", "unsure": "yellow"}.get(verdict)
    return f"[{colour}]{verdict}[/{colour}]" if colour else verdict
