"""Who is told what, and when: routes, quiet hours, digests, silences, acknowledgements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from harness.alerts import START, an_alert, receivers

from monitor.alert.base import Receiver
from monitor.alert.codec import alert_to_json
from monitor.alert.group import GroupTiming
from monitor.alert.hours import DigestHours, QuietHours
from monitor.alert.lane import InlineLane
from monitor.alert.memory import MemoryNotifier, Reply
from monitor.alert.policy import Route
from monitor.clock import ManualClock
from monitor.delivery import DeliveryLoop
from monitor.errors import StoreError
from monitor.events import Alert, AlertStatus, Setting, Severity
from monitor.matchers import parse
from monitor.store.base import RECEIVERS
from monitor.store.memory import MemoryDatabase, MemoryOutbox
from monitor.store.muting.base import Acknowledgement, Muted, Silence
from monitor.store.muting.memory import MemoryMuting

BERLIN = ZoneInfo("Europe/Berlin")
EVENING = datetime(2026, 5, 4, 20, 30, tzinfo=BERLIN).astimezone(UTC)
NIGHT = QuietHours(time(22), time(7), BERLIN)


class Quiet:
    """Metrics and a publisher that nothing asks for here."""

    def publish(self, topic: str, messages: object) -> None:
        raise AssertionError(topic)

    def close(self) -> None:
        pass

    def published(self, topic: str, messages: int) -> None:
        pass

    def delivered(self, receiver: str, seconds: float) -> None:
        pass

    def failed(self, destination: str, retryable: bool) -> None:
        pass

    def dead(self, receiver: str) -> None:
        pass

    def lag(self, seconds: float) -> None:
        pass


class Lockable(MemoryMuting):
    """Silences that can't be read while the database is locked."""

    locked = False

    def muted(self, now: datetime) -> Muted:
        if self.locked:
            raise StoreError("locked")
        return super().muted(now)


class Desk:
    """A loop over a database in memory, in the evening of a day in Berlin."""

    def __init__(
        self,
        *names: str,
        routes: Sequence[Route] = (),
        quiet: QuietHours | None = None,
        digest: DigestHours | None = None,
    ) -> None:
        self.db = MemoryDatabase()
        self.clock = ManualClock(EVENING)
        self.muting = Lockable(self.db)
        self.told = {name: MemoryNotifier() for name in names or ("ops",)}
        made = receivers(self.told)
        self.receivers: dict[str, Receiver] = {
            name: replace(receiver, quiet=quiet, digest=digest) for name, receiver in made.items()
        }
        self.routes = routes
        self.restart()

    def restart(self) -> None:
        self.loop = DeliveryLoop(
            MemoryOutbox(self.db),
            Quiet(),
            self.receivers,
            GroupTiming(),
            Quiet(),
            self.clock,
            lambda: 0.5,
            routes=self.routes,
            muting=self.muting,
            lane=InlineLane,
        )

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def put(self, *alerts: Alert) -> None:
        for item in alerts:
            self.db.append(RECEIVERS, alert_to_json(item), self.now)

    def run(self, until: str, every: float = 20.0) -> None:
        """Step until this time by the clock in Berlin."""
        hour, minute = map(int, until.split(":"))
        end = self.now.astimezone(BERLIN).replace(hour=hour, minute=minute, second=0)
        while end <= self.now:
            end += timedelta(days=1)
        while self.now < end:
            self.clock.advance(every)
            self.loop.step(self.now)

    def messages(self, name: str = "ops") -> list[tuple[str, list[tuple[str, str]]]]:
        """When, and which alerts in which state, as the receiver was told."""
        notifier = self.told[name]
        taken = {n.id for n in notifier.received}
        last = {n.id: (n, at) for n, at in notifier.attempts if n.id in taken}
        return [
            (
                f"{at.astimezone(BERLIN):%H:%M}",
                [
                    (a["labels"]["alert_id"], a["status"])
                    for a in json.loads(notification.body)["alerts"]
                ],
            )
            for notification, at in last.values()
        ]

    def heard(self, name: str = "ops") -> list[list[tuple[str, str]]]:
        return [alerts for _, alerts in self.messages(name)]


def ended(made: Alert) -> Alert:
    return replace(made, status=AlertStatus.RESOLVED, resolved_at=START + timedelta(hours=1))


def silence(*matchers: str, start: datetime = EVENING, minutes: float = 60) -> Silence:
    ends = start + timedelta(minutes=minutes)
    return Silence("s", tuple(map(parse, matchers)), start, ends, "ann", "", EVENING)


# Routes


def test_without_routes_everybody_is_told_everything() -> None:
    desk = Desk("ops", "desk")
    desk.put(an_alert("a"))
    desk.run("20:35")
    assert desk.heard("ops") == desk.heard("desk") == [[("a", "firing")]]


def test_the_first_route_that_matches_decides() -> None:
    routes = (
        Route((parse("severity=critical"),), ("ops",)),
        Route((parse("topic=~Ban.*"),), ("desk",)),
        Route((parse("topic=Silly"),), ()),
        Route((), ("rest",)),
    )
    desk = Desk("ops", "desk", "rest", routes=routes)
    desk.put(
        an_alert("a", "topic:Banks", severity=Severity.CRITICAL),
        an_alert("b", "topic:Banks"),
        an_alert("c", "company:US:AAPL"),
        an_alert("d", "topic:Silly"),
    )
    desk.run("20:35")
    assert desk.heard("ops") == [[("a", "firing")]]
    assert desk.heard("desk") == [[("b", "firing")]]
    assert desk.heard("rest") == [[("c", "firing")]]


def test_a_route_that_goes_on_adds_its_receivers() -> None:
    routes = (Route((parse("severity=critical"),), ("ops",), goes_on=True), Route((), ("desk",)))
    desk = Desk("ops", "desk", routes=routes)
    desk.put(an_alert("a", severity=Severity.CRITICAL))
    desk.run("20:35")
    assert desk.heard("ops") == desk.heard("desk") == [[("a", "firing")]]


def test_who_was_told_the_beginning_is_told_the_end_whatever_the_route_says_then() -> None:
    routes = (Route((parse("severity=critical"),), ("ops",)), Route((), ("desk",)))
    desk = Desk("ops", "desk", routes=routes)
    desk.put(an_alert("a"))
    desk.run("20:35")
    desk.put(replace(an_alert("a"), severity=Severity.CRITICAL))
    desk.run("20:45")
    desk.put(ended(an_alert("a", severity=Severity.CRITICAL)))
    desk.run("20:55")
    assert desk.heard("ops") == [[("a", "firing")], [("a", "resolved")]]
    assert desk.heard("desk") == [[("a", "firing")], [("a", "firing")], [("a", "resolved")]]


# Quiet hours


def test_what_comes_in_the_night_is_one_message_in_the_morning() -> None:
    desk = Desk(quiet=NIGHT)
    desk.run("23:00")
    desk.put(an_alert("a", "topic:A"), an_alert("b", "topic:B"))
    desk.run("02:00")
    desk.put(ended(an_alert("b", "topic:B")), an_alert("c", "topic:C"))
    desk.restart()
    desk.run("06:59")
    assert desk.messages() == []
    desk.run("07:05")
    ((when, alerts),) = desk.messages()
    assert when == "07:00"
    assert alerts == [("a", "firing"), ("b", "resolved"), ("c", "firing")]


def test_a_critical_alert_comes_through_the_night_and_so_does_nothing_with_it() -> None:
    desk = Desk(quiet=NIGHT)
    desk.run("23:00")
    desk.put(an_alert("a", "topic:A"), an_alert("b", "topic:B", severity=Severity.CRITICAL))
    desk.run("23:05")
    assert desk.heard() == [[("b", "firing")]]
    desk.put(replace(an_alert("a", "topic:A"), severity=Severity.CRITICAL))
    desk.run("23:10")
    assert desk.heard() == [[("b", "firing")], [("a", "firing")]]


def test_if_critical_is_not_to_pass_it_waits_as_well() -> None:
    desk = Desk(quiet=replace(NIGHT, critical_passes=False))
    desk.run("23:00")
    desk.put(an_alert("b", "topic:B", severity=Severity.CRITICAL))
    desk.run("06:59")
    assert desk.heard() == []
    desk.run("07:05")
    assert desk.heard() == [[("b", "firing")]]


def test_news_and_repetitions_of_the_evening_wait_for_the_morning() -> None:
    desk = Desk(quiet=NIGHT)
    desk.put(an_alert("a", "topic:A"), an_alert("b", "topic:B"))
    desk.run("21:00")
    assert len(desk.heard()) == 2
    desk.run("23:00")
    desk.put(ended(an_alert("a", "topic:A")))
    desk.run("06:59")
    assert len(desk.heard()) == 2
    desk.run("07:05")
    assert sorted(desk.heard()[2:]) == [[("a", "resolved")], [("b", "firing")]]


def test_equal_start_and_end_are_no_quiet_hours() -> None:
    desk = Desk(quiet=QuietHours(time(22), time(22), BERLIN))
    desk.run("23:00")
    desk.put(an_alert("a"))
    desk.run("23:05")
    assert desk.heard() == [[("a", "firing")]]


# Digests


def test_what_a_route_leaves_to_the_digest_comes_at_its_hours_in_one_message() -> None:
    routes = (Route((parse("severity=warning"),), ("ops",), digest=True), Route((), ("ops",)))
    desk = Desk(routes=routes, digest=DigestHours((time(8), time(21)), BERLIN))
    desk.put(
        an_alert("a", "topic:A"),
        an_alert("b", "topic:B"),
        an_alert("c", "topic:C", severity=Severity.CRITICAL),
    )
    desk.run("20:59")
    assert desk.heard() == [[("c", "firing")]]
    desk.run("21:01")
    assert desk.messages()[1] == ("21:00", [("a", "firing"), ("b", "firing")])
    desk.put(ended(an_alert("a", "topic:A")), ended(an_alert("b", "topic:B")))
    desk.run("07:59")
    desk.run("08:01")
    assert desk.messages()[-1] == ("08:00", [("a", "resolved"), ("b", "resolved")])


def test_a_digest_without_news_is_not_sent() -> None:
    routes = (Route((), ("ops",), digest=True),)
    desk = Desk(routes=routes, digest=DigestHours((time(8), time(21)), BERLIN))
    desk.put(an_alert("a"))
    desk.run("21:01")
    desk.run("20:00")
    assert len(desk.heard()) == 1


def a_quiet_one(name: str, key: str, **setting: str) -> Alert:
    """An alert that pages nobody."""
    made = an_alert(name, key, setting=Setting(**setting))  # type: ignore[arg-type]
    if "insufficient" in setting:
        made = replace(made, status=AlertStatus.PENDING, fired_at=None)
    return made


EVERYTHING = (Route((parse("topic!=Silly"),), ("ops", "pager")),)
AT_EIGHT_AND_NINE = DigestHours((time(8), time(21)), BERLIN)


def digesting() -> Desk:
    """Both are told everything at once; who keeps alerts open has a digest as well."""
    desk = Desk("ops", "pager", routes=EVERYTHING, digest=AT_EIGHT_AND_NINE)
    desk.receivers["pager"] = replace(desk.receivers["pager"], stateful=True)
    desk.restart()
    return desk


def test_what_pages_nobody_is_in_the_digest_of_those_who_would_have_been_paged() -> None:
    desk = digesting()
    desk.put(
        a_quiet_one("p", "topic:P", insufficient="3 of 10 independent voices"),
        a_quiet_one("e", "topic:E", expected="results"),
        a_quiet_one("u", "topic:U", under="company:US:AAPL"),
        a_quiet_one("s", "topic:Silly", insufficient="3 of 10 independent voices"),
        an_alert("a", "topic:A"),
    )
    desk.run("20:59")
    assert desk.heard() == [[("a", "firing")]]
    desk.run("21:01")
    assert desk.heard()[1:] == [[("p", "firing"), ("e", "firing"), ("u", "firing")]]
    assert desk.heard("pager") == [[("a", "firing")]], "it would open an incident"
    body = json.loads(desk.told["ops"].received[-1].body)
    assert [alert["annotations"]["not_sent"] for alert in body["alerts"]] == [
        "insufficient evidence: 3 of 10 independent voices",
        "expected: results",
        "shown under AAPL (US)",
    ]


def test_what_began_and_faded_between_two_digests_is_told_once() -> None:
    desk = digesting()
    pending = a_quiet_one("p", "topic:P", insufficient="2 of 3 sources")
    desk.put(pending, ended(pending))
    desk.run("21:01")
    desk.run("08:01")
    assert desk.heard() == [[("p", "resolved")]]


def test_what_pages_after_all_leaves_the_digest_and_is_told_at_once() -> None:
    desk = digesting()
    desk.put(a_quiet_one("p", "topic:P", insufficient="2 of 3 sources"))
    desk.put(a_quiet_one("q", "topic:Q", insufficient="2 of 3 sources"))
    desk.run("20:35")
    desk.put(an_alert("p", "topic:P"))
    desk.restart()
    desk.run("20:40")
    assert desk.heard() == [[("p", "firing")]]
    desk.run("21:01")
    assert desk.heard()[1:] == [[("q", "firing")]]
    desk.put(an_alert("q", "topic:Q"))
    desk.run("21:05")
    assert desk.heard()[2:] == [[("q", "firing")]]
    desk.put(ended(an_alert("p", "topic:P")), ended(an_alert("q", "topic:Q")))
    desk.run("08:05")
    assert sorted(desk.heard()[3:]) == [[("p", "resolved")], [("q", "resolved")]]


def test_a_digest_holds_the_last_hundred_of_them() -> None:
    desk = digesting()
    desk.put(*(a_quiet_one(f"p{n}", f"name:n{n}", insufficient="none") for n in range(120)))
    desk.run("21:01")
    (told,) = desk.heard()
    assert [f"p{n}" for n in range(20, 120)] == [name for name, _ in told]


# Silences


def test_a_silenced_alert_is_told_when_the_silence_ends_and_it_still_fires() -> None:
    desk = Desk()
    desk.muting.silence(silence("topic=~A|B"))
    desk.put(an_alert("a", "topic:A"), an_alert("b", "topic:B"), an_alert("c", "topic:C"))
    desk.run("20:40")
    assert desk.heard() == [[("c", "firing")]]
    desk.put(ended(an_alert("b", "topic:B")))
    desk.run("21:29")
    assert len(desk.heard()) == 1
    desk.run("21:35")
    assert desk.heard()[1:] == [[("a", "firing")]]


def test_ending_a_silence_by_hand_works_within_a_second() -> None:
    desk = Desk()
    desk.muting.silence(silence("topic=A", minutes=600))
    desk.put(an_alert("a", "topic:A"))
    desk.run("20:40")
    assert desk.muting.expire("s", desk.now)
    desk.clock.advance(1)
    desk.loop.step(desk.now)
    assert desk.heard() == [[("a", "firing")]]


def test_a_maintenance_window_silences_from_its_start() -> None:
    desk = Desk()
    desk.muting.silence(silence("topic=A", start=EVENING + timedelta(minutes=30)))
    desk.put(an_alert("a", "topic:A"))
    desk.run("20:35")
    assert desk.heard() == [[("a", "firing")]]
    desk.run("21:05")
    desk.put(ended(an_alert("a", "topic:A")))
    desk.run("21:59")
    assert len(desk.heard()) == 1
    desk.run("22:05")
    assert desk.heard()[1:] == [[("a", "resolved")]]


def test_of_one_group_the_silenced_member_alone_is_left_out() -> None:
    desk = Desk()
    desk.muting.silence(silence("topic=A", "detector=volume"))
    desk.put(an_alert("a", "topic:A"), an_alert("v", "topic:A", detector="volume"))
    desk.run("20:40")
    assert desk.heard() == [[("a", "firing")]]
    desk.run("21:40")
    assert desk.heard()[1:] == [[("a", "firing"), ("v", "firing")]]


# Acknowledgements


def test_an_acknowledged_alert_is_not_repeated_until_its_time_is_over_and_its_end_is_told() -> None:
    desk = Desk()
    desk.put(an_alert("a"))
    desk.run("20:40")
    until = EVENING + timedelta(hours=10)
    desk.muting.acknowledge(Acknowledgement("a", "ann", "calls the desk", until, desk.now))
    desk.run("06:29")
    assert len(desk.heard()) == 1
    desk.run("06:35")
    assert desk.heard()[1:] == [[("a", "firing")]]
    desk.muting.acknowledge(
        Acknowledgement("a", "ann", "", desk.now + timedelta(hours=9), desk.now)
    )
    desk.put(ended(an_alert("a")))
    desk.run("06:45")
    assert desk.heard()[2:] == [[("a", "resolved")]]


def test_another_alert_of_the_group_is_told_although_one_is_acknowledged() -> None:
    desk = Desk()
    desk.put(an_alert("a", "topic:A"))
    desk.run("20:40")
    until = EVENING + timedelta(hours=10)
    desk.muting.acknowledge(Acknowledgement("a", "ann", "", until, desk.now))
    desk.put(an_alert("v", "topic:A", detector="volume"))
    desk.run("20:50")
    assert desk.heard()[1:] == [[("a", "firing"), ("v", "firing")]]


def test_while_the_silences_can_not_be_read_nothing_is_sent_and_nothing_lost() -> None:
    desk = Desk()
    desk.muting.silence(silence("topic=A"))
    desk.put(an_alert("a", "topic:A"), an_alert("c", "topic:C"))
    desk.muting.locked = True
    desk.run("20:40")
    assert desk.heard() == []
    assert len(desk.db.outbox) == 2
    desk.muting.locked = False
    desk.run("20:50")
    assert desk.heard() == [[("c", "firing")]]


def test_nothing_of_it_loses_an_alert_when_the_receiver_fails_at_the_wrong_time() -> None:
    desk = Desk(quiet=NIGHT)
    desk.run("23:00")
    desk.put(an_alert("a", "topic:A"), an_alert("b", "topic:B"))
    desk.told["ops"].script.extend([Reply(503)] * 3)
    desk.run("06:00")
    desk.restart()
    desk.run("07:10")
    assert len(desk.told["ops"].attempts) == 4
    assert desk.heard() == [[("a", "firing"), ("b", "firing")]]
