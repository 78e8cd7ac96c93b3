"""`python -m models evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, THREADS
from models.errors import ModelError
from models.labels import TASKS


def evaluate_command(
    model: Annotated[
        Path | None, typer.Option(help="Model folder; default: the shipped one.")
    ] = None,
    sentiment: Annotated[Path | None, typer.Option(help="CSV with text,label.")] = None,
    topic: Annotated[Path | None, typer.Option(help="CSV with text,label.")] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="JSONL corpus instead of the CSV files: its split `test`.")
    ] = None,
    exclude_twins_of: Annotated[
        list[Path] | None,
        typer.Option(help="Training CSV; texts with a twin in it are not scored; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable report.")] = False,
    device: DEVICE = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "float32",
    threads: THREADS = None,
) -> None:
    """Report accuracy, F1 per class, confusion matrix and calibration on labelled texts.

    Examples:

        python -m models evaluate --sentiment sent_valid.csv --exclude-twins-of sent_train.csv

        python -m models evaluate --model runs/first --topic topic_valid.csv --json

        python -m models evaluate --corpus models/data/corpus.jsonl
    """
    from models.dataset.read import read, read_corpus, texts_of
    from models.dataset.split import without_twins
    from models.evaluation.evaluate import evaluate
    from models.evaluation.render import print_report
    from models.predict import Predictor

    files = {"sentiment": sentiment, "topic": topic}
    if not (corpus or any(files.values())):
        raise ModelError(
            "nothing to evaluate: give --sentiment FILE, --topic FILE or --corpus FILE"
        )
    if corpus and any(files.values()):
        raise ModelError("--corpus has labels of both tasks: give it alone")
    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    known = [text for path in exclude_twins_of or [] for text in texts_of(path)]
    reports = {}
    for task in TASKS:
        file = files[task]
        if corpus is not None:
            reports[task] = evaluate(predictor, read_corpus(corpus, task, "test"))
        elif file is not None:
            reports[task] = evaluate(predictor, without_twins(read(file, task), known))
    if as_json:
        found = {task: report.model_dump(mode="json") for task, report in reports.items()}
        typer.echo(json.dumps({"version": predictor.version, "reports": found}, indent=1))
        return
    console = Console()
    console.print(f"model {predictor.manifest.name}, version {predictor.version}")
    for task, report in reports.items():
        print_report(console, task, report)
