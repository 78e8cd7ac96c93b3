"""``kill -9`` at random moments of the whole cycle: is an alert lost, or a webhook id used twice?

Run: python tests/benchmarks/kills.py [--kills 1000] [--seed 1]

Lives of some tenths of a second, each a process of its own: pipeline, detection, outbox, delivery
on one SQLite file with the durable settings of the daemon, webhooks over HTTP to three receivers
that refuse some, are slow with others and lose the answers of a few that they took. Each life reads
on from the offsets in the database; in the place of Kafka there is a tape of invented records, in
that of the model a scorer that reads the verdict in the text. Every other kill is at a random
moment, the others fall on a phase that is drawn for them. The receivers' time runs 120 times as
fast, so that what has failed is tried again by later lives. The last life is left alone until
everything is delivered. Then every table must be, to the byte, that of one undisturbed run over the
same records, and every alert must have reached every receiver, under ids that never had two bodies.
Ends with status 1 if not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.killed import Killing, Outcome
from harness.phases import Phases
from rich.console import Console
from rich.table import Table

from models.progress import progress_bar


def show(console: Console, kills: int, found: Outcome, seconds: float) -> None:
    table = Table(box=None)
    columns = []
    for name, phases, hit in (
        ("main loop", Phases.MAIN, found.main),
        ("delivery", Phases.DELIVERY, found.delivery),
        ("a webhook", Phases.LANE, found.sending),
        ("topics", Phases.LANE, found.publishing),
    ):
        table.add_column(name)
        table.add_column("kills", justify="right")
        columns.append(_column(phases, hit))
    for row in range(max(map(len, columns))):
        cells = [column[row] if row < len(column) else ("", "") for column in columns]
        table.add_row(*(text for cell in cells for text in cell))
    console.print(table)
    answers = ", ".join(f"{count:,} × {said}" for said, count in found.answers.most_common())
    console.print(
        f"{kills:,} kills in {seconds:,.0f} s; {found.documents:,} documents, {found.alerts:,} "
        f"alerts; {found.delivered:,} webhook ids, {found.repeated:,} deliveries repeated, "
        f"{found.published:,} messages published\nanswers: {answers}"
    )
    for fault in found.faults:
        console.print(f"FAULT: {fault}")
    console.print("not as undisturbed" if found.faults else "0 lost, 0 doubled, as undisturbed")


def _column(phases: tuple[str, ...], hit: Counter[str]) -> list[tuple[str, str]]:
    return [(phase, f"{hit[phase]:,}") for phase in phases]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the receivers")
    options = parser.parse_args()
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Killing(Path(folder), options.seed)) as killing,
        progress_bar(Console(stderr=True)) as bar,
    ):
        line = bar.add_task("kills", total=options.kills)
        killing.run(options.kills, lambda done: bar.update(line, completed=done))
        found = killing.outcome()
    show(
        Console(markup=False, highlight=False, soft_wrap=True),
        options.kills,
        found,
        time.monotonic() - begun,
    )
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
