"""What people read, in every format: complete, cut where it is too long, harmless."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from harness.alerts import NOW, START, an_alert
from harness.channels import (
    CASES,
    CHATS,
    HOSTILE,
    KEY,
    LINKS,
    SIGNER,
    Case,
    a_notice,
    deliver,
    ended,
    evidence,
    frozen,
    rich,
    shown,
)
from harness.services import (
    AlertmanagerService,
    DingTalkService,
    FeishuService,
    PagerDutyService,
    faults,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alert.base import Notice
from monitor.alert.channels import apprise, email
from monitor.alert.channels.alertmanager import HOLD, RESEND
from monitor.alert.channels.cloudevents import CloudEvents
from monitor.alert.channels.dingtalk import DingTalk
from monitor.alert.channels.feishu import Feishu
from monitor.alert.channels.message import cut, cut_lines, lasted, message_of, one_line
from monitor.alert.channels.pagerduty import PagerDuty
from monitor.events import Alert, AlertStatus, Setting, Severity
from monitor.store.base import Notification


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(params=CHATS, ids=lambda case: case.name)
def chat(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_every_service_takes_an_alert_and_its_end_as_its_documentation_asks(case: Case) -> None:
    for alert in (rich(), ended(rich()), an_alert(), ended(an_alert(evidence=()))):
        service = case.service(lambda: NOW)
        assert deliver(case, service, a_notice(alert)) is None
        assert len(service.taken) == 1


def test_every_service_takes_forty_alerts_with_endless_texts(case: Case) -> None:
    long = "Refinery halts after fire, traders fear for supply (油价) " * 400
    address = f"https://wire.example/{'x' * 900}"
    alerts = [
        rich(
            name=f"a{n}",
            summary=long,
            evidence=tuple(evidence(i, long, address) for i in range(9)),
        )
        for n in range(40)
    ]
    service = case.service(lambda: NOW)
    assert deliver(case, service, a_notice(*alerts)) is None
    assert service.taken


@pytest.mark.parametrize("text", HOSTILE)
def test_every_service_takes_hostile_texts(case: Case, text: str) -> None:
    bad = rich(
        key=f"watch:{text}",
        summary=text,
        evidence=tuple(replace(evidence(0, text, link), source=text) for link in LINKS),
    )
    service = case.service(lambda: NOW)
    assert deliver(case, service, a_notice(bad)) is None
    assert len(service.taken) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.text(max_size=80),
    st.floats(),
    st.integers(0, 10**9),
)
def test_no_text_and_no_number_breaks_a_format(
    title: str, url: str, source: str, value: float, count: int
) -> None:
    bad = rich(
        key=f"name:{source}",
        value=value,
        documents=count,
        posts=count,
        evidence=(replace(evidence(0, title, url), source=source),),
    )
    notice = a_notice(bad)
    for case in CASES:
        assert deliver(case, case.service(lambda: NOW), notice) is None, case.name
    mail = Notification("msg_1", "desk", "all", email.render(notice), NOW, NOW)
    assert bytes(email.mail_of(mail, "m@example.com", ["d@example.com"]))
    assert json.loads(apprise.render(notice))["title"]


def test_a_chat_says_what_moved_since_when_who_says_so_and_where_to_look(chat: Case) -> None:
    said = shown(chat, rich()).replace("&#37;", "%")
    for part in ("Energy", "20 %", "60 %", "2023", "08", "10", "40", "24", "312", "9 stories"):
        assert part in said, part
    for number in range(3):
        assert f"Refinery {number} halts" in said
    assert "Refinery 3" not in said
    assert "https://wire.example/a" in said
    assert "https://m.example.com?alert=a" in said
    assert "Open monitor" in said
    assert "Critical" in said


def test_a_chat_says_within_which_bounds_in_which_words_of_whom_and_how_fast(chat: Case) -> None:
    said = shown(chat, rich())
    for of, plain in (("&#37;", "%"), ("&#43;", "+"), ("&#39;", "'"), ("（", "("), ("）", ")")):
        said = said.replace(of, plain)
    said = said.replace("&#40;", "(").replace("&#41;", ")").replace("&#58;", ":")
    said = said.replace("&#45;", "-")
    for part in (
        "42 % to 71 %, corrected for the model's errors; usual 18 %",
        "halts production, blast",
        "Harbour Oil (33), Energy (38), Macro (2)",
        "published 2023-03-10 08:00 UTC; from Kafka: ingested +0.5 s, scored +0.5 s, fired +1.0 s, "
        "this message +30.0 s",
    ):
        assert part in said, part


def test_a_chat_says_why_nobody_was_paged_and_does_not_shout_it(chat: Case) -> None:
    pending = rich(
        status=AlertStatus.PENDING,
        fired_at=None,
        setting=Setting(insufficient="3 of 10 independent voices"),
    )
    said = shown(chat, pending).replace("&#58;", ":")
    assert "Not paged: Energy" in said
    assert "insufficient evidence: 3 of 10 independent voices" in said
    assert "Critical:" not in said


TITLES = [
    (rich(), "Critical: Energy: negative share 20 % → 60 %"),
    (rich(detector="volume", baseline=12.0, value=83.44), "Energy: 12 → 83.4 voices an hour"),
    (rich(detector="volume", baseline=0.05, value=0.5), "Energy: 1.2 → 12 voices a day"),
    (
        an_alert(key="source:wire", detector="blind", value=0.0, documents=0, negative=0),
        "Warning: wire: blind, nothing heard since 2023-03-10 08:00 UTC",
    ),
    (ended(an_alert(key="source:wire", detector="blind")), "Resolved: wire: speaks again"),
    (an_alert(key="all", detector="blind"), "Whole stream: silent, nothing heard since"),
    (an_alert(key="drill:d1", detector="drill", summary="DRILL d1: nothing"), "DRILL d1: nothing"),
    (rich(key="company:XX:HRB"), "Critical: Harbour Oil: negative share"),
    (rich(key="pair:Energy|company:XX:HRB"), "Critical: Harbour Oil on Energy: negative share"),
]


@pytest.mark.parametrize(("alert", "title"), TITLES)
def test_a_title_says_what_it_is_for_each_detector(alert: Alert, title: str) -> None:
    said = message_of(a_notice(alert)).title
    assert title in said
    assert ("negative share" in said) is (alert.detector == "share")


def test_a_blind_source_is_told_in_words_and_not_in_voices() -> None:
    alert = an_alert(key="source:wire", detector="blind", summary="wire is blind: HTTP 503")
    (entry,) = message_of(a_notice(alert)).entries
    assert dict(entry.facts)["What"] == "wire is blind: HTTP 503"
    assert "Voices" not in dict(entry.facts)


def test_no_alert_has_more_facts_than_slack_shows() -> None:
    everything = rich(
        status=AlertStatus.RESOLVED,
        resolved_at=START + timedelta(hours=1),
        setting=Setting(expected="results", corrected=(0.5, 0.4, 0.6), corrected_baseline=0.2),
    )
    (entry,) = message_of(a_notice(everything)).entries
    assert len(entry.facts) == 10


def test_a_chat_says_when_it_ended_and_how_long_it_took(chat: Case) -> None:
    said = shown(chat, ended(rich()))
    assert "Resolved" in said
    assert "2 h 15 min" in said
    assert "Critical:" not in said


def test_a_test_says_so_in_every_format(chat: Case) -> None:
    body = chat.channel().render(a_notice(rich(), test=True))
    assert "TEST, nothing has happened" in body.decode()


COLOURS = {
    "slack": ("#c62828", "#ef8f00", "#2e7d32"),
    "feishu": ('"red"', '"orange"', '"green"'),
    "wecom": ("warning", "warning", "info"),
    "teams": ("attention", "warning", "good"),
}


@pytest.mark.parametrize("name", COLOURS)
def test_the_colour_tells_the_severity(name: str) -> None:
    (case,) = [case for case in CASES if case.name == name]
    alerts = (rich(), rich(severity=Severity.WARNING), ended(rich()))
    for alert, colour in zip(alerts, COLOURS[name], strict=True):
        assert colour in case.channel().render(a_notice(alert)).decode()


def test_volume_is_told_in_voices_an_hour() -> None:
    message = message_of(a_notice(rich(detector="volume", value=83.44, baseline=12.0)))
    assert message.title == "Critical: Energy: 12 → 83.4 voices an hour"


def test_the_worst_alert_leads_and_what_is_left_out_is_counted() -> None:
    alerts = [
        ended(rich(name="ended")),
        rich(name="mild", severity=Severity.WARNING),
        *(rich(name=f"bad{n}") for n in range(5)),
    ]
    message = message_of(a_notice(*alerts))
    assert message.title.startswith("Critical: Energy")
    assert message.title.endswith("(and 6 more)")
    assert len(message.entries) == 5
    assert message.rest == "… and 2 more"
    assert message.link == "https://m.example.com"


def test_texts_are_cut_with_an_ellipsis() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("abcd   efg", 6) == "abcd…"
    assert one_line(" a\n\tb\x00c\u202e ") == "a b c"


@given(st.lists(st.text(max_size=40), max_size=12), st.integers(8, 200))
def test_lines_are_cut_whole_within_the_bytes(lines: list[str], limit: int) -> None:
    clean = [one_line(line) for line in lines]
    said = cut_lines(clean, limit)
    assert len(said.encode()) <= limit
    assert said == "\n".join(clean) or said.endswith("…")


def test_durations_read_as_a_person_says_them() -> None:
    spans = [timedelta(minutes=45), timedelta(hours=2, minutes=15), timedelta(days=3, hours=4)]
    assert [lasted(span) for span in spans] == ["45 min", "2 h 15 min", "3 d 4 h"]


# What a channel has of its own.


def test_a_signature_is_of_its_moment_and_the_content_is_not_touched() -> None:
    for case in (CASES[1], CASES[2]):
        service = case.service(lambda: NOW)
        assert deliver(case, service, a_notice()) is None
        late = deliver(case, case.service(lambda: NOW + timedelta(hours=2)), a_notice())
        assert late is not None and not late.retryable
        again = case.service(lambda: NOW + timedelta(hours=2))
        assert deliver(case, again, a_notice(), NOW + timedelta(hours=2)) is None
        first, second = service.taken[0], again.taken[0]
        for body in (first, second):
            body.pop("timestamp", None), body.pop("sign", None)
        assert first == second


def test_a_wrong_secret_is_for_a_person_to_mend() -> None:
    feishu = Case("feishu", lambda: Feishu("other"), lambda now: FeishuService(now, "s3cret"))
    dingtalk = Case("dingtalk", lambda: DingTalk("x"), lambda now: DingTalkService(now, "y"))
    for case in (feishu, dingtalk):
        fault = deliver(case, case.service(lambda: NOW), a_notice())
        assert fault is not None and not fault.retryable
        assert "sign" in str(fault)


@pytest.mark.parametrize("name", ["slack", "feishu", "dingtalk", "wecom", "teams"])
def test_too_many_messages_are_refused_for_the_time_being(name: str) -> None:
    (case,) = [case for case in CASES if case.name == name]
    service = case.service(lambda: NOW)
    faults_ = [deliver(case, service, a_notice()) for _ in range(101)]
    assert faults_[0] is None
    assert faults_[-1] is not None and faults_[-1].retryable


def test_pagerduty_opens_one_incident_for_an_alert_and_closes_that_one() -> None:
    (case,) = [case for case in CASES if case.name == "pagerduty"]
    service = PagerDutyService(lambda: NOW, KEY)
    both = a_notice(rich(name="a"), rich(name="b"))
    assert deliver(case, service, both) is None
    assert deliver(case, service, both) is None
    assert service.incidents == {"a": "triggered", "b": "triggered"}
    assert deliver(case, service, a_notice(ended(rich(name="a")), rich(name="b"))) is None
    assert service.incidents == {"a": "resolved", "b": "triggered"}


def test_pagerduty_severity_follows_the_alert_and_a_test_is_for_information() -> None:
    def severities(notice: Notice) -> list[str]:
        return [event["payload"]["severity"] for event in json.loads(PagerDuty(KEY).render(notice))]

    assert severities(a_notice(rich(), rich(severity=Severity.WARNING))) == ["critical", "warning"]
    assert severities(a_notice(rich(), test=True)) == ["info"]


def test_an_alertmanager_holds_what_is_repeated_and_forgets_what_has_ended() -> None:
    (case,) = [case for case in CASES if case.name == "alertmanager"]
    now = [NOW]
    service = AlertmanagerService(lambda: now[0])
    for _ in range(12):
        assert deliver(case, service, a_notice(rich(name="a")), now[0]) is None
        now[0] += RESEND
        assert service.firing() == {"a"}
    now[0] += HOLD - 2 * RESEND
    assert service.firing() == {"a"}  # two were lost
    assert (
        deliver(case, service, replace(a_notice(ended(rich(name="a"))), at=now[0]), now[0]) is None
    )
    assert service.firing() == set()


def test_an_attempt_at_an_alertmanager_hours_later_does_not_end_the_alert() -> None:
    (case,) = [case for case in CASES if case.name == "alertmanager"]
    later = NOW + timedelta(hours=6)
    service = AlertmanagerService(lambda: later)
    assert deliver(case, service, a_notice(rich(name="a")), later) is None
    assert service.firing() == {"a"}


def test_event_time_ahead_of_the_clock_ends_an_alert_all_the_same() -> None:
    (case,) = [case for case in CASES if case.name == "alertmanager"]
    future = NOW + timedelta(days=400)
    ahead = rich(name="a", started_at=future, fired_at=future)
    service = AlertmanagerService(lambda: NOW)
    assert deliver(case, service, a_notice(ended(ahead))) is None
    assert service.firing() == set()


def test_a_cloud_event_is_the_webhook_in_an_envelope_and_signed() -> None:
    channel = CloudEvents(SIGNER)
    notification = frozen(channel, a_notice())
    (request,) = channel.requests(notification, "/", NOW)
    event = json.loads(request.body)
    assert (event["id"], event["type"]) == ("msg_1", "monitor.alerts.firing")
    assert (event["source"], event["subject"]) == ("https://m.example.com", "topic:Energy")
    assert event["data"]["alerts"][0]["labels"]["alert_id"] == "a"
    assert SIGNER.verify(request.headers, request.body, NOW) == "msg_1"
    assert faults("cloudevents", event) == []


def test_the_same_notice_gives_the_same_bytes(case: Case) -> None:
    assert case.channel().render(a_notice()) == case.channel().render(a_notice())
