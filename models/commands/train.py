"""`python -m models train`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from models.commands.options import (
    BACKBONE,
    CHECKPOINT_EVERY,
    DEVICE,
    FORCE,
    FRESH,
    LICENCE,
    NAME,
    SET,
    TENSORBOARD,
    THREADS,
    given,
    pairs,
)
from models.errors import ModelError
from models.labels import TASKS, Task


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
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Model folder whose verdicts are targets beside the labels; repeatable."),
    ] = None,
    teacher_texts: Annotated[
        list[Path] | None,
        typer.Option(help="Texts (a table, or lines) for the teachers alone to label; repeatable."),
    ] = None,
    backbone: BACKBONE = None,
    name: NAME = "model",
    licence: LICENCE = "not stated",
    corpus_licence: Annotated[str, typer.Option(help="Licence of the corpora.")] = "not stated",
    recipe: Annotated[
        Path | None, typer.Option(help="TOML of hyper-parameters; the options below override it.")
    ] = None,
    method: Annotated[
        Literal["lora", "adalora", "adapter", "prefix", "bitfit", "full"] | None,
        typer.Option(help="What is trained; default: lora."),
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapters.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of held-out texts, start and order.")] = None,
    set_: SET = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a window at inference.")] = 128,
    device: DEVICE = "auto",
    threads: THREADS = None,
    force: FORCE = False,
    fresh: FRESH = False,
    checkpoint_every: CHECKPOINT_EVERY = 500,
    tensorboard: TENSORBOARD = None,
) -> None:
    """Train both heads together and write weights with a manifest.

    Killed, it goes on from its last checkpoint when the same command is given again.
    A part of each training file is held out to choose the checkpoint and to fit the temperatures.
    Labels are class names, or numbers that a labels.json beside the CSV maps to them.

    Examples:

        python -m models train --sentiment sent_train.csv --topic topic_train.csv --out runs/first

        python -m models train --sentiment s.csv --topic t.csv --out runs/full --method full
        --learning-rate 2e-4 --set head_learning_rate=1e-3 --set layer_decay=0.9

        python -m models train --sentiment s.csv --topic t.csv --out runs/student --method full
        --learning-rate 2e-4 --teacher runs/first --teacher runs/full --teacher-texts more.txt
    """
    from models.training.session import run_training
    from models.training.settings import read_recipe
    from models.training.sources import Files

    settings: dict[str, object] = {} if recipe is None else read_recipe(recipe)
    settings |= given(
        method=method, rank=rank, learning_rate=learning_rate, epochs=epochs, seed=seed
    )
    settings |= pairs(set_)
    run_training(
        Files(
            training={"sentiment": sentiment, "topic": topic},
            validation={"sentiment": validate_sentiment, "topic": validate_topic},
            licence=licence,
            corpora=tuple(corpus or ()),
            corpus_tasks=_tasks(corpus_tasks),
            start=start_from,
            teachers=tuple(teacher or ()),
            teacher_texts=tuple(teacher_texts or ()),
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
        fresh=fresh,
        checkpoint_every=checkpoint_every,
        tensorboard=tensorboard,
        console=Console(stderr=True),
    )


def _tasks(text: str) -> frozenset[Task]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := names - set(TASKS):
        raise ModelError(
            f"--corpus-tasks {', '.join(sorted(unknown))}: there are {', '.join(TASKS)}"
        )
    return frozenset(task for task in TASKS if task in names)
