"""`python -m models continual`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.gate import REFUSED, print_decision
from models.commands.options import DEVICE, FORCE, LICENCE, NAME, SET, THREADS, pairs
from models.errors import ModelError
from models.labels import Task


def continual_command(
    out: Annotated[Path, typer.Option(help="Folder for the candidate.")],
    sentiment: Annotated[Path | None, typer.Option(help="New labels: sentiment.")] = None,
    topic: Annotated[Path | None, typer.Option(help="New labels: topic.")] = None,
    rehearse: Annotated[
        list[Path] | None,
        typer.Option(help="Old labels of either task, or of both; repeatable."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder to go on from; default: the current one.")
    ] = None,
    registry: Annotated[Path, typer.Option(help="Folder of the registry.")] = Path("var/models"),
    rehearse_share: Annotated[
        float, typer.Option(min=0, max=0.95, help="Part of old texts in the training.")
    ] = 0.5,
    held_out_sentiment: Annotated[
        Path | None, typer.Option(help="Texts for the gate, new to both models.")
    ] = None,
    held_out_topic: Annotated[Path | None, typer.Option(help="The same for the topics.")] = None,
    gate_share: Annotated[
        float, typer.Option(help="Part held out for the gate where no such file is given.")
    ] = 0.15,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it current if it passes the gate.")
    ] = False,
    strict: Annotated[
        bool, typer.Option(help="Refuse a fall already when its interval excludes 0.")
    ] = False,
    name: NAME = "model",
    licence: LICENCE = "not stated",
    seed: Annotated[int, typer.Option(help="Of sample, parts and order.")] = 1,
    set_: SET = None,
    device: DEVICE = "auto",
    threads: THREADS = None,
    force: FORCE = False,
) -> None:
    """Go on from the current model with new labels, rehearse old ones, and pass the gate.

    Exit code 3: the candidate forgot something (see `gate`) and was not promoted; it stays in its
    folder. Give held-out files where you can: of the texts that the command holds out by itself the
    current model may have learnt the old ones.

    Example:

        python -m models continual --sentiment march.csv --rehearse sent_train.csv
        --rehearse topic_train.csv --held-out-sentiment s_valid.csv --held-out-topic t_valid.csv
        --out runs/march --promote
    """
    from models.registry.folder import Registry
    from models.training.continual import Request, retrain

    home = Registry(registry)
    began = home.current()
    current = began.path if promote or model is None else model
    console = Console()
    decision = retrain(
        Request(
            model=model or current,
            new=_given(sentiment, topic),
            rehearse=tuple(rehearse or ()),
            held_out=_given(held_out_sentiment, held_out_topic),
            rehearsal_share=rehearse_share,
            gate_share=gate_share,
            seed=seed,
            licence=licence,
        ),
        pairs(set_),
        out=out,
        against=current,
        name=name,
        strict=strict,
        device=device,
        threads=threads,
        force=force,
        console=console,
    )
    print_decision(console, decision)
    if not decision.passed:
        raise typer.Exit(REFUSED)
    if promote:
        if home.current() != began:
            raise ModelError(
                f"{registry}: another version became current meanwhile; hold the candidate against"
                f" it with: python -m models gate {home.current().path} {out}"
            )
        version = home.add(out, "continual")
        entry = home.promote(version, "passed the gate")
        console.print(f"current: {entry.before} → {entry.after}")


def _given(sentiment: Path | None, topic: Path | None) -> dict[Task, Path]:
    found: dict[Task, Path] = {}
    if sentiment is not None:
        found["sentiment"] = sentiment
    if topic is not None:
        found["topic"] = topic
    return found
