"""`python -m models registry …`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ModelError
from models.labels import TASKS, Task
from models.registry.folder import Registry, Version

registry_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Versions of the model on disk: add, promote, roll back. Exit code 1 on a fault.

Example:

    python -m models registry add runs/first --reason "labels of March"
""",
)

FOLDER = Annotated[
    Path, typer.Option("--registry", help="Folder of the registry; the daemon's [model] registry.")
]
REASON = Annotated[str, typer.Option(help="Why; goes into the journal.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
VERSION = Annotated[str, typer.Argument(help="Version or its first characters; 0: the shipped.")]
HOME = Path("var/models")


@registry_app.command("add")
def add(
    directory: Annotated[Path, typer.Argument(help="Folder written by `python -m models train`.")],
    registry: FOLDER = HOME,
    reason: REASON = "",
) -> None:
    """Copy a model into the registry; it does not become current.

    Example:

        python -m models registry add runs/first --reason "labels of March"
    """
    name = Registry(registry).add(directory, reason)
    _say(f"version {name} is in {registry}; make it current with: registry promote {name[:4]}")


@registry_app.command("list")
def list_(registry: FOLDER = HOME, as_json: AS_JSON = False) -> None:
    """Show every version and mark the current one.

    Example:

        python -m models registry list --json
    """
    versions = Registry(registry).versions()
    if as_json:
        typer.echo(json.dumps([_record(version) for version in versions], indent=1))
        return
    table = Table("", "version", "name", "written", *(f"{task} F1" for task in TASKS))
    for column in table.columns:
        column.overflow = "fold"
    for version in versions:
        table.add_row(
            "→" if version.current else "",
            _title(version),
            version.manifest.name if version.manifest else "?",
            f"{version.written:%Y-%m-%d %H:%M}" if version.written else "?",
            *(_score(version, task) for task in TASKS),
        )
    Console().print(table)
    for fault in (version.fault for version in versions if version.fault):
        _say(f"FAULT {fault}")


@registry_app.command("show")
def show(version: VERSION, registry: FOLDER = HOME, as_json: AS_JSON = False) -> None:
    """Show one version: data, scores, recipe, and what the journal says of it.

    Example:

        python -m models registry show 5e1f
    """
    home = Registry(registry)
    name = home.resolve(version)
    found = next(v for v in home.versions() if v.name == name)
    if found.manifest is None:
        raise ModelError(found.fault)
    moves = [entry for entry in home.history() if name in {entry.before, entry.after}]
    if as_json:
        record = _record(found) | {
            "manifest": found.manifest.model_dump(mode="json"),
            "history": [entry.model_dump(mode="json", by_alias=True) for entry in moves],
        }
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    from models.evaluation.render import print_report

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{_title(found)}  {found.manifest.name}{'  (current)' if found.current else ''}")
    console.print(f"folder    {found.path}")
    console.print(f"backbone  {found.manifest.backbone.name}")
    for data in found.manifest.data:
        console.print(f"data      {data.task}, {data.role}: {data.file}, {data.texts} texts")
    for task, head in found.manifest.heads.items():
        print_report(console, task, head.best_report)
    for entry in moves:
        console.print(_line(entry.line()), markup=False)


@registry_app.command("promote")
def promote(version: VERSION, registry: FOLDER = HOME, reason: REASON = "") -> None:
    """Make a version current, once it has been loaded and has judged a few sentences.

    A running daemon takes it over between two batches. The gate is another command:
    `python -m models gate`.

    Example:

        python -m models registry promote 5e1f --reason "passed the gate"
    """
    entry = Registry(registry).promote(version, reason)
    _say(f"current: {entry.before} → {entry.after}")


@registry_app.command("rollback")
def rollback(registry: FOLDER = HOME, reason: REASON = "") -> None:
    """Make the version current that was so before; again: the one before that.

    Example:

        python -m models registry rollback --reason "too many false alarms"
    """
    entry = Registry(registry).rollback(reason)
    _say(f"current: {entry.before} → {entry.after}")


@registry_app.command("remove")
def remove(version: VERSION, registry: FOLDER = HOME, reason: REASON = "") -> None:
    """Delete a version that is not current.

    Example:

        python -m models registry remove 5e1f
    """
    _say(f"removed: {Registry(registry).remove(version, reason)}")


@registry_app.command("history")
def history(registry: FOLDER = HOME, as_json: AS_JSON = False) -> None:
    """Print the journal.

    Example:

        python -m models registry history --json
    """
    for entry in Registry(registry).history():
        typer.echo(entry.line().rstrip() if as_json else _line(entry.line()))


@registry_app.command("verify")
def verify(
    registry: FOLDER = HOME,
    load: Annotated[bool, typer.Option(help="Load every version and let it judge, too.")] = False,
) -> None:
    """Check pointer, journal and the hash of every file.

    Example:

        python -m models registry verify --load
    """
    from models.registry.folder import try_out

    home = Registry(registry)
    faults = home.verify(try_out if load else None)
    if faults:
        raise ModelError(f"{registry}: {len(faults)} fault(s)\n" + "\n".join(faults))
    _say(f"{registry}: {len(home.versions())} version(s), nothing wrong")


def _say(text: str) -> None:
    Console(soft_wrap=True, markup=False, highlight=False).print(text)


def _line(text: str) -> str:
    entry = json.loads(text)
    arrow = f"{entry['from'] or '-'} → {entry['to'] or '-'}"
    why = f"  ({entry['reason']})" if entry["reason"] else ""
    return f"{entry['number']:>4}  {entry['at']}  {entry['action']:<8}  {arrow}  {entry['by']}{why}"


def _title(version: Version) -> str:
    found = version.manifest.version if version.manifest else ""
    return version.name if version.name == found else f"{version.name} {found}".rstrip()


def _score(version: Version, task: Task) -> str:
    if version.manifest is None:
        return "?"
    return f"{version.manifest.heads[task].best_report.macro_f1.value:.3f}"


def _record(version: Version) -> dict[str, object]:
    manifest = version.manifest
    return {
        "version": version.name,
        "weights": manifest.version if manifest else None,
        "name": manifest.name if manifest else None,
        "path": str(version.path),
        "current": version.current,
        "written": version.written.isoformat() if version.written else None,
        "macro_f1": {
            task: head.best_report.macro_f1.model_dump() for task, head in manifest.heads.items()
        }
        if manifest
        else {},
        "fault": version.fault or None,
    }
