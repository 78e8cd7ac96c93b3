"""`python -m models data`: checks, splits and statistics of labelled texts."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from models.errors import DataError
from models.labels import TASKS, Task


class _CheckByDefault(TyperGroup):
    """`data FILE` means `data check FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["check", *args]
        return list(super().parse_args(ctx, args))


data_app = typer.Typer(
    cls=_CheckByDefault,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Check, split and describe labelled texts: CSV, TSV, JSONL or Parquet.

Examples:

    python -m models data train.csv valid.csv --strict

    python -m models data split texts.csv --parts train=0.8,valid=0.1,test=0.1 --out parts

    python -m models data corpus models/data/corpus.jsonl
""",
)

FILES = Annotated[list[Path], typer.Argument(help="Files; each is a part, or each of its splits.")]
FILE = Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet.")]
TASK = Annotated[
    str | None,
    typer.Option(help=f"{' or '.join(TASKS)}; default: what the columns or labels tell."),
]
TEXT = Annotated[str, typer.Option(help="Column of the texts.")]
LABEL = Annotated[
    str | None,
    typer.Option(help="Column of the labels; default: sentiment and topic, else label."),
]
JSON = Annotated[bool, typer.Option("--json", help="Machine-readable, everything listed.")]


@data_app.command(name="check")
def check_command(
    files: FILES,
    task: TASK = None,
    text: TEXT = "text",
    label: LABEL = None,
    backbone: Annotated[
        str | None, typer.Option(help="Encoder whose tokens count; default: the packaged one.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when there is a fault.")] = False,
    as_json: JSON = False,
) -> None:
    """List faulty rows, twins, conflicting labels, class balance and lengths before training.

    Examples:

        python -m models data train.csv valid.csv --strict

        python -m models data texts.parquet --text headline --label mood --task sentiment --json
    """
    from models.backbone import DEFAULT, encode, find, load_tokenizer
    from models.dataset.corpus import Corpus
    from models.dataset.inspect import by_split, inspect
    from models.dataset.read import Columns, load, tasks_of
    from models.dataset.render import print_inspection
    from models.dataset.table import Fault

    columns = Columns(text=text, label=label)
    tokenizer = load_tokenizer(find(backbone or DEFAULT))
    parts: dict[Task, dict[str, Corpus]] = {}
    faults: dict[Task, list[Fault]] = {}
    console = Console()
    with Console(stderr=True).status("reading and comparing …"):
        unique = len({path.name for path in files}) == len(set(files))
        for path in files:
            name = path.name if unique else str(path)
            for of in [_task(task)] if task else tasks_of(path, columns=columns):
                found = load(path, of, columns=columns)
                parts.setdefault(of, {}).update(by_split(name, found.corpus))
                faults.setdefault(of, []).extend(found.faults)
        inspections = [
            inspect(
                parts[of],
                faults=faults[of],
                lengths=lambda texts: [len(ids) for ids in encode(tokenizer, texts)],
            )
            for of in TASKS
            if of in parts
        ]
    if as_json:
        typer.echo(json.dumps([asdict(found) for found in inspections], indent=1))
    else:
        for inspection in inspections:
            print_inspection(console, inspection)
    if strict and any(inspection.faulty for inspection in inspections):
        raise typer.Exit(1)


@data_app.command(name="split")
def split_command(
    file: FILE,
    parts: Annotated[str, typer.Option(help="Names and shares, e.g. train=0.9,test=0.1.")],
    out: Annotated[Path, typer.Option(help="Folder to write the parts into.")],
    seed: Annotated[int, typer.Option(help="The same seed draws the same parts.")] = 0,
    task: TASK = None,
    text: TEXT = "text",
    label: LABEL = None,
) -> None:
    """Divide a file by class, near-duplicates together, into parts of the same format.

    Example:

        python -m models data split texts.csv --parts train=0.8,valid=0.1,test=0.1 --out parts
    """
    from models.dataset.read import Columns, read, tasks_of
    from models.dataset.split import divide
    from models.dataset.table import read_table
    from models.dataset.write import write_parts

    columns = Columns(text=text, label=label)
    of = (_task(task),) if task else tasks_of(file, columns=columns)
    found = divide({each: read(file, each, columns=columns) for each in of}, _shares(parts), seed)
    table = read_table(file)
    row_of = {row.place: number for number, row in enumerate(table.rows)}
    rows: dict[str, list[int]] = {name: [] for name in found}
    taken: set[int] = set()
    for name, corpora in found.items():
        places = {row_of[place] for corpus in corpora.values() for place in corpus.places}
        rows[name] = sorted(places - taken)
        taken |= places
    console = Console()
    for name, path in zip(found, write_parts(table, rows, out), strict=True):
        console.print(f"{path}: {len(rows[name]):,} texts", highlight=False)


@data_app.command(name="corpus")
def corpus_command(
    file: FILE,
    agreement: Annotated[
        Path | None,
        typer.Option(help="Second, blind labels: text_sha256 or row, sentiment, topic."),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Describe a written corpus: variety of words, repetition, make-up, entities, agreement.

    Examples:

        python -m models data corpus models/data/corpus.jsonl

        python -m models data corpus models/data/corpus.jsonl --agreement second.jsonl
    """
    from models.dataset.agreement import compare
    from models.dataset.read import texts_with_places
    from models.dataset.render import print_agreement, print_statistics
    from models.dataset.statistics import describe
    from models.dataset.table import read_table

    table = read_table(file)
    statistics = describe(table, [text for _, text in texts_with_places(table)])
    compared = [] if agreement is None else compare(file, agreement)
    if as_json:
        found = {"statistics": asdict(statistics), "agreement": [asdict(a) for a in compared]}
        typer.echo(json.dumps(found, indent=1))
        return
    console = Console()
    print_statistics(console, statistics)
    for each in compared:
        print_agreement(console, each)


def _task(name: str) -> Task:
    for task in TASKS:
        if task == name:
            return task
    raise DataError(f"--task {name}: there are {' and '.join(TASKS)}")


def _shares(written: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for item in written.split(","):
        name, _, share = (cell.strip() for cell in item.partition("="))
        try:
            value = float(share)
        except ValueError:
            value = 0.0
        if not name or name in shares or Path(name).name != name or value <= 0:
            raise DataError(
                f"--parts {written}: {item!r} is no name=share of its own; write for example"
                " train=0.8,valid=0.1,test=0.1"
            )
        shares[name] = value
    return shares
