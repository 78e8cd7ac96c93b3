"""What a drill came to, in words; and drills that begin and end by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from harness.alerts import an_alert
from prometheus_client import CollectorRegistry

from monitor.alert.codec import alert_from_json
from monitor.alert.payload import labels_of, webhook_body
from monitor.config import Delivery
from monitor.drill.judge import judge, stops
from monitor.drill.keeper import Keeper
from monitor.drill.rule import alert_id, alert_labels
from monitor.drill.start import Schedule, begin, new_drill
from monitor.drill.texts import DOCUMENTS, SOURCE, TEXTS, messages
from monitor.errors import SourceError
from monitor.events import Alert, AlertStatus, Document, Origin, Record, Severity
from monitor.jobs import cron_trigger, next_due
from monitor.keys import DRILL_SCHEDULE, display_name, drill_key
from monitor.metrics import DrillCounters, Metrics
from monitor.outgoing import OutTopics, outgoing
from monitor.rehearsing import drilled_receivers
from monitor.source.contract import Limits
from monitor.source.decode import Decoder
from monitor.store.base import RECEIVERS, Notification, NotificationStatus, Outgoing
from monitor.store.drills.base import Drill, DrillOutcome, Sent
from monitor.store.drills.memory import MemoryDrills
from monitor.store.memory import MemoryDatabase

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)
PENDING, DELIVERED = NotificationStatus.PENDING, NotificationStatus.DELIVERED


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


BEGUN = Drill("d1", scheduled=False, started_at=T0, deadline_at=at(120))
FIRED = replace(
    BEGUN,
    arrived=DOCUMENTS,
    negative=DOCUMENTS,
    appended_at=at(0.1),
    ingested_at=at(0.2),
    scored_at=at(0.3),
    fired_at=at(0.4),
    model_version="m1",
)


def sent(receiver: str = "desk", status: NotificationStatus = DELIVERED, **changes: object) -> Sent:
    taken = at(31) if status is DELIVERED else None
    return Sent(receiver, status, at(30.4), taken, 1, None)._replace(**changes)  # type: ignore[arg-type]


def test_a_drill_that_every_receiver_took_has_passed() -> None:
    both = [sent("desk"), sent("mail")]
    assert (DrillOutcome.PASSED, "") == judge(FIRED, both, ["desk", "mail"], at(32))


def test_without_receivers_it_has_passed_when_it_fires() -> None:
    assert DrillOutcome.PASSED is judge(FIRED, [], [], at(1))[0]


def test_a_drill_waits_for_its_receiver_alone() -> None:
    mine = replace(FIRED, receiver="desk")
    assert DrillOutcome.PASSED is judge(mine, [sent("desk")], ["desk", "mail"], at(32))[0]


@pytest.mark.parametrize(
    ("drill", "told", "stop", "advice"),
    [
        (BEGUN, [], "ingested", "/readyz"),
        (replace(BEGUN, arrived=7, negative=7), [], "scored: 7 of 12", "dead letters"),
        (FIRED, [], "queued for desk", "group_wait"),
        (FIRED, [sent("mail")], "queued for desk", "group_wait"),
        (
            FIRED,
            [sent("desk", PENDING, attempts=3, last_error="503")],
            "delivered to desk: not taken yet after 3 attempts: 503",
            "monitor check",
        ),
        (FIRED, [sent("desk")], "queued for mail", "group_wait"),
    ],
)
def test_at_its_deadline_the_first_stop_that_is_missing_is_named(
    drill: Drill, told: list[Sent], stop: str, advice: str
) -> None:
    assert DrillOutcome.RUNNING is judge(drill, told, ["desk", "mail"], at(119.9))[0]
    outcome, reason = judge(drill, told, ["desk", "mail"], at(120))
    assert DrillOutcome.FAILED is outcome
    assert reason.startswith(f"not within 120 s: {stop}")
    assert advice in reason


def test_a_model_that_does_not_see_bad_news_fails_it_at_once() -> None:
    mild = replace(BEGUN, arrived=DOCUMENTS, negative=DOCUMENTS - 2, model_version="m7")
    outcome, reason = judge(mild, [], ["desk"], at(1))
    assert DrillOutcome.FAILED is outcome
    assert "m7 judged only 10 of 12" in reason


def test_a_notification_that_is_given_up_fails_it_at_once() -> None:
    gone = sent("desk", NotificationStatus.DEAD, last_error="410 Gone")
    outcome, reason = judge(FIRED, [gone], ["desk"], at(31))
    assert (DrillOutcome.FAILED, True) == (outcome, "given up after 1 attempts: 410" in reason)


def test_a_notification_that_took_the_place_of_another_counts() -> None:
    overtaken = sent("desk", NotificationStatus.SUPERSEDED)
    assert DrillOutcome.PASSED is judge(FIRED, [overtaken, sent("desk")], ["desk"], at(32))[0]


def test_an_outcome_is_final() -> None:
    over = replace(FIRED, outcome=DrillOutcome.FAILED, reason="late")
    assert (DrillOutcome.FAILED, "late") == judge(over, [sent()], ["desk"], at(32))


def test_the_stops_come_in_their_order() -> None:
    assert [
        ("published", T0),
        ("appended", at(0.1)),
        ("ingested", at(0.2)),
        ("scored", at(0.3)),
        ("fired", at(0.4)),
        ("queued for desk", at(30.4)),
        ("delivered to desk", at(31)),
        ("queued for mail", None),
        ("delivered to mail", None),
    ] == stops(FIRED, [sent()], ["desk", "mail"])


def test_the_messages_are_valid_documents_of_the_drill_over_all_topics() -> None:
    decoder = Decoder(Limits(), {}, lambda name: name)
    made = messages("d1", {"news": "news", "comments": "comment"}, T0)
    assert {"news", "comments"} == {topic for topic, _, _ in made}
    found = [
        decoder.decode(Record(Origin(topic, 0, 0), value, key, T0), now=T0, rejected_at=T0)
        for topic, key, value in made
    ]
    documents = [d for d in found if isinstance(d, Document)]
    assert DOCUMENTS == len({d.id for d in documents}) == len(set(TEXTS))
    assert {("d1", SOURCE)} == {(d.drill, d.source) for d in documents}
    assert T0 == max(d.published_at for d in documents)


class Scene:
    """A keeper over a database in memory, at a moment that tests move."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.drills = MemoryDrills(self.database)
        self.now = T0
        self.metrics = Metrics(CollectorRegistry())
        self.published: list[str] = []
        self.broker: SourceError | None = None
        self.keeper = Keeper(
            self.drills, ["desk"], told, lambda: self.now, DrillCounters(self.metrics)
        )

    def send(self, drill: str) -> None:
        if self.broker is not None:
            raise self.broker
        self.published.append(drill)

    def schedule(self) -> Schedule:
        """Of every day at 18:00, as of now."""
        return Schedule(
            self.drills,
            self.keeper,
            self.send,
            next_due("0 18 * * *"),
            timedelta(seconds=120),
            None,
            lambda: self.now,
        )

    def deliver(self, drill: str) -> None:
        note = Notification(f"n-{drill}", "desk", drill_key(drill), b"{}", self.now, self.now)
        self.database.notifications[note.id] = replace(
            note, status=DELIVERED, delivered_at=self.now
        )

    def fire(self, drill: str) -> None:
        self.database.drills[drill] = replace(
            self.database.drills[drill],
            arrived=DOCUMENTS,
            negative=DOCUMENTS,
            fired_at=self.now,
        )

    def counted(self, outcome: str) -> float:
        registry = self.metrics.registry
        return registry.get_sample_value("monitor_drills_total", {"outcome": outcome}) or 0.0

    def alarms(self) -> list[Alert]:
        """What the receivers were told, in order."""
        rows = self.database.outbox.values()
        return [alert_from_json(row.payload) for row in rows if row.destination == RECEIVERS]


def told(alert: Alert) -> Sequence[Outgoing]:
    return list(outgoing(OutTopics(), (), (), [alert]))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_drill_that_passes_is_counted_with_its_time(scene: Scene) -> None:
    begin(replace(BEGUN, id="d1"), scene.drills, scene.keeper, scene.send)
    assert ["d1"] == scene.published
    scene.fire("d1")
    scene.keeper.look()
    assert ["d1"] == [drill.id for drill in scene.drills.running()]
    scene.deliver("d1")
    scene.now = at(32)
    scene.keeper.look()
    scene.keeper.look()
    assert DrillOutcome.PASSED is scene.database.drills["d1"].outcome
    assert 1 == scene.counted("passed")
    success = scene.metrics.registry.get_sample_value("monitor_drill_success_timestamp_seconds")
    assert at(32).timestamp() == success


def test_a_broker_that_does_not_take_it_fails_it(scene: Scene) -> None:
    scene.broker = SourceError("no broker answers")
    begin(BEGUN, scene.drills, scene.keeper, scene.send)
    found = scene.database.drills["d1"]
    assert (DrillOutcome.FAILED, "published: no broker answers") == (found.outcome, found.reason)
    assert [] == scene.alarms(), "whoever began it sees it"


def test_a_scheduled_drill_that_fails_is_an_alert_until_one_passes(scene: Scene) -> None:
    schedule = scene.schedule()
    for hours in (6, 30):
        scene.now = T0 + timedelta(hours=hours)
        schedule.start()
        scene.now += timedelta(seconds=120)
        scene.keeper.look()
    (alarm,) = scene.alarms()
    assert (DRILL_SCHEDULE, "drill", AlertStatus.FIRING) == (
        alarm.key,
        alarm.detector,
        alarm.status,
    )
    assert "not within 120 s: ingested" in alarm.summary.lower()
    assert 2 == scene.counted("failed")

    scene.now = T0 + timedelta(hours=54)
    schedule.start()
    scene.fire(scene.published[-1])
    scene.deliver(scene.published[-1])
    scene.keeper.look()
    assert [AlertStatus.FIRING, AlertStatus.RESOLVED] == [a.status for a in scene.alarms()]
    assert scene.alarms()[0].id == scene.alarms()[1].id


def test_a_drill_that_was_due_and_did_not_begin_was_missed(scene: Scene) -> None:
    schedule = scene.schedule()
    scene.now = T0 + timedelta(hours=6, seconds=60)
    schedule.check()
    assert {} == scene.database.drills
    scene.now += timedelta(seconds=1)
    schedule.check()
    schedule.check()
    (missed,) = scene.database.drills.values()
    assert DrillOutcome.MISSED is missed.outcome
    assert "due at 2026-05-04 18:00:00 UTC" in missed.reason
    assert 1 == scene.counted("missed")
    (alarm,) = scene.alarms()
    assert "was missed" in alarm.summary


def test_what_was_missed_while_no_daemon_ran_is_seen_at_the_next_start(scene: Scene) -> None:
    scene.now = T0 + timedelta(hours=6)
    scene.schedule().start()
    scene.now = T0 + timedelta(days=9)
    scene.schedule().check()
    last = scene.drills.latest()
    assert last is not None
    assert DrillOutcome.MISSED is last.outcome


def test_a_drill_that_began_in_time_was_not_missed(scene: Scene) -> None:
    schedule = scene.schedule()
    scene.now = T0 + timedelta(hours=6, seconds=5)
    schedule.start()
    scene.now = T0 + timedelta(hours=23)
    schedule.check()
    assert 1 == len(scene.database.drills)


def test_the_id_of_a_drill_is_one_that_messages_may_have() -> None:
    made = new_drill(T0, timedelta(seconds=120)).id
    assert made.startswith("20260504-120000-")
    assert made != new_drill(T0, timedelta(seconds=120)).id
    assert all(
        value.find(made.encode()) > 0 for _, _, value in messages(made, {"news": "news"}, T0)
    )


def test_the_alert_of_the_schedule_reads_as_what_it_is(scene: Scene) -> None:
    scene.schedule().start()
    scene.now = at(120)
    scene.keeper.look()
    (alarm,) = scene.alarms()
    assert b'"alertname":"DrillFailed"' in webhook_body("desk", alarm.key, [alarm])
    assert "Scheduled drill" == display_name(alarm.key)
    assert "DRILL d1" == display_name(drill_key("d1"))


@pytest.mark.parametrize("wrong", ["", "* * *", "61 * * * *", "0 6 * * 1-5", "0 0 30 feb *"])
def test_what_is_no_schedule_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are APScheduler's
        cron_trigger(wrong)


def test_the_next_due_time_lies_behind_the_moment() -> None:
    due = next_due("30 6 * * mon-fri")
    friday = datetime(2026, 5, 8, 6, 30, tzinfo=UTC)
    assert friday == due(friday - timedelta(microseconds=1))
    assert datetime(2026, 5, 11, 6, 30, tzinfo=UTC) == due(friday)


def test_routes_see_the_labels_of_a_drills_alert() -> None:
    alert = an_alert(alert_id("d1"), drill_key("d1"), detector="drill")
    alert = replace(alert, severity=Severity.CRITICAL)
    assert labels_of(alert) == alert_labels("d1")


def test_a_drill_waits_for_those_that_the_routes_send_it_to_at_once() -> None:
    secret = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    receivers = [
        {"name": name, "url": "https://example.com/", "secrets": [secret], **more}
        for name, more in (
            ("desk", {}),
            ("digest", {"digest": {"times": ["08:00"]}}),
            ("other", {}),
        )
    ]
    routes = [
        {"match": ["severity=critical"], "receivers": ["desk"], "go_on": True},
        {"receivers": ["digest"], "digest": True},
    ]
    everybody = Delivery.model_validate({"receivers": receivers})
    assert drilled_receivers(everybody) == ["desk", "digest", "other"]
    routed = Delivery.model_validate({"receivers": receivers, "routes": routes})
    assert drilled_receivers(routed) == ["desk"]
