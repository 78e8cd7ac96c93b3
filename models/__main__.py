"""Command line: `python -m models COMMAND`."""

import sys

import typer
from rich.console import Console

from models.commands.evaluate import evaluate_command
from models.commands.predict import predict_command
from models.commands.train import train_command
from models.errors import ModelError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fine-tune, evaluate and run the sentiment and topic classifier.",
)
app.command(name="train")(train_command)
app.command(name="evaluate")(evaluate_command)
app.command(name="predict")(predict_command)


def main() -> int:
    """Run the command line; a fault of the user's making is one line, not a traceback."""
    try:
        app(standalone_mode=True)
    except ModelError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
