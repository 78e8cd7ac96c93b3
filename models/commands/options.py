"""Options that several commands share."""

from typing import Annotated

import typer

DEVICE = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
THREADS = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]
