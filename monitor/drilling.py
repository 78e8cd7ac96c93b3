"""`monitor drill`: begin one, wait for it, show where its time went."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from monitor import config
from monitor.config import load_settings
from monitor.drill.judge import judge, stops
from monitor.drill.keeper import Keeper
from monitor.drill.start import begin, new_drill
from monitor.errors import ConfigError
from monitor.opening import open_database
from monitor.rehearsing import drill_sender, drilled_receivers, told_of
from monitor.store.drills.base import Drill, DrillOutcome, Sent
from monitor.store.drills.sql import SqlDrills

_LOOK = 0.25  # seconds between two looks
_MARGIN = timedelta(seconds=10)
"""Beyond the deadline the daemon is to say what came of it; then we do."""


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """What the command line chose."""

    config: Path | None
    wait: float
    """Seconds."""
    receiver: str | None


def run_drill(options: DrillOptions) -> int:
    """Run one drill and print its stops; 0 when it passed, else 1. Raises ``MonitorError``."""
    settings = load_settings(options.config)
    names = drilled_receivers(settings.delivery)
    receivers = _awaited(settings.delivery, options, names)
    with ExitStack() as stack:
        engine = open_database(settings, stack)
        drills = SqlDrills(engine)
        keeper = Keeper(drills, names, told_of(settings.kafka), _wall)
        drill = new_drill(_wall(), timedelta(seconds=options.wait), options.receiver)
        print(f"drill {drill.id}: waiting for {', '.join(receivers) or 'the alert'}")
        begin(drill, drills, keeper, drill_sender(settings))
        found = _await(drill, drills, keeper, names)
        _show(found, drills.sent(drill.id), receivers)
    if found.outcome is DrillOutcome.PASSED:
        if not receivers:
            print("no receiver is told of it: the alert went to the dashboard and to Kafka alone")
        return 0
    print(f"monitor drill: {found.outcome.value}: {found.reason}", file=sys.stderr)
    return 1


def _awaited(delivery: config.Delivery, options: DrillOptions, routed: list[str]) -> list[str]:
    names = [receiver.name for receiver in delivery.receivers]
    if options.receiver is not None and options.receiver not in names:
        known = ", ".join(names) or "none"
        raise ConfigError(f"--receiver {options.receiver}: is not configured; there are: {known}")
    if names and options.wait <= delivery.group_wait:
        raise ConfigError(
            f"--wait {options.wait:g}: a first notification waits {delivery.group_wait:g} s for "
            "company ([delivery] group_wait); give the drill more"
        )
    return [options.receiver] if options.receiver is not None else routed


def _await(drill: Drill, drills: SqlDrills, keeper: Keeper, names: list[str]) -> Drill:
    while True:
        found = drills.find(drill.id) or drill
        if found.outcome is not DrillOutcome.RUNNING:
            return found
        now = _wall()
        outcome, reason = judge(found, drills.sent(drill.id), names, now)
        if outcome is not DrillOutcome.RUNNING and now > drill.deadline_at + _MARGIN:
            keeper.end(found, outcome, reason)  # no daemon has said it
        else:
            time.sleep(_LOOK)


def _show(drill: Drill, sent: list[Sent], receivers: list[str]) -> None:
    table = Table(title=f"drill {drill.id}: {drill.outcome.value}", title_justify="left", box=None)
    table.add_column("stop")
    table.add_column("wall time (UTC)")
    table.add_column("since the stop before", justify="right")
    before: datetime | None = None
    for name, at in stops(drill, sent, receivers):
        if name.startswith("queued"):
            before = drill.fired_at  # for each receiver anew
        since = "" if at is None or before is None else f"{(at - before).total_seconds():+.3f} s"
        table.add_row(name, f"{at:%H:%M:%S.%f}"[:-3] if at else "not reached", since)
        before = at
    Console(markup=False, highlight=False).print(table)


def _wall() -> datetime:
    return datetime.now(UTC)
