"""`python -m models explain`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from models.commands.options import DEVICE, LINES, MODEL, THREADS
from models.errors import ModelError


def explain_command(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to explain.")] = None,
    task: Annotated[Literal["sentiment", "topic"], typer.Option(help="Which verdict.")] = (
        "sentiment"
    ),
    class_: Annotated[
        str | None, typer.Option("--class", help="Class to explain; default: the likeliest.")
    ] = None,
    model: MODEL = None,
    baseline: Annotated[
        Literal["pad", "mask"], typer.Option(help="Token that stands for no word.")
    ] = "pad",
    as_json: LINES = False,
    png: Annotated[Path | None, typer.Option(help="Picture to write; of one text.")] = None,
    test: Annotated[
        Path | None,
        typer.Option("--deletion-test", help="Test the explanations on the texts of this file."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of the file: rows whose column split is this.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Texts drawn from the file.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of that draw and the random words.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the test's Markdown, JSON and figure.")
    ] = None,
    device: DEVICE = "auto",
    threads: THREADS = None,
) -> None:
    """Show what each word says for or against a verdict, by integrated gradients.

    The scores of the words add up to what the text moves the log-odds of the class; the error of
    that sum is shown with them. Options from --deletion-test on show what the scores are worth.

    Examples:

        python -m models explain "Profit fell by half and the dividend is gone" --png why.png

        python -m models explain "Brent fell as OPEC raised output" --task topic --class Politics

        python -m models explain --deletion-test models/data/corpus.jsonl --split test --out report
    """
    from models.evaluation.document import make, put
    from models.explanation import render
    from models.explanation.attribution import class_of, explain
    from models.explanation.deletion import deletion_test
    from models.explanation.material import drawn
    from models.predict import Predictor
    from models.progress import track

    if bool(texts) == (test is not None):
        raise ModelError("give texts to explain, or --deletion-test FILE, and not both")
    if png is not None and (not texts or len(texts) != 1):
        raise ModelError("--png draws one text: give exactly one")
    if test is not None and class_ is not None:
        raise ModelError("--deletion-test explains the likeliest class of each text; drop --class")
    if class_ is not None:
        class_of(task, class_)
    found_texts = [] if test is None else drawn(test, split, limit, seed)
    if out is not None:
        make(out)
    predictor = Predictor.load(model, device=device, dtype="float32", threads=threads)
    console = Console(stderr=as_json)
    if test is not None:
        with track() as advance:
            result = deletion_test(
                predictor,
                found_texts,
                task=task,
                baseline=baseline,
                seed=seed,
                advance=advance("deletion test"),
            )
        record = json.dumps(render.deletion_record(result), indent=1)
        if as_json:
            typer.echo(record)
        else:
            render.print_deletion(console, result)
        if out is not None:
            picture = render.draw_deletion(result, out / "deletion.png")
            put(out / "deletion.md", render.deletion_markdown(result, picture.name))
            put(out / "deletion.json", record + "\n")
            console.print(f"report written to {out}")
        return
    with track() as advance:
        found = explain(
            predictor,
            texts or (),
            task=task,
            target=class_,
            baseline=baseline,
            advance=advance("explaining"),
        )
    for text, explanation in zip(texts or (), found, strict=True):
        if as_json:
            typer.echo(explanation.as_json())
        else:
            render.print_explanation(console, text, explanation)
        if png is not None:
            console.print(f"picture written to {render.draw_explanation(text, explanation, png)}")
