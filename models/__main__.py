"""Command line: `python -m models COMMAND`."""

import sys
from collections.abc import Callable
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from models.commands.calibrate import calibrate_command
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
from models.commands.spans import spans_app
from models.commands.tokens import tokens_app
from models.commands.train import train_command
from models.errors import ModelError

_COMMANDS: Final[tuple[tuple[str, typer.Typer | Callable[..., None], str], ...]] = (
    ("data", data_app, "Check, split and describe labelled texts."),
    ("train", train_command, "Train both heads and write a model folder."),
    ("search", search_command, "Search hyper-parameters; write the best recipe."),
    ("evaluate", evaluate_command, "Scores, calibration and slices on labelled texts."),
    ("calibrate", calibrate_command, "Fit the temperatures of a trained model anew."),
    ("robustness", robustness_command, "Verdicts that flip under changes; bias by name."),
    ("explain", explain_command, "What each word says for or against a verdict."),
    ("compress", compress_command, "Make a smaller model; measure what it costs."),
    ("predict", predict_command, "Sentiment and topic of texts."),
    ("tokens", tokens_app, "Tag words: train, evaluate, find entities."),
    ("spans", spans_app, "Names, and the mood towards each: train, evaluate."),
    ("registry", registry_app, "Versions on disk: add, promote, roll back."),
    ("gate", gate_command, "Refuse a candidate that forgot a class."),
    ("continual", continual_command, "Go on with new labels, and pass the gate."),
)
"""Name, command, one line; in the order of the work."""


class _InOrder(TyperGroup):
    """Lists the commands as `_COMMANDS` does; typer would part commands and groups."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return [name for name, _, _ in _COMMANDS]


app = typer.Typer(
    cls=_InOrder,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Fine-tune, evaluate and run the sentiment and topic classifier.

Example:

    python -m models predict "Profit fell by half and the dividend is gone"
""",
)
for _name, _command, _line in _COMMANDS:
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name, short_help=_line)
    else:
        app.command(name=_name, short_help=_line)(_command)


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
