"""How often a rule is right, and from which statistic on it would be right often enough. Pure.

A rule is a detector with a sort of key. An alert judged true or false counts; a duplicate or an
expected one is neither a hit nor a false alarm of the rule, and is shown beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import NamedTuple

from monitor.store.verdicts.base import Fired, Judgement

TARGET = 0.8
ENOUGH = 5
"""Judged alerts that a suggested threshold must rest on."""
_Z = 1.959963984540054  # 95 %, two sides


class Interval(NamedTuple):
    """A 95 % interval of a share."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold of the e-value, and what would be left above it."""

    evalue: float
    precision: float
    interval: Interval
    judged: int
    """Alerts judged true or false that it rests on."""
    per_day: float
    """Alerts a day that would be left, judged or not."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One detector on one sort of key."""

    detector: str
    sort: str
    fired: int
    per_day: float
    judged: Mapping[Judgement, int]
    """Those without a count are missing."""
    precision: float | None
    """true / (true + false); None before either."""
    interval: Interval
    threshold: float
    """Of the last alert: as it is now."""
    suggestion: Suggestion | None
    """None: too few are judged, or no threshold reaches the target."""


def rules(fired: Sequence[Fired], until: datetime | None, target: float = TARGET) -> list[Rule]:
    """Every rule that fired, by detector and sort; ``fired`` in order of time.

    ``until``: the event time of the newest document; None where there is none any more.
    """
    if not fired:
        return []
    end = fired[-1].fired_at if until is None else until
    days = max((end - fired[0].fired_at) / timedelta(days=1), 1.0)
    by_rule: dict[tuple[str, str], list[Fired]] = {}
    for each in fired:
        by_rule.setdefault((each.detector, each.key.partition(":")[0]), []).append(each)
    return [_rule(*name, of, days, target) for name, of in sorted(by_rule.items())]


def in_words(evalue: float) -> str:
    """An e-value or its threshold: whole where it is large, and never in powers of ten."""
    return f"{evalue:,.0f}" if evalue >= 1000 else f"{evalue:.3g}"


def wilson(hits: int, total: int) -> Interval:
    """The 95 % score interval of a share; 0 to 1 where there is nothing.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if total == 0:
        return Interval(0.0, 1.0)
    share, z2 = hits / total, _Z * _Z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def _rule(detector: str, sort: str, fired: list[Fired], days: float, target: float) -> Rule:
    judged = Counter(each.judgement for each in fired if each.judgement is not None)
    hits, alarms = judged[Judgement.TRUE], judged[Judgement.FALSE]
    return Rule(
        detector=detector,
        sort=sort,
        fired=len(fired),
        per_day=len(fired) / days,
        judged=dict(judged),
        precision=hits / (hits + alarms) if hits + alarms else None,
        interval=wilson(hits, hits + alarms),
        threshold=fired[-1].threshold,
        suggestion=_suggest(fired, days, target),
    )


def _suggest(fired: list[Fired], days: float, target: float) -> Suggestion | None:
    """The lowest e-value of a judged alert from which on the target is reached."""
    counted = sorted(
        (each.evalue, each.judgement is Judgement.TRUE)
        for each in fired
        if each.judgement in (Judgement.TRUE, Judgement.FALSE)
    )
    hits, best = 0, None
    for place in range(len(counted) - 1, -1, -1):
        evalue, right = counted[place]
        hits += right
        total = len(counted) - place
        tied = place > 0 and counted[place - 1][0] == evalue
        if not tied and total >= ENOUGH and hits / total >= target:
            best = Suggestion(
                evalue=evalue,
                precision=hits / total,
                interval=wilson(hits, total),
                judged=total,
                per_day=sum(each.evalue >= evalue for each in fired) / days,
            )
    return best
