"""Which alerts go together into one notification, and when. Pure: no clock, no database.

A group belongs to one receiver and one key of the stream (a topic, a kind of source, or all of it),
whatever the detector: share and volume of the same topic ring once. The timing is Alertmanager's.

The life of a group: alerts are absorbed; `due_at` says when a notification is owed; `offer` makes
it the group's outstanding one; `settle` notes that it was delivered (or given up). Members count as
told only then: when an alert resolves while its first notification is still failing, the next offer
carries "fired at" and "resolved at" in one message and takes the place of the failing one.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.alert.codec import (
    alert_from_object,
    alert_to_object,
    compact_json,
    moment,
    timestamp,
)
from monitor.events import Alert, AlertStatus


@dataclass(frozen=True, slots=True)
class GroupTiming:
    """Alertmanager's ``group_wait``, ``group_interval`` and ``repeat_interval``."""

    wait: timedelta = timedelta(seconds=30)
    """From the first alert of a new group to its first notification."""
    interval: timedelta = timedelta(minutes=5)
    """At least this long between two notifications of a group."""
    repeat: timedelta | None = timedelta(hours=4)
    """A group that goes on firing unchanged is repeated after this long; None: never."""
    insist: bool = field(default=False, kw_only=True)
    """The repetition comes even while the one before is still failing, and takes its place."""

    def __post_init__(self) -> None:
        slower = self.repeat is None or self.repeat >= self.interval
        if self.wait < timedelta(0) or self.interval <= timedelta(0) or not slower:
            raise ValueError(
                "grouping needs wait >= 0, interval > 0 and repeat >= interval, "
                f"not {self.wait}, {self.interval}, {self.repeat}"
            )


@dataclass(frozen=True, slots=True)
class Member:
    """An alert in a group, and what the receiver knows of it."""

    alert: Alert
    told: str | None = None
    """`Member.state` as the receiver last heard of it; None: it has not heard of the alert."""

    @property
    def state(self) -> str:
        """What is worth a new notification when it changes."""
        return f"{self.alert.status.value}/{self.alert.severity.value}"


@dataclass(frozen=True, slots=True)
class Offer:
    """The notification that is on its way: its id, and the state it reports of each alert."""

    notification_id: str
    states: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The alerts of one key on their way to one receiver, in order of arrival."""

    receiver: str
    key: str
    created_at: datetime
    members: tuple[Member, ...] = ()
    last_at: datetime | None = None
    """When the last notification was offered or, later, delivered."""
    offer: Offer | None = None


def group_labels(key: str) -> dict[str, str]:
    """The label that a group shares: ``topic:Earnings`` is {"topic": "Earnings"}; a key without
    a dimension (``all``) is {"scope": "all"}."""
    dimension, colon, value = key.partition(":")
    return {dimension: value} if colon and dimension and value else {"scope": key}


def absorb(
    group: Group | None, receiver: str, alert: Alert, now: datetime, key: str | None = None
) -> Group:
    """The group after this alert. ``key``: of a new group, if it is not the alert's."""
    if group is None:
        return Group(receiver, alert.key if key is None else key, now, (Member(alert),))
    for index, member in enumerate(group.members):
        if member.alert.id == alert.id:
            if _supersedes(member.alert, alert):
                changed = replace(member, alert=alert)
                members = (*group.members[:index], changed, *group.members[index + 1 :])
                return replace(group, members=members)
            return group
    return replace(group, members=(*group.members, Member(alert)))


def due_at(
    group: Group,
    timing: GroupTiming,
    silenced: Collection[str] = (),
    acknowledged: Collection[str] = (),
) -> datetime | None:
    """When the next notification of this group is owed; None while there is nothing to say.

    Of the ``silenced`` alerts (by id) nothing is told, the ``acknowledged`` are not repeated.
    """
    heard = [member for member in group.members if member.alert.id not in silenced]
    if not heard:
        return None
    if group.last_at is None:
        return group.created_at + timing.wait
    said = dict(group.offer.states) if group.offer else {}
    if any(said.get(m.alert.id, m.told) != m.state for m in heard):
        return group.last_at + timing.interval
    firing = any(
        m.alert.status is AlertStatus.FIRING and m.alert.id not in acknowledged for m in heard
    )
    if firing and timing.repeat is not None and (group.offer is None or timing.insist):
        return group.last_at + timing.repeat
    return None


def offer(
    group: Group, notification_id: str, now: datetime, silenced: Collection[str] = ()
) -> Group:
    """The group once a notification of all its members has been made, but for the silenced."""
    states = tuple((m.alert.id, m.state) for m in group.members if m.alert.id not in silenced)
    return replace(group, last_at=now, offer=Offer(notification_id, states))


def forget(group: Group, alert_id: str) -> Group | None:
    """The group without an alert that ended before anybody heard of it; None: nothing is left."""
    said = dict(group.offer.states) if group.offer else {}
    members = tuple(
        m for m in group.members if m.alert.id != alert_id or m.told is not None or alert_id in said
    )
    return replace(group, members=members) if members else None


def drop(group: Group, alert_id: str) -> Group | None:
    """The group without an alert, whoever heard of it; None: nothing is left."""
    members = tuple(m for m in group.members if m.alert.id != alert_id)
    return replace(group, members=members) if members else None


def bounded(group: Group, most: int) -> Group:
    """The group with the last ``most`` of those alerts that page nobody: there may be any number
    of them."""
    unpaged = [m.alert.id for m in group.members if not m.alert.sent]
    if len(unpaged) <= most:
        return group
    gone = set(unpaged[:-most])
    return replace(group, members=tuple(m for m in group.members if m.alert.id not in gone))


def settle(group: Group, notification_id: str, now: datetime) -> Group | None:
    """The group once that notification was delivered or given up; None: nothing is left of it.

    Resolved alerts whose end the receiver has been told are forgotten. A notification that is not
    the outstanding one changes nothing.
    """
    if group.offer is None or group.offer.notification_id != notification_id:
        return group
    said = dict(group.offer.states)
    told = tuple(replace(m, told=said.get(m.alert.id, m.told)) for m in group.members)
    members = tuple(
        m for m in told if m.alert.status is not AlertStatus.RESOLVED or m.told != m.state
    )
    return replace(group, members=members, last_at=now, offer=None) if members else None


def group_to_json(group: Group) -> bytes:
    """The group's durable state; `group_from_json` gives back an equal group."""
    return compact_json(
        {
            "receiver": group.receiver,
            "key": group.key,
            "created_at": timestamp(group.created_at),
            "last_at": None if group.last_at is None else timestamp(group.last_at),
            "members": [
                {"alert": alert_to_object(member.alert), "told": member.told}
                for member in group.members
            ],
            "offer": None
            if group.offer is None
            else {"id": group.offer.notification_id, "states": dict(group.offer.states)},
        }
    )


def group_from_json(state: bytes) -> Group:
    """Read what `group_to_json` wrote; raises ``ValueError`` on anything else."""
    try:
        value: dict[str, Any] = json.loads(state)
        made = value["offer"]
        return Group(
            receiver=value["receiver"],
            key=value["key"],
            created_at=moment(value["created_at"]),
            members=tuple(
                Member(alert_from_object(item["alert"]), item["told"]) for item in value["members"]
            ),
            last_at=None if value["last_at"] is None else moment(value["last_at"]),
            offer=None if made is None else Offer(made["id"], tuple(made["states"].items())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the state of a notification group: {error!r}") from error


def _supersedes(known: Alert, new: Alert) -> bool:
    """Resolved is the end; otherwise the later state counts."""
    if known.status is AlertStatus.RESOLVED and new.status is not AlertStatus.RESOLVED:
        return False
    return new.updated_at >= known.updated_at
