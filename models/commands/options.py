"""Options that several commands share."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ModelError

DEVICE = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
THREADS = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]
DTYPE = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
MODEL = Annotated[Path | None, typer.Option(help="Model folder; default: the shipped one.")]
NAME = Annotated[str, typer.Option(help="Name of the model in its manifest.")]
LICENCE = Annotated[str, typer.Option(help="Licence of the data.")]
FORCE = Annotated[bool, typer.Option(help="Overwrite a model in the folder.")]
REPORT = Annotated[bool, typer.Option("--json", help="Machine-readable report.")]
LINES = Annotated[bool, typer.Option("--json", help="One JSON object a text.")]
BACKBONE = Annotated[
    str | None, typer.Option(help="Encoder: a folder or hub name; default all-MiniLM-L6-v2.")
]
SET = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any hyper-parameter of the recipe: name=value; repeatable."),
]
FRESH = Annotated[
    bool, typer.Option(help="Start anew where a checkpoint of a killed run lies in the folder.")
]
CHECKPOINT_EVERY = Annotated[
    int, typer.Option(min=0, help="Steps between checkpoints; 0: at ends of epochs alone.")
]
TENSORBOARD = Annotated[
    Path | None, typer.Option(help="Folder for TensorBoard: loss, rate, held-out scores.")
]
NO_TWINS_OF = Annotated[
    list[Path] | None,
    typer.Option(help="Training file; texts with a twin in it are not scored; repeatable."),
]


def pairs(items: Iterable[str] | None, option: str = "--set") -> dict[str, str]:
    """Return the items of a repeatable option of the form `name=value`.

    Raises:
        ModelError: an item without an equals sign.
    """
    found: dict[str, str] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals:
            raise ModelError(f"{option} {item}: write it as name=value")
        found[name.strip()] = value.strip()
    return found


def given(**values: object) -> dict[str, object]:
    """Return the hyper-parameters that have an option of their own and were given."""
    return {name: value for name, value in values.items() if value is not None}
