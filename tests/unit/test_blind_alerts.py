"""What is said of a source that is blind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.samples import DAY, MONDAY, NOW, evidence, moment

from monitor.detect.blind import BlindAlerts, Missed, summarise
from monitor.detect.surroundings import Context
from monitor.events import AlertStatus, Evidence, Severity

CONTEXT = Context(NOW, NOW, "memory-1")
MISSED = Missed(
    source="Harbour Wire",
    at=MONDAY + 3 * 3600.0,
    last=float(MONDAY),
    expected=41.2,
    often=0.001,
    allowed=0.02,
    reason="",
    keys=("topic:Earnings",),
    share=0.07,
)


class Latest:
    """The documents that the store would give."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def __call__(self, source: str, until: float) -> Sequence[Evidence]:
        self.asked.append((source, until))
        return evidence(1, 3)


def test_a_blind_source_fires_at_once_with_its_last_documents() -> None:
    latest = Latest()
    alert = BlindAlerts(latest).turned_blind(MISSED, CONTEXT)
    assert [("Harbour Wire", MONDAY)] == latest.asked
    assert ("source:Harbour Wire", AlertStatus.FIRING) == (alert.key, alert.status)
    assert (moment(MONDAY), moment(MONDAY + 3 * 3600)) == (alert.started_at, alert.fired_at)
    assert 3 == len(alert.evidence)
    assert alert.evalue >= alert.threshold
    assert (1000, 50) == (round(alert.evalue), round(alert.threshold))
    assert 41.2 / 3 == alert.baseline


def test_it_is_critical_when_the_whole_stream_depends_on_it() -> None:
    alerts = BlindAlerts(Latest())
    assert Severity.WARNING is alerts.turned_blind(MISSED, CONTEXT).severity
    much = replace(MISSED, keys=("all", "kind:news"))
    assert Severity.CRITICAL is alerts.turned_blind(much, CONTEXT).severity
    stream = replace(MISSED, source="")
    assert ("all", Severity.CRITICAL) == (
        alerts.turned_blind(stream, CONTEXT).key,
        alerts.turned_blind(stream, CONTEXT).severity,
    )


def test_it_ends_once_and_only_if_it_ever_began() -> None:
    alerts = BlindAlerts(Latest())
    assert None is alerts.spoke("Harbour Wire", MONDAY, CONTEXT)
    began = alerts.turned_blind(MISSED, CONTEXT)
    again = BlindAlerts(Latest())
    again.restore([began, replace(began, key="all", detector="share")])
    assert 1 == again.firing
    ended = again.spoke("Harbour Wire", MONDAY + DAY, CONTEXT)
    assert ended is not None
    assert (began.id, AlertStatus.RESOLVED) == (ended.id, ended.status)
    assert moment(MONDAY + DAY) == ended.resolved_at
    assert None is again.spoke("Harbour Wire", MONDAY + DAY, CONTEXT)


def test_the_sentence_says_since_when_what_is_missing_and_what_depends_on_it() -> None:
    assert (
        "Harbour Wire is blind: nothing since 2026-03-02 00:00 UTC (3 h), 41 documents were to be "
        "expected (7% of the stream; Earnings depends on it)"
    ) == summarise(MISSED)
    failed = replace(MISSED, reason="HTTP 503", allowed=0.0, last=None, keys=())
    assert (
        "Harbour Wire is blind: HTTP 503; it has never said anything (7% of the stream)"
        == summarise(failed)
    )
    assert summarise(replace(MISSED, source="")).startswith("The whole stream is silent: nothing")
