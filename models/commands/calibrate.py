"""`python -m models calibrate`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, THREADS


def calibrate_command(
    model: Annotated[Path, typer.Option(help="Model folder; its manifest is rewritten.")],
    sentiment: Annotated[Path, typer.Option(help="The file of its training: sentiment.")],
    topic: Annotated[Path, typer.Option(help="The file of its training: topic.")],
    validate_sentiment: Annotated[
        Path | None, typer.Option(help="The validation file that its manifest reports on.")
    ] = None,
    validate_topic: Annotated[Path | None, typer.Option(help="The same for the topics.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="The corpora of its training; repeatable.")
    ] = None,
    corpus_share: Annotated[
        float | None,
        typer.Option(help="What a corpus counts, a task's file counting 1; default: its recipe's."),
    ] = None,
    device: DEVICE = "auto",
    threads: THREADS = None,
) -> None:
    """Fit the temperatures of a trained model anew, on the texts that its recipe held out.

    Weights and version stay; temperatures and reports in the manifest are replaced. Files or
    held-out texts other than those of the training are refused. A version in a registry does not
    change: calibrate the folder before it is added.

    Examples:

        python -m models calibrate --model runs/first --sentiment s.csv --topic t.csv

        python -m models calibrate --model runs/first --sentiment s.csv --topic t.csv
        --corpus corpus.jsonl --corpus-share 1
    """
    from models import manifest as manifests
    from models.evaluation.render import print_report
    from models.labels import TASKS
    from models.progress import track
    from models.training.refit import refit
    from models.training.settings import recipe_of
    from models.training.sources import Files

    if corpus_share is not None:
        recipe_of({"calibration_corpus_share": corpus_share})  # one error, before any work
    before = manifests.read(model)
    console = Console(stderr=True)
    with track() as advance:
        found = refit(
            model,
            Files(
                training={"sentiment": sentiment, "topic": topic},
                validation={"sentiment": validate_sentiment, "topic": validate_topic},
                licence="not stated",
                corpora=tuple(corpus or ()),
            ),
            corpus_share=corpus_share,
            device=device,
            threads=threads,
            observer=advance("judging"),
        )
    for task in TASKS:
        print_report(console, task, found.heads[task].best_report)
        old, new = before.heads[task].temperature, found.heads[task].temperature
        console.print(f"{task}: temperature {old} before, {new} now")
    console.print(f"written to {model / manifests.FILE}, version {found.version} as before")
