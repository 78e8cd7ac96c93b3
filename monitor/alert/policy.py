"""Who is told what, and when: routes, quiet hours, digests, silences, acknowledgements. Pure.

An alert goes to the group of its key at each receiver that a route names. Two groups of a receiver
have no key: what quiet hours held back, and what a route left to the digest; each of them is one
notification. An alert stays in the groups that it came into, so that its end is told where its
beginning was. What pages nobody (insufficient evidence, expected, shown under another) is for
digests alone, and leaves them when it pages after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.alert import group as grouping
from monitor.alert.base import Receiver
from monitor.alert.group import Group, GroupTiming
from monitor.alert.payload import labels_of
from monitor.events import Alert, AlertStatus, Severity
from monitor.matchers import Matcher, all_match
from monitor.store.muting.base import Muted, Silence

HELD, DIGEST = "held", "digest"
"""Keys of the two groups; no key of the stream is called so."""

UNPAGED = 100
"""Alerts of a digest that paged nobody: the last ones."""

_ONCE = GroupTiming(timedelta(0), timedelta(seconds=1), None)


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts with these labels go to these receivers, and only on if ``goes_on``."""

    matchers: tuple[Matcher, ...]
    receivers: tuple[str, ...]
    digest: bool = False
    """Not at once, but in the receiver's digest."""
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has decided. Without routes everybody is told everything."""

    timing: GroupTiming
    receivers: Mapping[str, Receiver]
    routes: Sequence[Route] = field(default=())

    def places(
        self, alert: Alert, live: Mapping[tuple[str, str], Group | None], now: datetime
    ) -> Iterator[tuple[str, str]]:
        """(receiver, group key) of the groups that this state of an alert belongs to."""
        routed = routed_to(labels_of(alert), self.receivers, self.routes)
        for name, to in self.receivers.items():
            if not alert.sent:
                # Who keeps alerts open would take it for one that pages.
                if name in routed and to.digest is not None and not to.stateful:
                    yield name, DIGEST
                continue
            own = alert.key
            known = [key for key in (own, HELD, DIGEST) if _holds(live.get((name, key)), alert)]
            quiet = to.quiet is not None and to.quiet.until(now) is not None
            passes = to.quiet is not None and to.quiet.critical_passes and _critical(alert)
            if known:
                if HELD in known and own not in known and quiet and passes:
                    known.append(own)  # it has become critical in the night
                yield from ((name, key) for key in known)
            elif name in routed:
                key = DIGEST if routed[name] else HELD if quiet and not passes else own
                yield name, key

    def outgrown(
        self, alert: Alert, live: Mapping[tuple[str, str], Group | None]
    ) -> Iterator[tuple[str, str]]:
        """The digests that hold it as one that pages nobody, though it does now."""
        for name in self.receivers if alert.sent else ():
            group = live.get((name, DIGEST))
            if group and any(m.alert.id == alert.id and not m.alert.sent for m in group.members):
                yield name, DIGEST

    def due(self, group: Group, muted: Muted, now: datetime) -> datetime | None:
        """When a notification of this group is owed; None while there is nothing to say."""
        to = self.receivers[group.receiver]
        timing = _ONCE if group.key in (HELD, DIGEST) else to.timing or self.timing
        hushed = silenced(group, muted, now)
        due = grouping.due_at(group, timing, hushed, acknowledged(group, muted, now))
        if due is None:
            return None
        if group.key == DIGEST and to.digest is not None:
            return to.digest.after(group.last_at or group.created_at)
        if to.quiet is not None and not self._wakes(group, to, hushed):
            return to.quiet.until(max(due, now)) or due
        return due

    def _wakes(self, group: Group, to: Receiver, hushed: frozenset[str]) -> bool:
        """Whether there is news of something critical, and that may come at night."""
        said = dict(group.offer.states) if group.offer else {}
        return (
            group.key != HELD
            and to.quiet is not None
            and to.quiet.critical_passes
            and any(
                _critical(m.alert)
                and m.alert.id not in hushed
                and said.get(m.alert.id, m.told) != m.state
                for m in group.members
            )
        )


def routed_to(
    labels: Mapping[str, str], receivers: Iterable[str], routes: Sequence[Route]
) -> dict[str, bool]:
    """The receivers of an alert with these labels, and whether it is for their digest alone."""
    if not routes:
        return dict.fromkeys(receivers, False)
    found: dict[str, bool] = {}
    for route in routes:
        if all_match(route.matchers, labels):
            for name in route.receivers:
                found[name] = found.get(name, True) and route.digest
            if not route.goes_on:
                break
    return found


def silenced(group: Group, muted: Muted, now: datetime) -> frozenset[str]:
    """Ids of the group's alerts that a silence is over."""
    return frozenset(m.alert.id for m in group.members if is_silenced(m.alert, muted, now))


def is_silenced(alert: Alert, muted: Muted, now: datetime) -> bool:
    """Whether a silence is over this alert now."""
    return bool(silencing(alert, muted, now))


def silencing(alert: Alert, muted: Muted, now: datetime) -> list[Silence]:
    """The silences that are over this alert now."""
    active = [silence for silence in muted.silences if silence.active(now)]
    if not active:
        return []
    labels = labels_of(alert)
    return [silence for silence in active if all_match(silence.matchers, labels)]


def acknowledged(group: Group, muted: Muted, now: datetime) -> frozenset[str]:
    """Ids of the group's alerts that somebody has taken on."""
    until = {taken.alert_id: taken.until for taken in muted.acknowledgements}
    return frozenset(
        m.alert.id for m in group.members if m.alert.id in until and now < until[m.alert.id]
    )


def _holds(group: Group | None, alert: Alert) -> bool:
    return group is not None and any(m.alert.id == alert.id and m.alert.sent for m in group.members)


def _critical(alert: Alert) -> bool:
    return alert.severity is Severity.CRITICAL and alert.status is AlertStatus.FIRING
