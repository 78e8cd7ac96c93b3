"""`python -m models evaluate`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, DTYPE, MODEL, NO_TWINS_OF, REPORT, THREADS
from models.errors import ModelError
from models.labels import TASKS


def evaluate_command(
    model: MODEL = None,
    sentiment: Annotated[
        Path | None, typer.Option(help="CSV, TSV, JSONL or Parquet with text and label.")
    ] = None,
    topic: Annotated[Path | None, typer.Option(help="The same for the topics.")] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Corpus with both labels instead: its split `test`.")
    ] = None,
    exclude_twins_of: NO_TWINS_OF = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.md, report.json and the figures.")
    ] = None,
    as_json: REPORT = False,
    device: DEVICE = "auto",
    dtype: DTYPE = "float32",
    threads: THREADS = None,
) -> None:
    """Report scores, calibration, risk-coverage and slices on labelled texts.

    The columns `source`, `kind` and `register` become slices where a file has them.

    Examples:

        python -m models evaluate --sentiment sent_valid.csv --exclude-twins-of sent_train.csv

        python -m models evaluate --model runs/first --topic topic_valid.csv --out reports/first

        python -m models evaluate --corpus models/data/corpus.jsonl --json
    """
    from models.dataset.read import read, texts_of
    from models.dataset.split import without_twins
    from models.evaluation.document import as_json as dumped
    from models.evaluation.document import make, write
    from models.evaluation.evaluate import examine
    from models.evaluation.render import print_evaluation
    from models.predict import Predictor
    from models.progress import track

    files = {"sentiment": sentiment, "topic": topic}
    if not (corpus or any(files.values())):
        raise ModelError(
            "nothing to evaluate: give --sentiment FILE, --topic FILE or --corpus FILE"
        )
    if corpus and any(files.values()):
        raise ModelError("--corpus has labels of both tasks: give it alone")
    if out is not None:
        make(out)  # before the work of minutes, not after it
    known = [text for path in exclude_twins_of or [] for text in texts_of(path)]
    corpora = []
    for task in TASKS:
        file = files[task]
        if corpus is not None:
            corpora.append(read(corpus, task, split="test"))
        elif file is not None:
            corpora.append(without_twins(read(file, task), known))
    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    with track() as advance:
        found = [examine(predictor, part, observer=advance(part.task)) for part in corpora]
    name, version = predictor.manifest.name, predictor.version
    if as_json:
        typer.echo(dumped(found, name=name, version=version))
    console = Console(stderr=as_json)
    if not as_json:
        console.print(f"model {name}, version {version}")
        for evaluation in found:
            print_evaluation(console, evaluation)
    if out is not None:
        write(out, found, name=name, version=version)
        console.print(f"report written to {out}")
