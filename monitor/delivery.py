"""The second loop: from the outbox to Kafka and to the receivers. At least once, never lost.

The outbox holds what the pipeline's transactions promised to the world outside. This loop keeps
the promises and writes every bit of progress into the same database, so that it may be killed
anywhere: what was not yet written is done again. A receiver recognises a repetition by its
``webhook-id``, whose body is frozen in the database before it is first sent; the consumers of the
topics may see a message twice.
"""

from __future__ import annotations

import logging
import random as random_source
import threading
import uuid
from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from monitor.alert import group as grouping
from monitor.alert.base import Notice, Receiver
from monitor.alert.codec import alert_from_json
from monitor.alert.complaint import Complaints
from monitor.alert.group import Group, GroupTiming
from monitor.alert.lane import Lane, ThreadLane
from monitor.alert.pace import Pace
from monitor.alert.payload import Links, no_links
from monitor.alert.policy import UNPAGED, Policy, Route, is_silenced, silenced
from monitor.alert.retry import after_attempt
from monitor.clock import Clock
from monitor.errors import DeliveryError, StoreError
from monitor.events import Alert, AlertStatus
from monitor.relay import Relay
from monitor.source.base import Publisher
from monitor.store.base import (
    RECEIVERS,
    GroupState,
    Notification,
    NotificationStatus,
    Outbox,
    OutboxChange,
    OutboxRow,
)
from monitor.store.muting.base import Muted, Muting

log = logging.getLogger(__name__)

ROWS = 100
"""Outbox rows taken in one step."""
SENDS = 200
"""Due notifications looked at in one step; a receiver gets one at a time, and no more than it
takes (`monitor.alert.pace`)."""
POLL = 0.25
"""Seconds between two looks at the outbox while nothing is due."""
GRACE = 5.0
"""Seconds that sends in flight get once the loop is told to stop."""
UNREADABLE = "@unreadable"
"""Receiver of the dead letters that keep outbox rows which can't be read."""

_OUTAGE = 2  # failures in a row after which a success wakes what waits for that receiver
_MUTED_FOR = timedelta(seconds=1)  # between two looks at the silences
_BUSY = 0.02  # seconds between two looks at work in flight
_STORE_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)


class DeliveryMetrics(Protocol):
    """What the loop counts. Called from the loop's thread; must neither block nor fail."""

    def published(self, topic: str, messages: int) -> None:
        """The broker acknowledged these messages."""
        ...

    def delivered(self, receiver: str, seconds: float) -> None:
        """A receiver took a notification, this long after it was made."""
        ...

    def failed(self, destination: str, retryable: bool) -> None:
        """An attempt failed; ``destination`` is a receiver or a Kafka topic."""
        ...

    def dead(self, receiver: str) -> None:
        """A notification was given up, or (``UNREADABLE``) a row could not be read."""
        ...

    def lag(self, seconds: float) -> None:
        """Age of the oldest outbox row that is not done; 0 when there is none."""
        ...


class DeliveryLoop:
    """Owns the outbox; publishing and sending run in lanes of their own, one job at a time each.

    ``clock`` is the machine's, never a scaled one: receivers live in real time. ``random`` gives
    uniform numbers in [0, 1) for the jitter of the retries.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        receivers: Mapping[str, Receiver],
        timing: GroupTiming,
        metrics: DeliveryMetrics,
        clock: Clock,
        random: Callable[[], float] = random_source.random,
        *,
        routes: Sequence[Route] = (),
        muting: Muting | None = None,
        external_url: str = "",
        links: Links = no_links,
        lane: Callable[[str], Lane] = ThreadLane,
        new_id: Callable[[], str] = lambda: f"msg_{uuid.uuid4().hex}",
    ) -> None:
        self._outbox = outbox
        self._receivers = dict(receivers)
        self._policy = Policy(timing, self._receivers, routes)
        self._muting = muting
        self._muted = Muted()
        self._muted_at: datetime | None = None
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._external_url = external_url
        self._links = links
        self._new_id = new_id
        self._relay = Relay(publisher, lane("publish"))
        self._lanes = {name: lane(f"send-{name}") for name in self._receivers}
        self._paces = {name: Pace(to.rates) for name, to in self._receivers.items()}
        self._failures: Counter[str] = Counter()  # in a row
        self._sending: dict[str, tuple[Notification, Future[str | None]]] = {}
        self._published: list[OutboxRow] = []  # acknowledged, not yet deleted
        self._groups: dict[tuple[str, str], Group] | None = None
        self._gone: set[str] = set()
        self._complaints = Complaints(log)
        self._store_failures = 0

    def step(self, now: datetime) -> float:
        """One bounded pass; returns the seconds until the next one is worth making.

        1. Take the oldest outbox rows, without those of topics in flight or failing.
        2. Rows for Kafka: publish them; delete those that the broker has acknowledged.
        3. Rows for the receivers: absorb the alerts into groups (`monitor.alert.policy`); the same
           transaction deletes them.
        4. Groups that are due: freeze id and body of a notification, one transaction for all.
        5. Notifications that are due: send them; settle each that has ended.

        A crash between two of them repeats the work of the later one. A failing topic or receiver
        holds up no other; a ``StoreError`` ends the pass, and the next one begins by reading the
        groups again, because the transaction may have been written all the same.
        """
        try:
            if self._groups is None:
                self._groups = self._load()
            self._ask_who_is_muted(now)
            # 1. Take the oldest rows.
            rows = self._outbox.rows(ROWS, self._relay.held(now))
            self._report_lag(rows, now)
            # 2. Publish, and delete what is acknowledged.
            done = {row.id for row in self._published}
            topics = [r for r in rows if r.destination != RECEIVERS and r.id not in done]
            unreadable = self._relay.publish(topics)
            self._delete_published(now)
            # 3. Absorb the alerts.
            self._absorb([r for r in rows if r.destination == RECEIVERS], unreadable, now)
            # 4. Freeze notifications.
            self._freeze(now)
            # 5. Send and settle.
            self._settle_ended(now)
            self._send(now)
        except StoreError as error:
            self._groups = None
            self._complaints.failed("the outbox", error)
            self._store_failures += 1
            return _STORE_DELAYS[min(self._store_failures, len(_STORE_DELAYS)) - 1]
        self._store_failures = 0
        self._complaints.works("the outbox")
        return self._delay(now, full=len(rows) == ROWS)

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop, then give what is in flight `GRACE` seconds.

        Raises nothing that a receiver, the broker or the database causes. The notifiers and the
        publisher stay the caller's to close.
        """
        while not stop.is_set():
            stop.wait(self.step(self._clock.now()))
        flying: list[Future[Any]] = [future for _, future in self._sending.values()]
        if self._relay.future is not None:
            flying.append(self._relay.future)
        wait(flying, timeout=GRACE)
        try:
            if self._groups is None:
                self._groups = self._load()
            self._delete_published(self._clock.now())
            self._settle_ended(self._clock.now())
        except StoreError as error:
            self._complaints.failed("the outbox", error)
        for lane in self._lanes.values():
            lane.close()
        self._relay.close()

    def _load(self) -> dict[tuple[str, str], Group]:
        """The groups as the database has them, without those that nobody can be told of."""
        groups: dict[tuple[str, str], Group] = {}
        orphans: list[tuple[str, str]] = []
        letters: list[Notification] = []
        for stored in self._outbox.groups():
            place = (stored.receiver, stored.group_key)
            if stored.receiver not in self._receivers:
                log.warning("Receiver %s is not configured any more: %s dropped", *place)
                orphans.append(place)
                continue
            try:
                groups[place] = grouping.group_from_json(stored.state)
            except ValueError as error:
                log.exception("The notification group %s of %s can't be read", *reversed(place))
                orphans.append(place)
                now = self._clock.now()
                letters.append(self._letter(stored.group_key, stored.state, str(error), now))
        if orphans:
            self._outbox.save(OutboxChange(delete_groups=orphans, put_notifications=letters))
        return groups

    def _delete_published(self, now: datetime) -> None:
        for outcome in self._relay.collect(now):
            if outcome.error is None:
                self._published.extend(outcome.rows)
                self._metrics.published(outcome.topic, outcome.messages)
                self._complaints.works(f"topic {outcome.topic}")
            else:
                self._metrics.failed(outcome.topic, retryable=True)
                self._complaints.failed(f"topic {outcome.topic}", outcome.error)
        if self._published:
            self._outbox.save(OutboxChange(delete_rows=[row.id for row in self._published]))
            self._published.clear()

    def _absorb(
        self,
        rows: Sequence[OutboxRow],
        unreadable: Sequence[tuple[OutboxRow, str]],
        now: datetime,
    ) -> None:
        faults = list(unreadable)
        changed: dict[tuple[str, str], Group | None] = {}
        live = ChainMap(changed, cast("dict[tuple[str, str], Group | None]", self._live))
        for row in rows:
            try:
                alert = alert_from_json(row.payload)
            except ValueError as error:
                faults.append((row, str(error)))
                continue
            for place in list(self._policy.outgrown(alert, live)):
                if (holding := live[place]) is not None:
                    changed[place] = grouping.drop(holding, alert.id)
            for place in list(self._policy.places(alert, live, now)):
                before = live.get(place)
                after: Group | None = grouping.bounded(
                    grouping.absorb(before, place[0], alert, now, key=place[1]), UNPAGED
                )
                if after is not None and self._over_unheard(alert, now):
                    after = grouping.forget(after, alert.id)
                if after is not before:
                    changed[place] = after
        if not rows and not faults:
            return
        self._outbox.save(
            OutboxChange(
                delete_rows=[*(row.id for row in rows), *(row.id for row, _ in unreadable)],
                put_groups=[_stored(group) for group in changed.values() if group is not None],
                delete_groups=[place for place, group in changed.items() if group is None],
                put_notifications=[
                    self._letter(row.destination, row.payload, why, now) for row, why in faults
                ],
            )
        )
        for place, group in changed.items():
            if group is None:
                self._live.pop(place, None)
            else:
                self._live[place] = group
        for row, why in faults:
            log.error("Outbox row %d to %s can't be read: %s", row.id, row.destination, why)
            self._metrics.dead(UNREADABLE)

    def _freeze(self, now: datetime) -> None:
        groups: list[Group] = []
        notifications: list[Notification] = []
        flying = {notification.id for notification, _ in self._sending.values()}
        for group in self._live.values():
            due = self._policy.due(group, self._muted, now)
            # While it is in flight nobody knows yet whether the receiver needs to hear it again.
            if due is None or due > now or (group.offer and group.offer.notification_id in flying):
                continue
            identity = self._new_id()
            hushed = silenced(group, self._muted, now)
            alerts = tuple(m.alert for m in group.members if m.alert.id not in hushed)
            notice = Notice(
                identity,
                group.receiver,
                group.key,
                alerts,
                self._external_url,
                now,
                links=self._links,
            )
            body = self._receivers[group.receiver].render(notice)
            groups.append(grouping.offer(group, identity, now, hushed))
            notifications.append(Notification(identity, group.receiver, group.key, body, now, now))
        if groups:
            self._outbox.save(
                OutboxChange(
                    put_groups=[_stored(group) for group in groups],
                    put_notifications=notifications,
                )
            )
            self._live.update(((group.receiver, group.key), group) for group in groups)

    def _send(self, now: datetime) -> None:
        superseded: list[Notification] = []
        held = {name for name in self._receivers if not self._free(name, now)}
        for notification in self._outbox.due(now, SENDS, held):
            name = notification.receiver
            if name in self._receivers and not self._free(name, now):
                continue
            group = self._live.get((name, notification.group_key))
            offer = group.offer if group else None
            if name not in self._receivers:
                fault = f"no receiver {name} is configured"
                self._settle(notification, DeliveryError(fault, retryable=False), now)
            elif offer is None or offer.notification_id != notification.id:
                # A later one of its group took its place: it says the same and more.
                superseded.append(replace(notification, status=NotificationStatus.SUPERSEDED))
            elif name in self._gone:
                fault = "the receiver answered 410 before; it is off until a restart"
                self._settle(notification, DeliveryError(fault, retryable=False), now)
            else:
                self._sending[name] = (notification, self._submit(notification, now))
                self._settle_ended(now)
        if superseded:
            self._outbox.save(OutboxChange(put_notifications=superseded))

    def _free(self, name: str, now: datetime) -> bool:
        """Whether this receiver can be sent something now."""
        return name not in self._sending and self._paces[name].free_at(now) <= now

    def _ask_who_is_muted(self, now: datetime) -> None:
        """Silences and acknowledgements as the database has them, not older than a second."""
        if self._muting is None or (
            self._muted_at is not None and abs(now - self._muted_at) < _MUTED_FOR
        ):
            return
        self._muted, self._muted_at = self._muting.muted(now), now

    def _over_unheard(self, alert: Alert, now: datetime) -> bool:
        """Whether it has ended under a silence: who was not told that it began hears nothing."""
        return alert.status is AlertStatus.RESOLVED and is_silenced(alert, self._muted, now)

    def _submit(self, notification: Notification, now: datetime) -> Future[str | None]:
        notifier = self._receivers[notification.receiver].notifier
        return self._lanes[notification.receiver].submit(lambda: notifier.send(notification, now))

    def _settle_ended(self, now: datetime) -> None:
        for name, (notification, future) in list(self._sending.items()):
            if future.done():
                self._settle(notification, future.exception(), now)
                # Only now: a failed save must be repeated, not the sending.
                del self._sending[name]
                self._paces[name].used(now)

    def _settle(
        self, notification: Notification, error: BaseException | None, now: datetime
    ) -> None:
        """Write what became of one attempt; the notification and its group in one transaction."""
        if error is None or isinstance(error, DeliveryError):
            fault = error
        else:
            log.error(
                "The notifier of %s failed unexpectedly", notification.receiver, exc_info=error
            )
            fault = DeliveryError(f"{type(error).__name__}: {error}", retryable=True)
        after = after_attempt(notification, fault, now, self._random)
        change = OutboxChange(put_notifications=[after])
        place = (notification.receiver, notification.group_key)
        group = self._live.get(place)
        settled = group
        if group is not None and after.status is not NotificationStatus.PENDING:
            settled = grouping.settle(group, notification.id, now)
            change = (
                replace(change, delete_groups=[place])
                if settled is None
                else replace(change, put_groups=[_stored(settled)])
            )
        if fault is None and self._was_out(after):
            change = replace(change, wake={after.receiver: now})
        self._outbox.save(change)
        if settled is not None:
            self._live[place] = settled
        else:
            self._live.pop(place, None)
        self._report(after, fault, now)

    def _was_out(self, delivered: Notification) -> bool:
        """Whether this delivery ends an outage; after a restart its own failures tell."""
        failures = max(self._failures[delivered.receiver], delivered.attempts - 1)
        return failures >= _OUTAGE

    def _report(self, after: Notification, fault: DeliveryError | None, now: datetime) -> None:
        where = f"receiver {after.receiver}"
        if fault is None:
            seconds = (now - after.created_at).total_seconds()
            self._metrics.delivered(after.receiver, seconds)
            self._complaints.works(where)
            del self._failures[after.receiver]
            return
        self._failures[after.receiver] += fault.retryable
        if fault.gone:
            self._gone.add(after.receiver)
        self._metrics.failed(after.receiver, retryable=fault.retryable)
        self._complaints.failed(where, fault)
        if after.status is NotificationStatus.DEAD:
            log.error(
                "Notification %s to %s is given up after %d attempts: %s",
                after.id,
                after.receiver,
                after.attempts,
                fault,
            )
            self._metrics.dead(after.receiver)

    def _report_lag(self, rows: Sequence[OutboxRow], now: datetime) -> None:
        waiting = [row.created_at for row in rows]
        if (oldest := self._relay.oldest()) is not None:
            waiting.append(oldest)
        self._metrics.lag(max(0.0, (now - min(waiting)).total_seconds()) if waiting else 0.0)

    def _delay(self, now: datetime, *, full: bool) -> float:
        if full:
            return 0.0
        if self._sending or self._relay.future is not None:
            return _BUSY
        dues = (self._policy.due(group, self._muted, now) for group in self._live.values())
        waits = [(due - now).total_seconds() for due in dues if due is not None]
        return max(0.0, min([POLL, *waits]))

    def _letter(self, place: str, body: bytes, why: str, now: datetime) -> Notification:
        """The dead letter that keeps bytes of the outbox which can't be read."""
        return Notification(
            id=self._new_id(),
            receiver=UNREADABLE,
            group_key=place,
            body=body,
            created_at=now,
            next_attempt_at=now,
            status=NotificationStatus.DEAD,
            last_error=why,
        )

    @property
    def _live(self) -> dict[tuple[str, str], Group]:
        if self._groups is None:
            raise RuntimeError("the groups are read at the start of a step")
        return self._groups


def _stored(group: Group) -> GroupState:
    return GroupState(group.receiver, group.key, grouping.group_to_json(group))
