"""Two sets of alerts side by side: which are the same, what is gained, how often it was right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from harness.alerts import an_alert

from monitor.events import Alert, Setting
from monitor.lab.compare import Comparison, compare, match
from monitor.lab.ledger import Ledger, Outcome
from monitor.store.verdicts.base import Judgement

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def alert(name: str, key: str, began: float, hours: float = 2.0, detector: str = "share") -> Alert:
    """Fired so many hours after the start, half an hour after its evidence began to rise."""
    fired = START + timedelta(hours=began)
    return an_alert(
        name,
        key,
        detector=detector,
        started_at=fired - 30 * MINUTE,
        fired_at=fired,
        resolved_at=fired + timedelta(hours=hours),
    )


def sent(*args: object, **more: object) -> Outcome:
    made = alert(*args, **more)  # type: ignore[arg-type]
    return Outcome(made, made.fired_at, "")


def kept_back(note: str, *args: object) -> Outcome:
    return Outcome(alert(*args), None, note)  # type: ignore[arg-type]


def compared(
    today: list[Outcome],
    other: list[Outcome],
    stored: list[Outcome] | None = None,
    judged: dict[str, Judgement] | None = None,
) -> Comparison:
    return compare(today, other, stored or [], judged or {}, START, START + 2 * DAY)


def test_an_alert_is_the_same_where_key_and_time_are_whatever_its_id() -> None:
    found = compared([sent("a", "topic:Oil", 5.0)], [sent("b", "topic:Oil", 4.5)])
    (moved,) = found.both
    assert timedelta(minutes=30) == moved.lead == found.median_lead
    assert ([], []) == (found.gained, found.lost)


def test_the_same_key_at_another_time_is_gained_and_lost() -> None:
    found = compared([sent("a", "topic:Oil", 5.0)], [sent("b", "topic:Oil", 15.0)])
    assert ["b"] == [c.outcome.alert.id for c in found.gained]
    assert ["a"] == [c.outcome.alert.id for c in found.lost]


def test_one_detector_goes_before_others_and_each_alert_is_in_one_pair() -> None:
    share, volume = sent("s", "all", 5.0), sent("v", "all", 5.0, detector="volume")
    late = sent("t", "all", 5.5, detector="volume")
    assert [("v", "t")] == [(a.alert.id, b.alert.id) for a, b in match([share, volume], [late])]
    assert [("s", "t")] == [(a.alert.id, b.alert.id) for a, b in match([share], [late])]


def test_what_is_gained_says_what_today_s_rules_made_of_it() -> None:
    lacking = kept_back("insufficient: 8 of 10 independent voices", "a", "topic:Oil", 5.0)
    found = compared([lacking], [sent("b", "topic:Oil", 5.0), sent("c", "all", 9.0)])
    told = {c.outcome.alert.id: c.otherwise for c in found.gained}
    assert {"b": "insufficient: 8 of 10 independent voices", "c": ""} == told
    assert {"insufficient": 1} == dict(found.today.kept_back)


def test_verdicts_on_stored_alerts_count_for_those_that_are_the_same() -> None:
    stored = [sent(n, f"topic:{n}", 5.0) for n in ("good", "bad", "ugly")]
    judged = {"good": Judgement.TRUE, "bad": Judgement.FALSE, "ugly": Judgement.DUPLICATE}
    today = [sent(n + "2", f"topic:{n}", 5.1) for n in ("good", "bad", "ugly")]
    other = [sent("new", "topic:bad", 5.2)]
    found = compared(today, other, stored, judged)
    assert (0.5, 0) == (found.today.precision, found.today.missed)
    assert (0.0, 1) == (found.other.precision, found.other.missed)
    assert Judgement.TRUE in {c.judgement for c in found.lost}
    assert (3, 3) == (found.stored, found.reproduced)


def test_what_was_sent_before_the_report_is_matched_and_not_counted() -> None:
    found = compared([sent("a", "all", -1.0)], [sent("b", "all", 0.5), sent("c", "all", 10.0)])
    assert (0, 2) == (found.today.sent, found.other.sent)
    assert ["c"] == [c.outcome.alert.id for c in found.gained]
    assert 1.0 == found.other.per_day


def test_an_alert_shown_under_another_is_sent_when_that_has_ended() -> None:
    ledger = Ledger()
    shown = replace(alert("a", "topic:Oil", 1.0), resolved_at=None, setting=Setting(under="all"))
    ledger.note([shown], START + timedelta(hours=1))
    (outcome,) = ledger.outcomes()
    assert (None, "under Whole stream") == (outcome.sent_at, outcome.note)
    ledger.note([replace(shown, setting=Setting())], START + timedelta(hours=3))
    (outcome,) = ledger.outcomes()
    assert START + timedelta(hours=3) == outcome.sent_at


def test_an_alert_that_had_to_wait_for_evidence_is_sent_when_it_fires() -> None:
    ledger = Ledger()
    fired = replace(alert("a", "all", 2.0), resolved_at=None)
    pending = replace(fired, fired_at=None, setting=Setting(insufficient="2 of 3 sources"))
    ledger.note([pending], START + timedelta(hours=1))
    ledger.note([fired], START + timedelta(hours=2, minutes=1))
    (outcome,) = ledger.outcomes()
    assert fired.fired_at == outcome.sent_at
