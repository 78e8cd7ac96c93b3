"""`python -m models robustness`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, DTYPE, MODEL, REPORT, THREADS
from models.errors import ModelError

CORPUS = Path(__file__).parents[1] / "data" / "corpus.jsonl"
ENOUGH = 30


def robustness_command(
    model: MODEL = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="File with a column text, perturbed too; no labels needed; repeatable."),
    ] = None,
    corpus: Annotated[
        Path, typer.Option(help="Corpus with marked entities; its split `test` is used.")
    ] = CORPUS,
    limit: Annotated[
        int, typer.Option(min=1, help="Texts to perturb at most, drawn at random.")
    ] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw and of every change.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for robustness.md, robustness.json and figures.")
    ] = None,
    as_json: REPORT = False,
    device: DEVICE = "auto",
    dtype: DTYPE = "float32",
    threads: THREADS = None,
) -> None:
    """Report how often verdicts flip when typos, case, cashtags, numbers or names change.

    Swapped companies, countries and given names get a bias table: the mean probability of negative
    sentiment with each name in the same texts. Where fewer than 30 texts of the split `test` can
    take such a name, those of the whole corpus are used.

    Examples:

        python -m models robustness --out reports/robustness

        python -m models robustness --model runs/first --texts tweets.csv --limit 2000 --json
    """
    import numpy as np

    from models.evaluation.carriers import read_carriers
    from models.evaluation.document import make
    from models.evaluation.render import print_robustness
    from models.evaluation.robustness import measure
    from models.evaluation.robustness_document import as_json as dumped
    from models.evaluation.robustness_document import write
    from models.predict import Predictor
    from models.progress import track

    if corpus == CORPUS and not corpus.exists():
        raise ModelError(
            "the corpus is not part of an installed package; give one with --corpus FILE"
        )
    if out is not None:
        make(out)  # before the work of minutes, not after it
    test = read_carriers(corpus, "test")
    pool = [*test, *(carrier for path in texts or [] for carrier in read_carriers(path))]
    drawn = np.random.default_rng(seed).permutation(len(pool))[:limit]
    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    with track() as advance:
        found = measure(
            predictor,
            [pool[i] for i in sorted(drawn)],
            test,
            more=read_carriers(corpus),
            enough=ENOUGH,
            seed=seed,
            observer=advance("texts"),
        )
    name, version = predictor.manifest.name, predictor.version
    console = Console(stderr=as_json)
    if as_json:
        typer.echo(dumped(found, name=name, version=version))
    else:
        console.print(f"model {name}, version {version}")
        print_robustness(console, found)
    if out is not None:
        write(out, found, name=name, version=version)
        console.print(f"report written to {out}")
