"""The command line. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.bench.command import EXAMPLES, bench
from monitor.entity.command import gazetteer
from monitor.errors import MonitorError
from monitor.usage import examples, installed_version

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monitor {installed_version()}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_tell_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """A self-hosted, streaming monitor of financial sentiment and opinion."""


KINDS = "JSON lines, CSV, TSV (also .gz, .zst) or Parquet"
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; without one: defaults and the environment."),
]


@app.command(
    short_help="Run the daemon.", epilog=examples("monitor run --config /etc/monitor/monitor.toml")
)
def run(config: Config = None) -> None:
    """Run the daemon: read Kafka, score, aggregate, detect, alert. SIGTERM ends it cleanly."""
    from monitor import log
    from monitor.app import run_daemon
    from monitor.config import load_settings

    settings = load_settings(config)
    log.configure(settings.logs.level, settings.logs.style)
    run_daemon(settings)


@app.command(
    short_help="Start everything on this machine, with invented news.",
    epilog=examples("monitor demo --for 90", "monitor demo --dashboard-port 8601 --http-port 9208"),
)
def demo(
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=25, help="Run headless for so many seconds, print a summary."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=1, help="Simulated seconds a second; default 720: a day in two minutes."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample stream.")] = 7,
    dashboard_port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    http_port: Annotated[int, typer.Option(min=1, max=65535)] = 9108,
    folder: Annotated[
        Path, typer.Option(help="Database, configuration and logs; emptied at the start.")
    ] = Path("var/demo"),
) -> None:
    """Start everything on this machine: broker, feed, daemon, webhook receiver, dashboard."""
    from monitor.demo.run import DemoOptions, run_demo

    options = DemoOptions(seconds, speed, seed, dashboard_port, http_port, folder)
    raise typer.Exit(run_demo(options))


@app.command(
    short_help="Publish recorded streams into Kafka in event order.",
    epilog=examples(
        "monitor replay news.jsonl --map published_at=ts,text=description,url=link",
        "monitor replay posts.csv --topic comments --speed 3600 --blank Comment"
        " --map published_at=created,text=body,source==reddit.com",
    ),
)
def replay(
    files: Annotated[list[Path], typer.Argument(help=f"{KINDS}; order by event time.")],
    config: Config = None,
    mapping: Annotated[
        str,
        typer.Option("--map", help="FIELD=COLUMN or FIELD==TEXT, separated by commas."),
    ] = "",
    blank: Annotated[
        list[str] | None, typer.Option(help="A value that counts as absent; may be repeated.")
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="Kafka topic; default: the configuration's first.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="Event seconds a second, or max: as fast as the broker takes them.")
    ] = "max",
    assume_utc: Annotated[
        bool, typer.Option("--assume-utc", help="Times without a zone are UTC, not an error.")
    ] = False,
) -> None:
    """Publish recorded streams into Kafka in event order, at a chosen speed. Each run publishes all
    of it; `import` takes what is new, once."""
    from monitor.replay import ReplayOptions, parse_speed, run_replay
    from monitor.source.files import FieldMap

    fields = FieldMap.parse(mapping, blanks=blank or (), assume_utc=assume_utc)
    raise typer.Exit(
        run_replay(ReplayOptions(tuple(files), config, fields, topic, parse_speed(speed)))
    )


@app.command(
    name="import",
    short_help="Hand in the rows of files, each once.",
    epilog=examples(
        "monitor import posts.parquet --kind comment"
        " --map published_at=created,text=body,source==reddit.com"
    ),
)
def import_files(
    files: Annotated[list[Path], typer.Argument(help=KINDS)],
    config: Config = None,
    kind: Annotated[str, typer.Option(help="news or comment: of rows that name none.")] = "news",
    mapping: Annotated[
        str,
        typer.Option("--map", help="FIELD=COLUMN or FIELD==TEXT, separated by commas."),
    ] = "",
    blank: Annotated[
        list[str] | None, typer.Option(help="A value that counts as absent; may be repeated.")
    ] = None,
    assume_utc: Annotated[
        bool, typer.Option("--assume-utc", help="Times without a zone are UTC, not an error.")
    ] = False,
    history_after: Annotated[
        float, typer.Option(min=0, help="Hours; what was published before is history, not news.")
    ] = 24.0,
) -> None:
    """Hand in the rows of files, each once: what is interrupted goes on where it was, a file that
    was read is not read again, a row that is no message becomes a dead letter."""
    from monitor.importing import ImportOptions, parse_kind, run_import
    from monitor.source.files import FieldMap

    fields = FieldMap.parse(mapping, blanks=blank or (), assume_utc=assume_utc)
    options = ImportOptions(tuple(files), config, parse_kind(kind), fields, history_after * 3600)
    raise typer.Exit(run_import(options))


@app.command(
    short_help="Send an invented crisis to the receivers, and time it.",
    epilog=examples("monitor drill --config monitor.toml --wait 120 --receiver risk-desk"),
)
def drill(
    config: Config = None,
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds until every stop must have been reached.")
    ] = 120.0,
    receiver: Annotated[
        str | None,
        typer.Option(help="Wait for this receiver alone; all of them are told, as always."),
    ] = None,
) -> None:
    """Send an invented crisis through the running daemon to the receivers, and time each stop;
    status 1, and where it got stuck, when it does not arrive. It leaves nothing in the figures."""
    from monitor.drilling import DrillOptions, run_drill

    raise typer.Exit(run_drill(DrillOptions(config, wait, receiver)))


@app.command(
    short_help="Show how often each rule was right.",
    epilog=examples("monitor verdicts --config monitor.toml --target 0.9"),
)
def verdicts(
    config: Config = None,
    target: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Precision to reach; default: the configuration's."),
    ] = None,
) -> None:
    """Show how often each rule was right, and the threshold from which on it would be often
    enough."""
    from monitor.verdict.command import show_rules

    show_rules(config, target)


@app.command(
    short_help="Recompute an alert from its receipt.",
    epilog=examples(
        "monitor receipt 5f0c7a52-1f0e-5d0b-9f55-6b3f5c0a4c11 -c monitor.toml",
        "monitor receipt 5f0c7a52-1f0e-5d0b-9f55-6b3f5c0a4c11 -c monitor.toml"
        " --kafka --rescore --json audit.json",
    ),
)
def receipt(
    alert_id: Annotated[str, typer.Argument(help="Id of an alert: its label alert_id.")],
    config: Config = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the receipt and every check to this file as well.")
    ] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Judge the stored texts again by the same weights.")
    ] = False,
    kafka: Annotated[
        bool,
        typer.Option(
            "--kafka",
            help="Read the documents from Kafka again and compare; with --rescore also the texts "
            "that are not stored any more.",
        ),
    ] = False,
) -> None:
    """Recompute an alert from its receipt and say what differs; status 0: reproduced exactly, 1:
    something differs, 2: there is nothing that could be recomputed, or Kafka does not answer."""
    from monitor.auditing import ReceiptOptions, run_receipt

    raise typer.Exit(run_receipt(ReceiptOptions(alert_id, config, json, rescore, kafka)))


@app.command(
    short_help="Try other rules on the stored documents.",
    epilog=examples(
        "monitor lab -c monitor.toml --set detect.budget=2",
        "monitor lab -c monitor.toml --set detect.min_documents=5 --set detect.min_sources=2"
        " --from 2026-03-09 --until 2026-04-01",
        "monitor lab -c monitor.toml --with tried.toml --stored --json lab.json",
    ),
)
def lab(
    config: Config = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="section.name=value of [detect], [aggregate], or entities.watch_file; repeatable.",
        ),
    ] = None,
    other: Annotated[
        Path | None,
        typer.Option("--with", help="Take [detect], [aggregate] and the watch lists from this."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Report from here on; what is before fills the baselines."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Report up to here; event time, UTC.")] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write everything to this file as well.")
    ] = None,
    stored: Annotated[
        bool,
        typer.Option(
            "--stored", help="Beside the alerts that fired, without running today's rules again."
        ),
    ] = False,
) -> None:
    """Try other rules on the stored documents: which alerts would have fired, how many a day, how
    much earlier, how often right, beside today's rules. Writes nothing to the database."""
    from monitor.lab.command import LabOptions, parse_moment, run_lab

    begin, end = parse_moment("--from", since), parse_moment("--until", until)
    sets = tuple(changes or ())
    raise typer.Exit(run_lab(LabOptions(config, sets, other, begin, end, json, stored)))


@app.command(
    short_help="Check configuration, model, database and brokers.",
    epilog=examples("monitor check --config monitor.toml"),
)
def check(config: Config = None) -> None:
    """Check configuration, model, database, brokers and receivers; say what is wrong with each."""
    from monitor.check import run_check

    raise typer.Exit(run_check(config))


@app.command(
    name="notify-test",
    short_help="Send a receiver an alert that is marked as a test.",
    epilog=examples("monitor notify-test risk-desk -c monitor.toml"),
)
def notify_test(
    receiver: Annotated[str, typer.Argument(help="Name of a configured receiver.")],
    config: Config = None,
) -> None:
    """Send a receiver an alert that is marked as a test, and print its answer."""
    from rich.console import Console

    from monitor.clock import SystemClock
    from monitor.config import load_settings
    from monitor.trial import run_trial

    console = Console(soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(run_trial(load_settings(config), receiver, console, SystemClock().now()))


@app.command(
    short_help="Bring the database's tables to this version.",
    epilog=examples("monitor migrate --config monitor.toml"),
)
def migrate(config: Config = None) -> None:
    """Bring the database's tables to this version; `run` does it by itself."""
    from monitor.config import load_settings
    from monitor.store.migrations import migrate as upgrade

    found, now = upgrade(load_settings(config).store.url)
    typer.echo(f"tables: {found or 'none'} → {now}")


feeds = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(
    feeds,
    name="feed",
    epilog=examples(
        "monitor feed --config monitor.toml", "monitor feed check https://www.example.com/rss.xml"
    ),
)


@feeds.callback()
def feed(
    context: typer.Context,
    config: Config = None,
    once: Annotated[
        bool, typer.Option("--once", help="Poll each feed once; status 1 if one failed.")
    ] = False,
) -> None:
    """Read the configured RSS and Atom feeds into Kafka. SIGTERM ends it cleanly."""
    from monitor import log
    from monitor.config import load_settings
    from monitor.feeding import run_feeds

    if context.invoked_subcommand is None:
        settings = load_settings(config)
        log.configure(settings.logs.level, settings.logs.style)
        raise typer.Exit(run_feeds(settings, once=once))


@feeds.command(
    "check",
    short_help="Show what a feed would give; stores nothing.",
    epilog=examples("monitor feed check https://www.example.com/rss.xml"),
)
def check_feed(
    feed: Annotated[str, typer.Argument(help="A URL, or the name of a configured feed.")],
    config: Config = None,
    allow_network: Annotated[
        list[str] | None, typer.Option(help="A network inside the house (CIDR); may be repeated.")
    ] = None,
) -> None:
    """Show what a feed would give: its items, their dates, what is wrong. Stores nothing."""
    from rich.console import Console

    from monitor import feeding
    from monitor.clock import SystemClock
    from monitor.config import load_settings

    console = Console(markup=False, highlight=False)
    networks = tuple(allow_network or ())
    feeding.check_feed(load_settings(config), feed, networks, console, SystemClock().now())


@feeds.command(
    "status",
    short_help="Show how each configured feed does.",
    epilog=examples("monitor feed status --config monitor.toml"),
)
def feed_status(config: Config = None) -> None:
    """Show how each configured feed does; status 1 if one fails or was never read."""
    from rich.console import Console

    from monitor.config import load_settings
    from monitor.feeding import show_states

    bad = show_states(load_settings(config), Console(markup=False, highlight=False))
    raise typer.Exit(1 if bad else 0)


app.command(short_help="Measure the scorer beside its peers.", epilog=EXAMPLES)(bench)
app.add_typer(gazetteer, name="gazetteer")


def main() -> None:
    """Console script: an error that a person can mend is one message and exit status 1."""
    try:
        app()
    except MonitorError as error:
        print(f"monitor: {error}", file=sys.stderr)
        sys.exit(1)
