"""What a search found as files: trials, the best recipe and a figure."""

from pathlib import Path
from typing import Final

from models.evaluation.document import put
from models.training.search.figure import draw
from models.training.search.outcome import Found, as_json
from models.training.settings import as_toml

RECIPE: Final = "best.toml"
TRIALS: Final = "trials.json"
FIGURE: Final = "search.png"


def write(found: Found, folder: Path) -> tuple[Path, ...]:
    """Write trials.json, and where a trial is complete best.toml and the figure.

    Raises:
        ModelError: a file cannot be written, or matplotlib is missing.
    """
    put(folder / TRIALS, as_json(found) + "\n")
    best, recipe = found.best, found.recipe
    if best is None or recipe is None:
        return (folder / TRIALS,)
    scores = ", ".join(f"{task} {value:.4f}" for task, value in best.macro_f1.items())
    count = sum(trial.state in {"complete", "pruned"} for trial in found.trials)
    heading = (
        f"Best of {count} trials: number {best.number}, held-out macro-F1 {best.score:.4f}"
        f" ({scores}).\nUse: python -m models train --recipe {RECIPE} …"
    )
    put(folder / RECIPE, as_toml(recipe, heading))
    return (folder / RECIPE, folder / TRIALS, draw(found, folder / FIGURE))
