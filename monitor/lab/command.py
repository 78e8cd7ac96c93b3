"""`monitor lab`: read, run, compare, show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from sqlalchemy import Engine

from models import manifest as manifests
from models.errors import ModelError
from models.progress import progress_bar
from models.registry.folder import Registry
from monitor import config
from monitor.clock import ScaledClock
from monitor.config import load_settings
from monitor.detect.correction import Corrections
from monitor.entity.gazetteer import load
from monitor.errors import ConfigError, MonitorError
from monitor.garbage import collector_spared
from monitor.jsonfile import write_json
from monitor.lab.compare import Comparison, compare
from monitor.lab.experiment import Outcomes, Setup, run
from monitor.lab.history import History
from monitor.lab.rules import Rules, changed, differences
from monitor.lab.show import as_json, show
from monitor.ruling import errors_of
from monitor.store.engine import open_reader
from monitor.store.rows import moment
from monitor.store.verdicts.sql import SqlVerdicts


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What the command line chose."""

    config: Path | None
    sets: tuple[str, ...]
    other: Path | None
    """A configuration whose rules are tried."""
    since: datetime | None
    until: datetime | None
    json: Path | None
    stored: bool = False
    """Whether the changed rules are set beside what fired, and not beside today's rules."""


def parse_moment(option: str, text: str | None) -> datetime | None:
    """An RFC 3339 time or a date, UTC where no zone is given. Raises ``ConfigError``."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r}: must be a date or a time, as in 2026-03-02 or 2026-03-02T09:00Z"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def run_lab(options: LabOptions) -> int:
    """Print what the changed rules would have done; 0. Raises ``MonitorError``."""
    settings = load_settings(options.config)
    today = Rules.of(settings)
    other = changed(load_settings(options.other) if options.other else settings, options.sets)
    engine = open_reader(settings.store.url)
    try:
        with _bar() as told:
            found, comparison = experiment(
                engine, settings, today, other, options.since, options.until, told, options.stored
            )
        names = History(engine).names()
    finally:
        engine.dispose()
    changes = differences(today, other)
    show(comparison, found.documents, changes, names, stored=options.stored)
    if options.json is not None:
        against = "stored" if options.stored else "rules"
        write_json(options.json, as_json(comparison, found.documents, changes, names, against))
    return 0


def experiment(
    engine: Engine,
    settings: config.Settings,
    today: Rules,
    other: Rules,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    against_stored: bool = False,
) -> tuple[Outcomes, Comparison]:
    """Both sets of rules over the documents of a database, compared between two event times; or
    the changed ones alone, compared with the alerts that are stored.

    ``progress`` is told how many documents are done, and of how many. Raises ``MonitorError``.
    """
    history = History(engine)
    span = history.span()
    if span is None:
        raise MonitorError("the database holds no document yet: there is nothing to try rules on")
    documents, first, last = span
    since, until = since or moment(first), until or moment(last + 1000)
    if not since < until:
        raise ConfigError(
            f"--from {since:%Y-%m-%d %H:%M} is not before --until {until:%Y-%m-%d %H:%M}; stored "
            f"are documents of {moment(first):%Y-%m-%d %H:%M} to "
            f"{moment(last):%Y-%m-%d %H:%M} UTC"
        )
    entities = settings.entities
    setup = Setup(_corrections(settings.model).of, settings.sources.depend_share, _clock(settings))
    stored = history.alerts()
    with collector_spared():
        found = run(
            history,
            today,
            other,
            setup,
            lambda: load(entities.gazetteer, entities.aliases),
            int(until.timestamp()),
            lambda done: progress(done, documents),
            stored if against_stored else None,
        )
    judged = {
        fired.alert_id: fired.judgement
        for fired in SqlVerdicts(engine).fired()
        if fired.judgement is not None
    }
    return found, compare(found.today, found.other, stored, judged, since, until)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("documents", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _corrections(model: config.Model) -> Corrections:
    """What is known of the errors of every model that this machine has."""
    corrections = Corrections()
    try:
        known = [version.manifest for version in Registry(model.registry).versions()]
        if model.path is not None:
            known.append(manifests.read(model.path))
    except ModelError as error:
        raise MonitorError(f"the models cannot be read: {error}") from error
    for manifest in known:
        if manifest is not None:
            corrections.note(manifest.version, *errors_of(manifest))
    return corrections


def _clock(settings: config.Settings) -> Callable[[datetime], datetime]:
    replay = settings.replay
    if replay is None:
        return lambda wall: wall

    def event_time(wall: datetime) -> datetime:
        clock = ScaledClock(
            replay.event_origin, replay.wall_origin, replay.speed, wall=lambda: wall
        )
        return clock.now()

    return event_time
