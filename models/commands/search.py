"""`python -m models search`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from models.commands.options import BACKBONE, DEVICE, THREADS, pairs
from models.errors import ModelError


def search_command(
    sentiment: Annotated[Path, typer.Option(help="CSV with text,label: sentiment.")],
    topic: Annotated[Path, typer.Option(help="CSV with text,label: topic.")],
    out: Annotated[Path, typer.Option(help="Folder of the search: trials, best recipe, figure.")],
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, with those before a kill.")
    ] = 30,
    space: Annotated[
        Path | None, typer.Option(help="TOML of what varies; see --show-space for the default.")
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL with text, split, sentiment, topic; joins both; repeatable."),
    ] = None,
    backbone: BACKBONE = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A hyper-parameter of all trials: name=value; repeatable."),
    ] = None,
    pruner: Annotated[
        Literal["median", "halving", "none"],
        typer.Option(help="What stops a trial that falls behind: worse than the median, halving."),
    ] = "median",
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler, not of the training.")] = 1,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Minutes after which no further trial is begun.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable: all trials.")] = False,
    device: DEVICE = "auto",
    threads: THREADS = None,
    _show: Annotated[
        bool,
        typer.Option(
            "--show-space", is_eager=True, callback=lambda v: _show_space(v), help="Print it."
        ),
    ] = False,
) -> None:
    """Search hyper-parameters on the held-out part of the training files; write the best recipe.

    Killed or ended by Ctrl-C, it goes on when the same command is given again; more --trials
    extend it. Every trial is scored after each evaluation and pruned when it falls behind: more
    evaluations an epoch (--set evaluations_per_epoch=4) prune earlier.

    Examples:

        python -m models search --sentiment s.csv --topic t.csv --out runs/search --trials 30

        python -m models search --show-space > space.toml

        python -m models search --sentiment s.csv --topic t.csv --out runs/search
        --space space.toml --set epochs=4 --timeout 120

        python -m models train --sentiment s.csv --topic t.csv --out runs/best
        --recipe runs/search/best.toml
    """
    try:
        from models.training.search.session import run_search
    except ImportError as error:
        raise ModelError(
            f"search needs {error.name}; install it with: pip install 'monitor[train]'"
        ) from error
    from models.training.search.outcome import as_json as dumped
    from models.training.search.render import print_search
    from models.training.sources import Files

    found = run_search(
        Files(
            training={"sentiment": sentiment, "topic": topic},
            validation={"sentiment": None, "topic": None},
            licence="not stated",
            corpora=tuple(corpus or ()),
        ),
        pairs(set_),
        out=out,
        trials=trials,
        space=space,
        pruner=pruner,
        seed=seed,
        minutes=timeout,
        backbone=backbone,
        device=device,
        threads=threads,
        console=Console(stderr=True),
    )
    if as_json:
        typer.echo(dumped(found))
    else:
        print_search(Console(), found)
    if found.interrupted:
        Console(stderr=True).print("interrupted; the same command goes on")
        raise typer.Exit(130)


def _show_space(wanted: bool) -> None:
    if wanted:
        from models.training.search.space import DEFAULT

        typer.echo(DEFAULT, nl=False)
        raise typer.Exit
