"""`python -m models predict`."""

from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, DTYPE, LINES, MODEL, THREADS


def predict_command(
    texts: Annotated[list[str], typer.Argument(help="Texts to judge.")],
    model: MODEL = None,
    as_json: LINES = False,
    device: DEVICE = "auto",
    dtype: DTYPE = "auto",
    threads: THREADS = None,
) -> None:
    """Print sentiment and topic of each text with their probabilities.

    A model with a head over tokens also prints the names in the text, each with the sentiment
    towards it; their characters are those of the normalised text.

    Example:

        python -m models predict "Profit fell by half and the dividend is gone"
    """
    from models.evaluation.render import print_verdicts
    from models.predict import Predictor

    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    found = predictor.predict(predictor.encode(texts))
    print_verdicts(Console(), texts, found, as_json=as_json)
