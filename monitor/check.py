"""`monitor check`: try every part that a start needs, and say what is wrong with each."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry
from rich.console import Console

from monitor.config import Settings, load_settings
from monitor.decoding import author_key
from monitor.detect.calendar import read_calendar
from monitor.entity.entities import open_entities
from monitor.errors import ConfigError, MonitorError
from monitor.loading import current_release, load_scorer
from monitor.metrics import Metrics
from monitor.notifying import make_receivers
from monitor.opening import every_topic, kafka_settings, open_database
from monitor.source.client import require_reachable


def run_check(path: Path | None) -> int:
    """Print a line for each part; 0 when all of them work. Raises ``ConfigError``."""
    settings = load_settings(path)
    # A line for each part, however long, as it is: a bracket in it is no markup.
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print("configuration  ok")
    with ExitStack() as stack:
        parts: dict[str, Callable[[], str]] = {
            "database": lambda: _database(settings, stack),
            "kafka": lambda: _kafka(settings),
            "entities": lambda: _entities(settings),
            "calendar": lambda: _calendar(settings),
            "model": lambda: _model(settings, stack),
            "folders": lambda: _folders(settings),
            "receivers": lambda: _receivers(settings, stack),
        }
        faults = 0
        for name, part in parts.items():
            try:
                said = f"ok: {part()}"
            except MonitorError as error:
                faults += 1
                said = f"FAULT: {error}"
            console.print(f"{name:<14} {said}")
    return 1 if faults else 0


def _database(settings: Settings, stack: ExitStack) -> str:
    engine = open_database(settings, stack)
    author_key(settings)
    return engine.url.render_as_string(hide_password=True)


def _kafka(settings: Settings) -> str:
    require_reachable(kafka_settings(settings.kafka))
    topics = ", ".join(every_topic(settings.kafka))
    return f"{settings.kafka.bootstrap_servers} answers; topics {topics}"


def _entities(settings: Settings) -> str:
    entities = open_entities(**dict(settings.entities))
    companies = len(entities.linker.gazetteer.companies)
    return f"{companies} companies; {len(entities.watch.ids)} watched"


def _calendar(settings: Settings) -> str:
    path = settings.detect.calendar
    return f"{len(read_calendar(path))} events" if path else "none"


def _model(settings: Settings, stack: ExitStack) -> str:
    path = current_release(settings.model).path
    scorer = load_scorer(settings.model, Metrics(CollectorRegistry()), path)
    stack.callback(scorer.close)
    scorer.warmup()
    return scorer.model_version


def _folders(settings: Settings) -> str:
    wrong = [
        str(folder.path)
        for folder in settings.watch_folders
        if not (folder.path.is_dir() and os.access(folder.path, os.R_OK | os.W_OK | os.X_OK))
    ]
    if wrong:
        raise ConfigError(
            f"watch_folders: {', '.join(wrong)} is no folder that this user may read and write; "
            "make it, or give it to this user"
        )
    return ", ".join(str(folder.path) for folder in settings.watch_folders) or "none watched"


def _receivers(settings: Settings, stack: ExitStack) -> str:
    names = list(make_receivers(settings.delivery, stack))
    return ", ".join(names) or "none configured: alerts go to the dashboard and Kafka only"
