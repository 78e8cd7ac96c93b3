"""A search as tables for a person."""

from rich.console import Console
from rich.table import Table

from models.training.search.outcome import Found, shown


def print_search(console: Console, found: Found) -> None:
    """Print the trials, the best first, and what matters among the hyper-parameters."""
    tasks = sorted({task for trial in found.trials for task in trial.macro_f1})
    table = Table("trial", "state", "macro-F1", *tasks, "evals", "s")
    for column in table.columns[2:]:
        column.justify = "right"
    ended = {"complete": 0, "pruned": 1}
    for trial in sorted(found.trials, key=lambda t: (ended.get(t.state, 2), -(t.score or 0.0))):
        why = f" ({trial.reason})" if trial.reason else ""
        best = "[bold green]" if trial is found.best else ""
        table.add_row(
            f"{best}{trial.number}",
            f"{best}{trial.state}{why}",
            "" if trial.score is None else f"{best}{trial.score:.4f}",
            *(f"{trial.macro_f1[task]:.4f}" if task in trial.macro_f1 else "" for task in tasks),
            str(trial.evaluations),
            f"{trial.seconds:.0f}",
        )
    console.print(table)
    if found.best is not None:
        values = ", ".join(f"{name} {shown(value)}" for name, value in found.best.values.items())
        console.print(f"best: trial {found.best.number}: {values}", highlight=False)
    if found.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importances.items())
        console.print(f"share of the score's variance: {shares}", highlight=False)
    if found.best is None:
        console.print("no trial is complete yet")
