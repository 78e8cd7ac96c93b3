"""`python -m models spans train|names|evaluate|divide`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.commands.options import (
    CHECKPOINT_EVERY,
    DEVICE,
    DTYPE,
    FORCE,
    FRESH,
    MODEL,
    REPORT,
    SET,
    TENSORBOARD,
    THREADS,
    given,
    pairs,
)

spans_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Names and the mood towards each: train and evaluate the token head.

Example:

    python -m models spans evaluate --tagged test.conll --targets models/data/corpus.jsonl
""",
)

TAGGED_TEST = Annotated[
    list[Path] | None,
    typer.Option(help="File of tagged words for the manifest's report alone; repeatable."),
]
LICENCES = Annotated[
    list[str] | None,
    typer.Option(help="Licence of the files whose names begin so: BEGINNING=LICENCE."),
]


@spans_app.command(name="train")
def spans_train_command(
    sentiment: Annotated[Path, typer.Option(help="The file of the model's training: sentiment.")],
    topic: Annotated[Path, typer.Option(help="The file of the model's training: topic.")],
    out: Annotated[Path, typer.Option(help="Folder to write weights and manifest into.")],
    model: MODEL = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Model whose verdicts on texts are kept; default: that of --model."),
    ] = None,
    validate_sentiment: Annotated[
        Path | None, typer.Option(help="Validation file of the sentiment.")
    ] = None,
    validate_topic: Annotated[
        Path | None, typer.Option(help="Validation file of the topic.")
    ] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="The corpora of the model's training; repeatable.")
    ] = None,
    targets: Annotated[
        list[Path] | None,
        typer.Option(help="More texts with a sentiment towards entities; repeatable."),
    ] = None,
    tagged: Annotated[
        list[Path] | None, typer.Option(help="File of tagged words to train on; repeatable.")
    ] = None,
    tagged_held_out: Annotated[
        list[Path] | None, typer.Option(help="File of tagged words to choose on; repeatable.")
    ] = None,
    tagged_test: TAGGED_TEST = None,
    licence: LICENCES = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; default: as before.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of start, order and changes.")] = None,
    set_: SET = None,
    device: DEVICE = "auto",
    threads: THREADS = None,
    force: FORCE = False,
    fresh: FRESH = False,
    checkpoint_every: CHECKPOINT_EVERY = 200,
    tensorboard: TENSORBOARD = None,
) -> None:
    """Train the token head of a model together with its encoder; its verdicts on texts are kept.

    Killed, it goes on from its last checkpoint when the same command is given again.

    Example:

        python -m models spans train --sentiment s.csv --topic t.csv --corpus corpus.jsonl
        --targets targets.jsonl --tagged btc.train.conll --tagged-held-out btc.held-out.conll
        --licence "btc=CC BY 4.0" --out runs/spans
    """
    from models.marking.session import SpanFiles, run_training
    from models.predict import DEFAULT
    from models.training.sources import Files

    settings = given(learning_rate=learning_rate, epochs=epochs, seed=seed) | pairs(set_)
    run_training(
        SpanFiles(
            sentences=Files(
                training={"sentiment": sentiment, "topic": topic},
                validation={"sentiment": validate_sentiment, "topic": validate_topic},
                licence="not stated",
                corpora=tuple(corpus or ()),
                start=model or DEFAULT,
            ),
            kept=keep,
            targets=tuple(targets or ()),
            tagged=tuple(tagged or ()),
            tagged_held_out=tuple(tagged_held_out or ()),
            tagged_test=tuple(tagged_test or ()),
            licences=pairs(licence, "--licence"),
        ),
        settings,
        out=out,
        name=name,
        device=device,
        threads=threads,
        force=force,
        fresh=fresh,
        checkpoint_every=checkpoint_every,
        tensorboard=tensorboard,
        console=Console(stderr=True),
    )


@spans_app.command(name="names")
def spans_names_command(
    tagged: Annotated[
        list[Path], typer.Option(help="File of tagged words to train on; repeatable.")
    ],
    tagged_held_out: Annotated[
        list[Path], typer.Option(help="File of tagged words to choose on; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write weights and manifest into.")],
    model: MODEL = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="Corpus of the written kind, read for its names; repeatable."),
    ] = None,
    tagged_test: TAGGED_TEST = None,
    licence: LICENCES = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of start and order.")] = None,
    set_: SET = None,
    threads: THREADS = None,
    force: FORCE = False,
) -> None:
    """Train what tells names in a token head; all other verdicts of the model stay as they are.

    The encoder is read once, so that a run takes minutes on a CPU.

    Example:

        python -m models spans names --tagged btc.train.conll --tagged-held-out btc.held-out.conll
        --corpus corpus.jsonl --licence "btc=CC BY 4.0" --out runs/names
    """
    from models.marking.names import NameFiles, train_names
    from models.predict import DEFAULT
    from models.recipe import NamesRecipe
    from models.training.settings import checked

    settings = given(learning_rate=learning_rate, epochs=epochs, seed=seed) | pairs(set_)
    train_names(
        model or DEFAULT,
        NameFiles(
            tagged=tuple(tagged),
            held_out=tuple(tagged_held_out),
            corpora=tuple(corpus or ()),
            test=tuple(tagged_test or ()),
        ),
        checked(settings, NamesRecipe),
        out=out,
        licences=pairs(licence, "--licence"),
        threads=threads,
        force=force,
        console=Console(stderr=True),
    )


@spans_app.command(name="evaluate")
def spans_evaluate_command(
    model: MODEL = None,
    tagged: Annotated[
        list[Path] | None, typer.Option(help="File of tagged words; repeatable.")
    ] = None,
    targets: Annotated[
        list[Path] | None,
        typer.Option(help="Corpus with a sentiment towards entities; repeatable."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which rows of the corpora.")] = "test",
    sentfin: Annotated[Path | None, typer.Option(help="The CSV file of SEntFiN.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Add the reports to the manifest of --model.")
    ] = False,
    as_json: REPORT = False,
    device: DEVICE = "auto",
    dtype: DTYPE = "float32",
    threads: THREADS = None,
) -> None:
    """Report F1 of whole names, and how well the sentiment towards each entity is told.

    Beside the head stands what each entity gets when it is given the sentiment of its text.
    Intervals: 95 %, 1,000 rounds, texts drawn anew.

    Examples:

        python -m models spans evaluate --tagged parts/ner/wnut17.test.conll

        python -m models spans evaluate --targets models/data/targets.jsonl --sentfin SEntFiN.csv
    """
    from models.errors import ModelError
    from models.marking.evaluate import names_report, targets_report
    from models.marking.examples import read_corpus, runs_of
    from models.marking.judge import by_model
    from models.marking.publish import SpanReports
    from models.marking.publish import record as add
    from models.marking.render import print_against, record_of
    from models.marking.report import name_record
    from models.marking.sentfin import in_conflict, read
    from models.predict import DEFAULT, Predictor
    from models.progress import track
    from models.tokens import render

    sets = {
        f"{path.name}, {split}": [row.example for row in read_corpus(path) if row.split == split]
        for path in targets or ()
    }
    if sentfin is not None:
        headlines = read(sentfin)
        sets[f"{sentfin.name}, conflicting"] = in_conflict(headlines)
        sets[f"{sentfin.name}, all"] = headlines
    if empty := [name for name, examples in sets.items() if not examples]:
        raise ModelError(f"{empty[0]}: holds no text; give another file or --split")
    if not sets and not tagged:
        raise ModelError("nothing to judge; give --tagged, --targets or --sentfin")
    predictor = Predictor.load(model, device=device, dtype=dtype, threads=threads)
    spans = predictor.manifest.spans
    temperature = 1.0 if spans is None else spans.temperature
    with track() as advance:
        names = {
            path.name: names_report(by_model(predictor, advance(path.name)), runs, types)
            for path in tagged or ()
            for runs, types in [runs_of(path)]
        }
        moods = {
            name: targets_report(by_model(predictor, advance(name)), examples, temperature)
            for name, examples in sets.items()
        }
    if record:
        add(
            model or DEFAULT,
            SpanReports(
                {name: name_record(found) for name, found in names.items()},
                {name: found.record for name, found in moods.items()},
            ),
        )
    if as_json:
        content = {
            "version": predictor.version,
            "names": {n: render.record_of(r).model_dump(mode="json") for n, r in names.items()},
            "targets": {name: record_of(found) for name, found in moods.items()},
        }
        typer.echo(json.dumps(content, indent=1))
        return
    console = Console()
    console.print(f"model {predictor.manifest.name}, version {predictor.version}")
    for name, found in names.items():
        render.print_report(console, name, render.record_of(found))
    for name, against in moods.items():
        print_against(console, name, against)


@spans_app.command(name="divide")
def spans_divide_command(
    btc: Annotated[Path, typer.Option(help="Folder with a.conll to h.conll.")],
    wikigold: Annotated[Path, typer.Option(help="The file wikigold.conll.txt.")],
    wnut: Annotated[Path, typer.Option(help="Folder with the three files of WNUT-17.")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
) -> None:
    """Cut the Broad Twitter Corpus, WikiGold and WNUT-17 into the parts that the card names.

    Example:

        python -m models spans divide --btc btc --wikigold wikigold.conll.txt --wnut wnut17
        --out parts/ner
    """
    from models.marking.parts import divide

    for file, sentences in divide(btc, wikigold, wnut, out).items():
        typer.echo(f"{file}: {sentences} sentences")
