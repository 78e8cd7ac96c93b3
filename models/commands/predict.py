"""`python -m models predict`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, THREADS


def predict_command(
    texts: Annotated[list[str], typer.Argument(help="Texts to judge.")],
    model: Annotated[
        Path | None, typer.Option(help="Model folder; default: the shipped one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text.")] = False,
    device: DEVICE = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    threads: THREADS = None,
) -> None:
    """Print sentiment and topic of each text with their probabilities.

    Example:

        python -m models predict "Profit fell by half and the dividend is gone"
    """
    from models.evaluation.render import print_verdicts
    from models.predict import Predictor

    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    found = predictor.predict(predictor.encode(texts))
    print_verdicts(Console(), texts, found, as_json=as_json)
