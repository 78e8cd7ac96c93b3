"""What other rules would have changed: alerts gained and lost, lead time, precision. Pure.

Two alerts are the same where they are of one key and their times overlap, those of one detector
before others: an alert's id holds its detector's parameters, so it says nothing here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from monitor.lab.ledger import Outcome
from monitor.store.verdicts.base import Judgement
from monitor.verdict.precision import Interval, wilson

_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Side:
    """What one set of rules came to in the time that is reported."""

    sent: int
    per_day: float
    kept_back: Mapping[str, int]
    """Alerts that nobody was told of: insufficient, expected, under another key."""
    judged: Mapping[Judgement, int]
    """Of those sent, by the last word on the stored alerts that they are the same as."""
    precision: float | None
    """true / (true + false); None before either."""
    interval: Interval
    missed: int
    """Stored alerts that were judged true, and that these rules would not have sent."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An alert that both send."""

    today: Outcome
    other: Outcome

    @property
    def lead(self) -> timedelta:
        """How much earlier the other rules send it; negative: later."""
        zero = timedelta(0)
        if self.today.sent_at is None or self.other.sent_at is None:
            return zero
        return self.today.sent_at - self.other.sent_at


@dataclass(frozen=True, slots=True)
class Changed:
    """An alert that one of them sends."""

    outcome: Outcome
    otherwise: str
    """What the other ones made of it; empty: there was no alarm."""
    judgement: Judgement | None
    """Of the stored alert that it is the same as."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Between ``since`` and ``until``, event times."""

    since: datetime
    until: datetime
    today: Side
    other: Side
    both: Sequence[Moved]
    gained: Sequence[Changed]
    lost: Sequence[Changed]
    stored: int
    """Alerts that were sent by the daemon …"""
    reproduced: int
    """… and of them those that today's rules send again."""

    @property
    def median_lead(self) -> timedelta | None:
        """Of the alerts that both send; None: there are none."""
        if not self.both:
            return None
        return timedelta(seconds=median(m.lead.total_seconds() for m in self.both))


def compare(
    today: Sequence[Outcome],
    other: Sequence[Outcome],
    stored: Sequence[Outcome],
    judged: Mapping[str, Judgement],
    since: datetime,
    until: datetime,
) -> Comparison:
    """``stored``: the alerts of the daemon; ``judged``: the last word on each, by its id. What was
    sent before ``since`` is matched, and not reported."""
    sent_today, sent_other, sent_stored = _sent(today), _sent(other), _sent(stored)
    pairs = match(sent_today, sent_other)
    verdicts_today = _carried(stored, judged, today)
    verdicts_other = _carried(stored, judged, other)
    matched_today = {a.alert.id for a, _ in pairs}
    matched_other = {b.alert.id for _, b in pairs}
    return Comparison(
        since,
        until,
        _side(today, stored, judged, verdicts_today, since, until),
        _side(other, stored, judged, verdicts_other, since, until),
        [Moved(a, b) for a, b in pairs if _within(a, since, until) or _within(b, since, until)],
        _changed(sent_other, matched_other, today, verdicts_other, since, until),
        _changed(sent_today, matched_today, other, verdicts_today, since, until),
        sum(_within(o, since, until) for o in sent_stored),
        sum(_within(a, since, until) for a, _ in match(sent_stored, sent_today)),
    )


def match(left: Sequence[Outcome], right: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    """Pairs that are the same alert, each in one at most, the nearest in time first."""
    by_key: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in right:
        by_key[outcome.alert.key].append(outcome)
    near = [
        (
            a.alert.detector != b.alert.detector,
            abs(a.began - b.began),
            i,
            b.alert.id,
            a,
            b,
        )
        for i, a in enumerate(left)
        for b in by_key[a.alert.key]
        if a.alert.started_at < _end(b) and b.alert.started_at < _end(a)
    ]
    taken_left: set[str] = set()
    taken_right: set[str] = set()
    pairs = []
    for *_, a, b in sorted(near, key=lambda n: n[:4]):
        if a.alert.id not in taken_left and b.alert.id not in taken_right:
            taken_left.add(a.alert.id)
            taken_right.add(b.alert.id)
            pairs.append((a, b))
    return sorted(pairs, key=lambda pair: (pair[0].began, pair[0].alert.id))


def _side(
    outcomes: Sequence[Outcome],
    stored: Sequence[Outcome],
    judged: Mapping[str, Judgement],
    verdicts: Mapping[str, Judgement],
    since: datetime,
    until: datetime,
) -> Side:
    sent = [o for o in _sent(outcomes) if _within(o, since, until)]
    found = Counter(verdicts[o.alert.id] for o in sent if o.alert.id in verdicts)
    hits, alarms = found[Judgement.TRUE], found[Judgement.FALSE]
    right = [
        s for s in stored if judged.get(s.alert.id) is Judgement.TRUE and since <= s.began < until
    ]
    kept_back = Counter(
        o.note.partition(" ")[0].rstrip(":")
        for o in outcomes
        if o.sent_at is None and o.note and since <= o.began < until
    )
    return Side(
        sent=len(sent),
        per_day=len(sent) / max((until - since) / timedelta(days=1), 1e-9),
        kept_back=dict(kept_back),
        judged=dict(found),
        precision=hits / (hits + alarms) if hits + alarms else None,
        interval=wilson(hits, hits + alarms),
        missed=len(right) - len(match(right, _sent(outcomes))),
    )


def _changed(
    sent: Sequence[Outcome],
    matched: set[str],
    against: Sequence[Outcome],
    verdicts: Mapping[str, Judgement],
    since: datetime,
    until: datetime,
) -> list[Changed]:
    only = [o for o in sent if o.alert.id not in matched and _within(o, since, until)]
    quiet = {
        mine.alert.id: its.note
        for mine, its in match(only, [o for o in against if o.sent_at is None])
    }
    return [Changed(o, quiet.get(o.alert.id, ""), verdicts.get(o.alert.id)) for o in only]


def _carried(
    stored: Sequence[Outcome], judged: Mapping[str, Judgement], outcomes: Sequence[Outcome]
) -> dict[str, Judgement]:
    """The verdicts on stored alerts, on the alerts that are the same as these."""
    known = [s for s in stored if s.alert.id in judged]
    sent = _sent(outcomes)
    return {b.alert.id: judged[a.alert.id] for a, b in match(known, sent)}


def _sent(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [o for o in outcomes if o.sent_at is not None]


def _within(outcome: Outcome, since: datetime, until: datetime) -> bool:
    return outcome.sent_at is not None and since <= outcome.sent_at < until


def _end(outcome: Outcome) -> datetime:
    return outcome.alert.resolved_at or _EVER
