"""Companies through the main loop: alerts on their names, looks into open buckets, calendars."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta

from harness.flow import START, Flow, Message, make_flow
from harness.telling import Names, own_words, post

from monitor.alert.codec import alert_from_json
from monitor.annotate import Annotator
from monitor.detect.calendar import Calendar, Event
from monitor.events import Alert, AlertStatus
from monitor.store.base import RECEIVERS
from monitor.story.stories import Stories

BANK = "company:XX:NGT"
QUIET_DAYS = 4


def telling(calendar: Calendar | None = None) -> Flow:
    flow = make_flow()
    flow.annotator = lambda: Annotator(Stories(), Names())
    flow.calendar = calendar or Calendar()
    flow.restart()
    return flow


def ordinary(days: int, per_hour: int = 12, seed: int = 3) -> list[Message]:
    """Every tenth document is about somebody; a quarter is negative."""
    rng = random.Random(seed)
    return [
        post(
            f"n{i}",
            i * 60 / per_hour,
            own_words(i, rng.choices("-0+", (1, 2, 1))[0]),
            source=f"w{i % 7}",
        )
        for i in range(days * 24 * per_hour)
    ]


def collapse(minutes: float = 90, every: float = 2.0) -> list[Message]:
    """A company of which nobody spoke is in every second text, from the last quiet day on."""
    begin = QUIET_DAYS * 24 * 60
    return [
        post(
            f"b{i}",
            begin + i * every,
            own_words(9000 + i, "-") + " Northgate",
            source=f"w{i % 7}",
        )
        for i in range(int(minutes / every))
    ]


def of_the_bank(flow: Flow) -> list[Alert]:
    return [a for a in flow.database.alerts.values() if a.key == BANK and a.fired_at]


def test_a_company_that_collapses_out_of_nothing_alerts_on_its_own_name() -> None:
    flow = telling()
    flow.put([*ordinary(QUIET_DAYS), *collapse()])
    flow.drain()

    (alert,) = of_the_bank(flow)
    assert ("volume", AlertStatus.FIRING) == (alert.detector, alert.status)
    assert alert.fired_at is not None
    assert alert.fired_at - (START + timedelta(days=QUIET_DAYS)) <= timedelta(minutes=60)
    assert alert.negative == alert.documents
    told = [json.loads(r.payload)["key"] for r in flow.database.outbox.values()
            if r.destination == RECEIVERS]  # fmt: skip
    assert BANK in told
    assert "Northgate plc" == alert.about.named[0].name
    assert alert.about.voices == alert.about.named[0].voices >= 5
    assert alert.summary.startswith("Northgate plc: ")
    # Its texts are drawn from the same words as all others: but for its name nothing is unusual.
    assert not any("northgate" in term.text for term in alert.about.terms)


def test_what_was_expected_of_a_company_is_on_kafka_and_for_digests_alone() -> None:
    begin = int((START + timedelta(days=QUIET_DAYS)).timestamp())
    flow = telling(Calendar([Event(BANK, begin, begin + 86_400, "results")]))
    flow.unpaged = True
    flow.restart()
    flow.put([*ordinary(QUIET_DAYS), *collapse()])
    flow.drain()

    assert {"results"} == {a.setting.expected for a in of_the_bank(flow)}
    rows = [(r.destination, r.payload) for r in flow.database.outbox.values()]
    assert any(BANK.encode() in body for to, body in rows if to == "alerts")
    told = [alert_from_json(body) for to, body in rows if to == RECEIVERS]
    assert [False] == [alert.sent for alert in told if alert.key == BANK]


def crowd() -> list[Message]:
    """Busy calm days, then two of three are bad."""
    rng = random.Random(4)
    calm = [
        post(f"n{i}", i / 2, own_words(i, rng.choices("-0+", (1, 2, 1))[0]), source=f"w{i % 7}")
        for i in range(2 * 24 * 120)
    ]
    bad = [
        post(f"b{i}", 2880 + i / 2, own_words(50_000 + i, "-0-"[i % 3]), source=f"w{i % 7}")
        for i in range(80)
    ]
    return [*calm, *bad]


def test_what_is_beyond_chance_fires_before_its_bucket_is_complete() -> None:
    flow = make_flow()
    flow.put(crowd())
    flow.drain()
    fired = [a.fired_at for a in flow.database.alerts.values() if a.detector == "share" and a.sent]
    assert fired
    assert any(at is not None and at.minute % 5 for at in fired), "within a bucket of five minutes"


def test_a_replay_in_other_batches_looks_at_the_same_minutes() -> None:
    outcomes = []
    for records in (512, 64):
        flow = make_flow(poll_records=records)
        flow.put(crowd())
        flow.drain()
        # The wall time of a transaction is not the stream's.
        alerts = {a.id: replace(a, updated_at=START, appended_at=START)
                  for a in flow.database.alerts.values()}  # fmt: skip
        outcomes.append((alerts, flow.database.key_states))
    assert outcomes[0] == outcomes[1]
