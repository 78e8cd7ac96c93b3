"""Command line: `python -m models COMMAND`."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from models.commands.compress import compress_command
from models.commands.continual import continual_command
from models.commands.data import data_app
from models.commands.evaluate import evaluate_command
from models.commands.explain import explain_command
from models.commands.gate import gate_command
from models.commands.predict import predict_command
from models.commands.registry import registry_app
from models.commands.robustness import robustness_command
from models.commands.search import search_command
from models.commands.tokens import tokens_app
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
app.command(name="search")(search_command)
app.add_typer(data_app, name="data")
app.command(name="evaluate")(evaluate_command)
app.command(name="compress")(compress_command)
app.command(name="explain")(explain_command)
app.command(name="robustness")(robustness_command)
app.command(name="predict")(predict_command)
app.command(name="continual")(continual_command)
app.command(name="gate")(gate_command)
app.add_typer(registry_app, name="registry")
app.add_typer(tokens_app, name="tokens")


def main() -> int:
    """Run the command line; a fault of the user's making is one line, not a traceback."""
    try:
        app(standalone_mode=True)
    except ModelError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[red]error:[/red] {escape(str(error))}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
