"""`monitor bench`: its options. Heavy modules are imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.errors import ConfigError
from monitor.usage import examples

EXAMPLES = examples(
    "monitor bench --quick",
    "monitor bench --json bench.json --plot bench.png",
    "monitor bench --device cuda --parts",
    "monitor bench --device cuda --model bert-base-random",
    "monitor bench --memory 100000",
)
REFUSED = 3
"""Exit status where the scorer's labels are not the reference's."""


def bench(
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of every contestant; default 1 on a CPU, all cores with CUDA."),
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="mix, headlines or long; may be repeated. Default: all three."),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Default 5.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Of each contestant in each round; default 3."),
    ] = None,
    texts: Annotated[
        int | None,
        typer.Option(
            min=64, help="Of a corpus (long: a quarter); default 2,000, with CUDA 20,000."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the texts and of their arrivals.")] = 7,
    model: Annotated[
        str, typer.Option(help="default, a model's folder, or bert-base-random for its speed.")
    ] = "default",
    parts: Annotated[
        bool, typer.Option("--parts", help="Also the tokeniser and the device by themselves.")
    ] = False,
    open_loop: Annotated[
        float | None,
        typer.Option(
            "--open-loop",
            min=0,
            help="Seconds of Poisson arrivals at each load; default 20; 0: none.",
        ),
    ] = None,
    memory: Annotated[
        int,
        typer.Option(min=0, help="Score so many texts and watch the memory, nothing else."),
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every round as JSON.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw speeds and latencies.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The mix alone, short rounds: about a minute.")
    ] = False,
) -> None:
    """Measure the scorer beside its peers: texts in, labels out, in one run.

    A contestant whose labels agree with the reference's (transformers' pipeline in float32, one
    text at a time) in less than 99 % has no speed to report; where it is the scorer itself the
    exit status is 3.
    """
    import json
    import sys
    from datetime import UTC, datetime

    from rich.console import Console

    try:
        from monitor.bench.corpus import KINDS
        from monitor.bench.run import RANDOM, Options, run
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"monitor bench needs the package {error.name}; run: pip install 'monitor[bench]'"
        ) from error

    unknown = [name for name in corpus or () if name not in KINDS]
    if unknown:
        raise ConfigError(f"--corpus {unknown[0]}: choose among {', '.join(KINDS)}")
    if memory and model == RANDOM:
        raise ConfigError(f"--memory watches a model as it is shipped, not {RANDOM}")
    if plot is not None and (memory or model == RANDOM):
        raise ConfigError(f"--plot draws the comparison, which --memory and {RANDOM} have not")
    for path in (json_file, plot):
        _demand_folder(path)
    options = Options(
        device=device,
        threads=threads,
        kinds=tuple(kind for kind in KINDS if kind in (corpus or (KINDS[:1] if quick else KINDS))),
        rounds=rounds or (2 if quick else 5),
        seconds=seconds or (1.0 if quick else 3.0),
        texts=texts,
        check=128 if quick else 400,
        least_tokens=8_000 if quick else 40_000,
        seed=seed,
        model=model,
        parts=parts,
        open_loop=(4.0 if quick else 20.0) if open_loop is None else open_loop,
        memory=memory,
        quick=quick,
    )

    from monitor.bench.bar import Bar
    from monitor.bench.render import show

    with Bar(Console(stderr=True)) as progress:
        report = run(options, datetime.now(UTC), progress)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(), indent=1) + "\n", "utf-8")
    if plot is not None:
        from monitor.bench.plot import draw

        draw(report, plot)
    # Into a file the tables are as wide as they need to be.
    show(report, Console() if sys.stdout.isatty() else Console(width=160))
    raise typer.Exit(REFUSED if report.ours_refused else 0)


def _demand_folder(path: Path | None) -> None:
    """Say so before minutes of work, not after."""
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist; create it first")
