"""``monitor gazetteer``: write the gazetteer from newer lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.usage import examples

EXAMPLE = examples("monitor gazetteer build --us lists/us --cn lists/cn --out gazetteer.tsv.xz")
gazetteer = typer.Typer(
    help="The companies that texts are linked to.",
    epilog=EXAMPLE,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@gazetteer.callback()
def _group() -> None:
    """The companies that texts are linked to."""


@gazetteer.command(short_help="Build it from the lists of the exchanges.", epilog=EXAMPLE)
def build(
    us: Annotated[
        Path, typer.Option(help="Folder with nasdaq-listed-symbols.csv and other-listed.csv.")
    ],
    cn: Annotated[Path, typer.Option(help="Folder with all_code.csv.")],
    out: Annotated[Path, typer.Option(help="File to write; [entities] gazetteer names it.")],
) -> None:
    """Build the gazetteer from the lists of the exchanges (docs/entities.md)."""
    from monitor.entity.build import build as build_gazetteer

    typer.echo(f"{build_gazetteer(us, cn, out)} companies → {out}")
