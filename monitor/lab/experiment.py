"""Two sets of rules over one reading of the stored documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any

from monitor.entity.gazetteer import Gazetteer
from monitor.errors import ConfigError
from monitor.lab.archive import Archive
from monitor.lab.blindness import Blindness
from monitor.lab.history import History
from monitor.lab.ledger import Outcome
from monitor.lab.rerun import CorrectionOf, Lane
from monitor.lab.rewatch import Rewatch
from monitor.lab.rules import Rules


@dataclass(frozen=True, slots=True)
class Setup:
    """What the rules do not say."""

    correction: CorrectionOf
    depend_share: float
    """`config.Sources.depend_share`."""
    event_clock: Callable[[datetime], datetime] = lambda wall: wall
    """From wall time to the daemon's clock of event times."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of it."""

    documents: int
    """That were gone through."""
    today: list[Outcome]
    """Every alert of today's rules, pending ones among them, in order of time …"""
    other: list[Outcome]
    """… and of the other ones."""


def run(
    history: History,
    today: Rules,
    other: Rules,
    setup: Setup,
    gazetteer: Callable[[], Gazetteer],
    until: int | None = None,
    progress: Callable[[int], None] = lambda _documents: None,
    stored: list[Outcome] | None = None,
) -> Outcomes:
    """Everything that is stored, up to an event time (seconds since the epoch) that has become
    complete; ``progress`` is told how many documents were gone through.

    ``stored``: what today's rules came to, where that is known, so that they need not run again.
    Raises ``StoreError``; ``ConfigError`` where a calendar or a watched item is at fault, or where
    what is counted is changed, which is told from what today's rules count.
    """
    archive = Archive()
    backlog, closed, spells = history.backlog(), history.closed_until(), history.spells()

    def lane(rules: list[Rules], **more: Any) -> Lane:
        if spells:
            more["blindness"] = Blindness(spells, setup.depend_share)
        return Lane(
            rules,
            archive,
            setup.correction,
            backlog,
            history.taught,
            setup.event_clock,
            **more,
        )

    alike = today.aggregate == other.aggregate and today.watch == other.watch
    texts = today.watch != other.watch
    if stored is not None and not alike:
        raise ConfigError(
            "--stored: [aggregate] or watched items are changed, which needs today's rules beside"
            " the changed ones; leave --stored out"
        )
    if stored is not None:
        first = lane([other])
    else:
        first = lane([today, other] if alike and today != other else [today])
    lanes = [first]
    if not alike:
        rewatch = Rewatch(today.watch, other.watch, gazetteer()) if texts else None
        lanes.append(lane([other], rewatch=rewatch, undated=first.undated.__contains__))

    going = lanes
    for page in history.pages(texts):
        documents, flips = archive.add(page.documents)
        going = [each for each in going if each.take(page, documents, flips, until or inf)]
        progress(len(archive))
        if not going:
            break
    for each in going:
        each.finish(closed)
    trials = [trial for each in lanes for trial in each.trials]
    return Outcomes(
        max(each.come for each in lanes),
        trials[0].ledger.outcomes() if stored is None else stored,
        trials[-1].ledger.outcomes(),
    )
