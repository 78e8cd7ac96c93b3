"""`python -m models tokens train|evaluate|predict`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import (
    BACKBONE,
    CHECKPOINT_EVERY,
    DEVICE,
    DTYPE,
    FORCE,
    FRESH,
    LICENCE,
    LINES,
    NAME,
    REPORT,
    SET,
    TENSORBOARD,
    THREADS,
    given,
    pairs,
)

tokens_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Tag words: train, evaluate and run a model of entities.

Example:

    python -m models tokens predict --model runs/tokens "Lufthansa buys a stake in ITA of Rome"
""",
)

TYPE = Annotated[
    list[str] | None,
    typer.Option(
        "--type", help="What a type of the files counts as: NAME=PER, NAME=O; repeatable."
    ),
]


@tokens_app.command(name="train")
def tokens_train_command(
    train: Annotated[list[Path], typer.Option(help="File of tagged words; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder to write weights and manifest into.")],
    held_out: Annotated[
        Path | None,
        typer.Option(help="File to choose the weights on; default: documents of the others."),
    ] = None,
    type_: TYPE = None,
    name: NAME = "tokens",
    licence: LICENCE = "not stated",
    backbone: BACKBONE = None,
    method: Annotated[str | None, typer.Option(help="full, lora, bitfit, ...")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of start, cuts and order.")] = None,
    set_: SET = None,
    device: DEVICE = "auto",
    threads: THREADS = None,
    force: FORCE = False,
    fresh: FRESH = False,
    checkpoint_every: CHECKPOINT_EVERY = 500,
    tensorboard: TENSORBOARD = None,
) -> None:
    """Train on files of tagged words and write weights with a manifest.

    A line has a word first and its tag last (IOB1 or IOB2); a blank line ends a sentence, two end
    a document. Killed, it goes on from its last checkpoint when the same command is given again.

    Examples:

        python -m models tokens train --train eng.train --held-out eng.testa --out runs/tokens

        python -m models tokens train --train a.conll --train b.conll --type event=MISC
        --type time=O --out runs/tweets --method lora
    """
    from models.tokens.session import TokenFiles, run_training

    settings = given(method=method, learning_rate=learning_rate, epochs=epochs, seed=seed)
    settings |= pairs(set_)
    run_training(
        TokenFiles(
            training=tuple(train),
            held_out=held_out,
            types=pairs(type_, "--type"),
            licence=licence,
        ),
        settings,
        out=out,
        name=name,
        backbone=backbone,
        device=device,
        threads=threads,
        force=force,
        fresh=fresh,
        checkpoint_every=checkpoint_every,
        tensorboard=tensorboard,
        console=Console(stderr=True),
    )


@tokens_app.command(name="evaluate")
def tokens_evaluate_command(
    model: Annotated[Path, typer.Option(help="Folder that `tokens train` has written.")],
    file: Annotated[Path, typer.Argument(help="File of tagged words.")],
    type_: TYPE = None,
    as_json: REPORT = False,
    device: DEVICE = "auto",
    dtype: DTYPE = "float32",
    threads: THREADS = None,
) -> None:
    """Report precision, recall and F1 of each tag, and of whole entities.

    Example:

        python -m models tokens evaluate --model runs/tokens eng.testb
    """
    from models.tokens.read import read
    from models.tokens.render import print_report, record_of
    from models.tokens.report import report
    from models.tokens.tagger import Tagger
    from models.tokens.tags import types_with

    documents = read(file, types_with(pairs(type_, "--type")))
    tagger = Tagger.load(model, device=device, dtype=dtype, threads=threads)
    found = tagger.tag([[sentence.words for sentence in document] for document in documents])
    scores = report(
        [sentence.tags for document in documents for sentence in document],
        [tags for document in found for tags in document],
    )
    if as_json:
        content = record_of(scores).model_dump(mode="json")
        typer.echo(json.dumps({"version": tagger.version, "report": content}, indent=1))
        return
    console = Console()
    console.print(f"model {tagger.manifest.name}, version {tagger.version}")
    print_report(console, file.name, record_of(scores))


@tokens_app.command(name="predict")
def tokens_predict_command(
    texts: Annotated[list[str], typer.Argument(help="Texts to find entities in.")],
    model: Annotated[Path, typer.Option(help="Folder that `tokens train` has written.")],
    as_json: LINES = False,
    device: DEVICE = "auto",
    dtype: DTYPE = "auto",
    threads: THREADS = None,
) -> None:
    """Print the entities of each text: where they stand, their type and its probability.

    Example:

        python -m models tokens predict --model runs/tokens "Lufthansa buys a stake in ITA of Rome"
    """
    from models.tokens.render import print_entities
    from models.tokens.tagger import Tagger

    tagger = Tagger.load(model, device=device, dtype=dtype, threads=threads)
    print_entities(Console(), texts, tagger.entities(texts), as_json=as_json)
