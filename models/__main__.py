"""Command line: `python -m models train | evaluate | predict`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from models.errors import ModelError
from models.labels import TASKS, Task

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fine-tune, evaluate and run the sentiment and topic classifier.",
)
_DEVICE = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
_THREADS = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]


@app.command(name="train")
def train_command(
    sentiment: Annotated[Path, typer.Option(help="CSV with text,label: sentiment.")],
    topic: Annotated[Path, typer.Option(help="CSV with text,label: topic.")],
    out: Annotated[Path, typer.Option(help="Folder to write weights and manifest into.")],
    validate_sentiment: Annotated[
        Path | None, typer.Option(help="CSV to report on; twins of the training file removed.")
    ] = None,
    validate_topic: Annotated[Path | None, typer.Option(help="The same for the topics.")] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL with text, split, sentiment, topic; joins both; repeatable."),
    ] = None,
    corpus_tasks: Annotated[
        str, typer.Option(help="Tasks whose training the corpora join, separated by commas.")
    ] = "sentiment,topic",
    start_from: Annotated[
        Path | None, typer.Option(help="Model folder to go on from: same method and rank.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Encoder: a folder or hub name; default all-MiniLM-L6-v2.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model in its manifest.")] = "model",
    licence: Annotated[str, typer.Option(help="Licence of the data.")] = "not stated",
    corpus_licence: Annotated[str, typer.Option(help="Licence of the corpora.")] = "not stated",
    method: Annotated[Literal["lora", "full"], typer.Option(help="What is trained.")] = "lora",
    rank: Annotated[int | None, typer.Option(help="Rank of the adapters.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of split, start and order.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any hyper-parameter of the recipe: name=value; repeatable."),
    ] = None,
    max_length: Annotated[int, typer.Option(help="Tokens read at inference.")] = 512,
    device: _DEVICE = "auto",
    threads: _THREADS = None,
    force: Annotated[bool, typer.Option(help="Overwrite a model in the folder.")] = False,
) -> None:
    """Train both heads together and write weights with a manifest.

    A part of each training file is held out to choose the checkpoint and to fit the temperatures.
    Labels are class names, or numbers that a labels.json beside the CSV maps to them.

    Examples:

        python -m models train --sentiment sent_train.csv --topic topic_train.csv --out runs/first

        python -m models train --sentiment s.csv --topic t.csv --out runs/full --method full
        --learning-rate 5e-5 --set batch_size=16
    """
    from models.session import Files, run_training

    settings: dict[str, object] = {
        key: value
        for key, value in {
            "method": method,
            "rank": rank,
            "learning_rate": learning_rate,
            "epochs": epochs,
            "seed": seed,
        }.items()
        if value is not None
    }
    for item in set_ or []:
        key, equals, value = item.partition("=")
        if not equals:
            raise ModelError(f"--set {item}: write it as name=value")
        settings[key.strip()] = value.strip()
    run_training(
        Files(
            training={"sentiment": sentiment, "topic": topic},
            validation={"sentiment": validate_sentiment, "topic": validate_topic},
            licence=licence,
            corpora=tuple(corpus or ()),
            corpus_tasks=_tasks(corpus_tasks),
            start=start_from,
            corpus_licence=corpus_licence,
        ),
        settings,
        out=out,
        name=name,
        backbone=backbone,
        max_length=max_length,
        device=device,
        threads=threads,
        force=force,
        console=Console(stderr=True),
    )


def _tasks(text: str) -> frozenset[Task]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := names - set(TASKS):
        raise ModelError(
            f"--corpus-tasks {', '.join(sorted(unknown))}: there are {', '.join(TASKS)}"
        )
    return frozenset(task for task in TASKS if task in names)


@app.command(name="evaluate")
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
    device: _DEVICE = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "float32",
    threads: _THREADS = None,
) -> None:
    """Report accuracy, F1 per class, confusion matrix and calibration on labelled texts.

    Examples:

        python -m models evaluate --sentiment sent_valid.csv --exclude-twins-of sent_train.csv

        python -m models evaluate --model runs/first --topic topic_valid.csv --json

        python -m models evaluate --corpus models/data/corpus.jsonl
    """
    from models.data import read, read_corpus, texts_of, without_twins
    from models.evaluate import evaluate
    from models.predict import Predictor
    from models.render import print_report

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


@app.command(name="predict")
def predict_command(
    texts: Annotated[list[str], typer.Argument(help="Texts to judge.")],
    model: Annotated[
        Path | None, typer.Option(help="Model folder; default: the shipped one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text.")] = False,
    device: _DEVICE = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    threads: _THREADS = None,
) -> None:
    """Print sentiment and topic of each text with their probabilities.

    Example:

        python -m models predict "Profit fell by half and the dividend is gone"
    """
    from models.predict import Predictor
    from models.render import print_verdicts

    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    found = predictor.predict(predictor.encode(texts))
    print_verdicts(Console(), texts, found, as_json=as_json)


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
