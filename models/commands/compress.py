"""`python -m models compress`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.commands.options import DEVICE, FORCE, LICENCE, MODEL, given, pairs
from models.errors import ModelError

_LAYERS = "layers="


def compress_command(
    model: MODEL = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the new model; with --table of the report.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="bf16, int8 or layers=N.")] = None,
    table: Annotated[bool, typer.Option("--table", help="Measure instead of writing.")] = False,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another model folder for the table; repeatable.")
    ] = None,
    sentiment: Annotated[
        Path | None, typer.Option(help="Labelled texts: layers=N learns them, --table tests.")
    ] = None,
    topic: Annotated[Path | None, typer.Option(help="The same for the topics.")] = None,
    exclude_twins_of: Annotated[
        list[Path] | None,
        typer.Option(help="Training file; the table leaves out texts with a twin in it."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Texts of each file in the table.")] = 1000,
    all_: Annotated[bool, typer.Option("--all", help="All texts in the table.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Of timing.")] = 5,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Corpus that joins the student's training.")
    ] = None,
    teacher_texts: Annotated[
        list[Path] | None, typer.Option(help="Texts without labels for the teacher to judge.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the student.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any hyper-parameter of the student: name=value; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name in the new manifest.")] = None,
    licence: LICENCE = "not stated",
    force: FORCE = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    device: DEVICE = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
) -> None:
    """Make a smaller model that needs no other encoder, or measure what smaller models cost.

    bf16 and int8 are made of the weights alone; layers=N trains a student with the model as its
    teacher and needs --sentiment and --topic.

    Examples:

        python -m models compress --kind int8 --out runs/int8

        python -m models compress --model runs/first --kind layers=3 --out runs/small
        --sentiment sent_train.csv --topic topic_train.csv --epochs 3

        python -m models compress --table --against runs/small --sentiment sent_valid.csv
        --topic topic_valid.csv --exclude-twins-of sent_train.csv --out report
    """
    from models.predict import DEFAULT

    console = Console(stderr=True)
    source = model or DEFAULT
    if table == (kind is not None):
        raise ModelError("give --kind bf16, int8 or layers=N with --out, or --table")
    if table:
        _table(
            source, against or [], sentiment, topic, exclude_twins_of or [],
            None if all_ else limit, rounds, out, device, threads, as_json=as_json,
        )  # fmt: skip
        return
    if out is None or kind is None:
        raise ModelError(f"--kind {kind}: add --out, the folder to write the model into")
    if kind in {"bf16", "int8"}:
        from models.compression.pack import pack

        made = pack(source, out, "bf16" if kind == "bf16" else "int8", name=name, force=force)
    elif kind.startswith(_LAYERS) and kind.removeprefix(_LAYERS).isdigit():
        from models.compression.distil import distil
        from models.training.sources import Files

        if sentiment is None or topic is None:
            raise ModelError(f"--kind {kind}: the student learns; add --sentiment and --topic")
        settings = given(epochs=epochs) | pairs(set_)
        made = distil(
            source,
            out,
            int(kind.removeprefix(_LAYERS)),
            Files(
                training={"sentiment": sentiment, "topic": topic},
                validation={"sentiment": None, "topic": None},
                licence=licence,
                corpora=tuple(corpus or ()),
                teacher_texts=tuple(teacher_texts or ()),
            ),
            settings,
            name=name,
            device=device,
            threads=threads,
            force=force,
            console=console,
        )
    else:
        raise ModelError(f"--kind {kind}: there are bf16, int8 and layers=N, e.g. layers=3")
    if as_json:
        typer.echo(made.model_dump_json(include={"name", "version", "compression", "files"}))
    console.print(f"version {made.version} written to {out}")


def _table(
    source: Path,
    against: list[Path],
    sentiment: Path | None,
    topic: Path | None,
    training: list[Path],
    limit: int | None,
    rounds: int,
    out: Path | None,
    device: str,
    threads: int,
    *,
    as_json: bool,
) -> None:
    from models.compression import table as tables
    from models.compression.pack import Storage, pack, size_on_disk
    from models.dataset.read import read, texts_of
    from models.dataset.split import without_twins
    from models.device import choose_device, has_native_bfloat16, has_native_int8
    from models.evaluation.document import make, put
    from models.labels import TASKS
    from models.predict import Predictor
    from models.progress import track

    files = {"sentiment": sentiment, "topic": topic}
    if not any(files.values()):
        raise ModelError("--table measures on labelled texts: add --sentiment FILE, --topic FILE")
    if out is not None:
        make(out)
    device = choose_device(device)
    known = [text for path in training for text in texts_of(path)]
    corpora = [
        tables.sample(without_twins(read(file, task), known), limit)
        for task in TASKS
        if (file := files[task]) is not None
    ]

    def candidate(folder: Path, dtype: str) -> tables.Candidate:
        loaded = Predictor.load(folder, device=device, dtype=dtype, threads=threads)
        return tables.Candidate(loaded, size_on_disk(folder))

    with tempfile.TemporaryDirectory() as folder, track() as advance:
        candidates = {"float32": candidate(source, "float32")}
        native = has_native_bfloat16(device)
        storages: tuple[tuple[Storage, str], ...] = (("bf16", "auto"), ("int8", "float32"))
        for kind, dtype in storages:
            small = Path(folder) / kind
            pack(source, small, kind)
            candidates[kind] = candidate(small, dtype)
        for path in against:
            candidates[path.name] = candidate(path, "float32")
            if native:
                candidates[f"{path.name}, bf16"] = candidate(path, "bfloat16")
        rows = tables.compare(candidates, corpora, rounds=rounds, advance=advance("measuring"))
    about = (
        f"Model {rows[0].version}, {device}, {threads} thread(s); {rounds} interleaved rounds;"
        " speed is that of float32 in the same round, median with extremes; texts: "
        + ", ".join(f"{len(corpus):,} of {corpus.path.name}" for corpus in corpora)
        + "."
        + ("" if native else " bf16 is computed in float32, which this processor does faster.")
        + ("" if has_native_int8(device) else " So are the whole numbers of int8.")
    )
    if as_json:
        typer.echo(tables.as_json(rows, about))
    else:
        head, body = tables.cells(rows)
        Console().print(about)
        # A table for each task, and one for the cost, fit a terminal of 80 columns.
        for first in range(1, len(head), 3):
            shown = Table(head[0], *head[first : first + 3])
            for line in body:
                shown.add_row(line[0], *line[first : first + 3])
            Console().print(shown)
    if out is not None:
        put(out / "compression.md", tables.markdown(rows, about))
        put(out / "compression.json", tables.as_json(rows, about) + "\n")
        Console(stderr=True).print(f"report written to {out}")
