"""`python -m models tokens train|evaluate|predict`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import DEVICE, THREADS
from models.errors import ModelError

tokens_app = typer.Typer(
    no_args_is_help=True,
    help="Tag words: train, evaluate and run a model of entities.",
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
    name: Annotated[str, typer.Option(help="Name of the model in its manifest.")] = "tokens",
    licence: Annotated[str, typer.Option(help="Licence of the data.")] = "not stated",
    backbone: Annotated[
        str | None, typer.Option(help="Encoder: a folder or hub name; default all-MiniLM-L6-v2.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="full, lora, bitfit, ...")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of start, cuts and order.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any hyper-parameter of the recipe: name=value; repeatable."),
    ] = None,
    device: DEVICE = "auto",
    threads: THREADS = None,
    force: Annotated[bool, typer.Option(help="Overwrite a model in the folder.")] = False,
    fresh: Annotated[
        bool, typer.Option(help="Start anew where a checkpoint of a killed run lies in the folder.")
    ] = False,
    checkpoint_every: Annotated[
        int, typer.Option(min=0, help="Steps between checkpoints; 0: at ends of epochs alone.")
    ] = 500,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard: loss, rate, held-out scores.")
    ] = None,
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

    settings: dict[str, object] = {
        key: value
        for key, value in {
            "method": method,
            "learning_rate": learning_rate,
            "epochs": epochs,
            "seed": seed,
        }.items()
        if value is not None
    }
    for item in set_ or []:
        key, value = _pair("--set", item)
        settings[key] = value
    run_training(
        TokenFiles(
            training=tuple(train),
            held_out=held_out,
            types=dict(_pair("--type", item) for item in type_ or []),
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
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable report.")] = False,
    device: DEVICE = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "float32",
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

    documents = read(file, types_with(dict(_pair("--type", item) for item in type_ or [])))
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text.")] = False,
    device: DEVICE = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
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


def _pair(option: str, item: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not equals:
        raise ModelError(f"{option} {item}: write it as name=value")
    return key.strip(), value.strip()
