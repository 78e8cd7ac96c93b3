"""What people read, in every format: complete, cut where it is too long, harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from harness.alerts import NOW, START, an_alert
from harness.scripted import Request as Arrived
from harness.services import (
    AlertmanagerService,
    CloudEventsService,
    DingTalkService,
    FeishuService,
    PagerDutyService,
    Service,
    SlackService,
    TeamsService,
    WeComService,
    faults,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alert.base import Answer, Channel, Notice
from monitor.alert.channels import apprise, email
from monitor.alert.channels.alertmanager import HOLD, RESEND, Alertmanager
from monitor.alert.channels.cloudevents import CloudEvents
from monitor.alert.channels.dingtalk import DingTalk
from monitor.alert.channels.feishu import Feishu
from monitor.alert.channels.message import (
    cut,
    cut_lines,
    lasted,
    message_of,
    one_line,
    safe_url,
)
from monitor.alert.channels.pagerduty import PagerDuty
from monitor.alert.channels.slack import Slack
from monitor.alert.channels.teams import Teams
from monitor.alert.channels.wecom import WeCom
from monitor.alert.signing import Signer, new_secret
from monitor.errors import DeliveryError
from monitor.events import (
    About,
    Alert,
    AlertStatus,
    Evidence,
    Setting,
    Severity,
    Subject,
    Term,
    Waterfall,
)
from monitor.store.base import Notification

KEY = "0123456789abcdef0123456789abcdef"
SIGNER = Signer([new_secret()])
HOSTILE = [
    "<!channel> <@U123|you> <https://evil.example|Harlow Bank>",
    '@all <@all> <at id=all></at> <at user_id="all">all</at> <font color="info">fine</font>',
    "[Harlow Bank](https://evil.example) ![x](https://evil.example/pixel.png)",
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'",
    "*bold* _it_ `code` ~~~ # head\r\n\r\nBcc: everybody@example.com",
    "\u202egnp.exe\u202c \u2066x\u2069 \x00\x1b[31m \ud800 end",
    "| a | b |\n|---|---|\n&lt;b&gt; &amp; {{x}} ${y} %s {0}",
]
LINKS = [
    "javascript:alert(1)",
    "https://bank.example@evil.example/",
    "https://evil.example/) [x](https://evil.example",
    "https://evil.example/><script>",
    "https://evil.example/|Harlow Bank>",
    "ftp://evil.example/",
    "https://[::1/",
    "https://пример.example/",
    "data:text/html,x",
]


def evidence(number: int, title: str, url: str | None = "https://wire.example/a") -> Evidence:
    return Evidence(f"d{number}", START, "northgate-wire", title, url, 0.97, copies=number)


def rich(**changes: Any) -> Alert:
    """An alert with everything that is shown."""
    values: dict[str, Any] = {
        "key": "topic:Energy",
        "severity": Severity.CRITICAL,
        "posts": 312,
        "stories": 9,
        "largest_story": 200,
        "evidence": tuple(evidence(n, f"Refinery {n} halts") for n in range(4)),
        "setting": Setting(corrected=(0.57, 0.42, 0.71), corrected_baseline=0.18),
        "about": About(
            40,
            (Term("halts production", 31, 5.2), Term("blast", 12, 3.1)),
            (Subject("company:XX:HRB", "Harbour Oil", 33),),
            (Subject("topic:Energy", "Energy", 38), Subject("topic:Macro", "Macro", 2)),
        ),
        "waterfall": Waterfall(
            START,
            NOW - timedelta(seconds=32),
            NOW - timedelta(seconds=31.5),
            NOW - timedelta(seconds=31),
            NOW - timedelta(seconds=30),
        ),
    }
    return an_alert(**(values | changes))


def ended(made: Alert) -> Alert:
    begun = made.fired_at or made.started_at
    end = begun + timedelta(hours=2, minutes=15)
    return replace(made, status=AlertStatus.RESOLVED, resolved_at=end, updated_at=end)


def a_notice(*alerts: Alert, test: bool = False) -> Notice:
    shown = alerts or (rich(),)
    return Notice("msg_1", "desk", shown[0].key, shown, "https://m.example.com", NOW, test)


@dataclass(frozen=True)
class Case:
    name: str
    channel: Callable[[], Channel]
    service: Callable[[Callable[[], datetime]], Service]
    path: str = "/hook"


CASES = [
    Case("slack", Slack, SlackService),
    Case("feishu", lambda: Feishu("s3cret"), lambda now: FeishuService(now, "s3cret")),
    Case(
        "dingtalk",
        lambda: DingTalk("SECx"),
        lambda now: DingTalkService(now, "SECx"),
        "/robot/send?access_token=t",
    ),
    Case("wecom", WeCom, WeComService),
    Case("teams", Teams, TeamsService),
    Case("pagerduty", lambda: PagerDuty(KEY), lambda now: PagerDutyService(now, KEY)),
    Case("alertmanager", Alertmanager, AlertmanagerService, "/am"),
    Case("cloudevents", lambda: CloudEvents(SIGNER), CloudEventsService),
]
CHATS = CASES[:5]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(params=CHATS, ids=lambda case: case.name)
def chat(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def frozen(channel: Channel, notice: Notice) -> Notification:
    return Notification(notice.id, "desk", notice.key, channel.render(notice), NOW, NOW)


def deliver(
    case: Case, service: Service, notice: Notice, now: datetime = NOW
) -> DeliveryError | None:
    """One attempt at a service that answers as documented."""
    channel = case.channel()
    for request in channel.requests(frozen(channel, notice), case.path, now):
        path = case.path if request.path is None else request.path
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = service(Arrived(f"POST {path} HTTP/1.1", headers, request.body))
        head, _, body = raw.partition(b"\r\n\r\n")
        after = re.search(rb"Retry-After: (\S+)", head)
        answer = Answer(int(head.split()[1]), after and after[1].decode(), body)
        if fault := channel.verdict(answer, now):
            return fault
    return None


def texts(value: object) -> list[str]:
    """Every string in a JSON value, without the names of its fields."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def shown(case: Case, *alerts: Alert) -> str:
    return "\n".join(texts(json.loads(case.channel().render(a_notice(*alerts)))))


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
    (rich(key="pair:Energy|company:XX:HRB"), "Critical: Harbour Oil, Energy: negative share"),
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


# What nobody may do with a title.


@pytest.mark.parametrize("text", HOSTILE)
def test_slack_gets_no_link_or_mention_that_is_not_ours(text: str) -> None:
    bad = rich(key=f"watch:{text}", evidence=tuple(evidence(0, text, link) for link in LINKS))
    for alert in (bad, rich(evidence=(evidence(0, text),))):
        body = json.loads(Slack().render(a_notice(alert)))
        assert body["text"].count("<") == 0
        for block in [b for a in body["attachments"] for b in a["blocks"]]:
            if block.get("text", {}).get("type") == "mrkdwn":
                assert block["text"]["verbatim"] is True
                links = re.findall(r"<([^>|]*)\|", block["text"]["text"])
                assert block["text"]["text"].count("<") == len(links)
                assert all(re.match(r"https?://[^@]+$", link) for link in links)
                assert not any("evil.example/|" in link for link in links)


@pytest.mark.parametrize("text", HOSTILE)
def test_feishu_reads_no_markup_in_a_title(text: str) -> None:
    body = json.loads(Feishu().render(a_notice(rich(evidence=(evidence(0, text, None),)))))
    marked = [t for t in texts(body["card"]["elements"]) if "northgate" in t]
    assert marked
    for said in marked:
        unescaped = re.sub(r"&#\d+;", "", said)
        assert not set("<>[]*_`~!") & set(unescaped.replace("**", ""))


@pytest.mark.parametrize("channel", [DingTalk(), WeCom()], ids=["dingtalk", "wecom"])
@pytest.mark.parametrize("text", HOSTILE)
def test_chinese_robots_read_no_markup_in_a_title(channel: Channel, text: str) -> None:
    body = json.loads(channel.render(a_notice(rich(evidence=(evidence(0, text, None),)))))
    markdown = body["markdown"].get("text") or body["markdown"]["content"]
    (line,) = [line for line in markdown.splitlines() if "northgate" in line]
    inside = line.removeprefix("- ")
    assert not set("<>[]*_`~!#@") & set(inside.replace(" (northgate", "").replace(" UTC)", ""))


@pytest.mark.parametrize("text", HOSTILE)
def test_teams_reads_texts_of_others_in_runs_alone(text: str) -> None:
    bad = rich(key=f"watch:{text}", evidence=(evidence(0, text),))
    card = json.loads(Teams().render(a_notice(bad)))["attachments"][0]["content"]

    def kinds(value: object) -> set[str]:
        if isinstance(value, dict):
            return {str(value.get("type", ""))}.union(*(kinds(v) for v in value.values()))
        return set().union(*(kinds(v) for v in value)) if isinstance(value, list) else set()

    assert kinds(card["body"]) - {""} <= {"RichTextBlock", "TextRun", "Container", "Action.OpenUrl"}


class Tags(HTMLParser):
    """Elements and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


OURS = {
    *("html", "head", "meta", "title", "body", "h2", "h3", "div"),
    *("table", "tr", "td", "ul", "li", "a", "p", "span"),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_mail_has_our_elements_alone_and_no_header_of_others(text: str) -> None:
    bad = rich(key=f"watch:{text}", evidence=tuple(evidence(0, text, link) for link in LINKS))
    body = json.loads(email.render(a_notice(bad)))
    page = Tags()
    page.feed(body["html"])
    assert {tag for tag, _ in page.found} <= OURS
    assert {name for _, attributes in page.found for name in attributes} <= {
        *("style", "href", "lang", "charset")
    }
    for _, attributes in page.found:
        assert (attributes.get("href") or "https://").startswith("https://")
    mail = email.mail_of(
        Notification("msg_1", "desk", "all", email.render(a_notice(bad)), NOW, NOW),
        "monitor@example.com",
        ["desk@example.com"],
    )
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"] and "\r" not in mail["Subject"]


class Page(HTMLParser):
    """A page as a mail program reads it: it must be well-formed, and this is what it says."""

    EMPTY = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.lines: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "head" not in self.open:
            assert {"html", "body"} <= set(self.open)
            self.lines.append(" ".join(data.split()))


@pytest.mark.parametrize("text", [*HOSTILE, "Refinery halts"])
def test_both_parts_of_a_mail_say_the_same_and_the_page_is_well_formed(text: str) -> None:
    alerts = [
        rich(name=f"a{n}", evidence=(evidence(n, text), evidence(9, text, None))) for n in (1, 2)
    ]
    body = json.loads(email.render(a_notice(*alerts, ended(rich(name="c")))))
    page = Page(body["html"])
    shown = " ".join(page.lines)
    for line in body["text"].splitlines():
        plain = " ".join(line.removeprefix("  - ").split())
        if plain and not plain.startswith(("http", "Open monitor:")):
            name, colon, value = plain.partition(": ")
            assert plain in shown or (colon and f"{name} {value}" in shown), plain
    assert body["html"].count("https://m.example.com?alert=") == 3
    assert 'href="https://m.example.com"' in re.findall(r"<a [^>]*>", body["html"])[-1]


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_could_deceive_is_left_out_or_encoded(link: str) -> None:
    safe = safe_url(link)
    assert safe is None or not set("<>()[]|\"'` \\@") & set(safe)


def test_an_ordinary_link_stays_as_it_is() -> None:
    link = "https://wire.example:8443/a/b-c_d.html?q=1&r=%20x#part"
    assert safe_url(link) == link
    assert safe_url("https://wire.example/ä b") == "https://wire.example/%C3%A4%20b"
    assert safe_url(None) is safe_url("") is safe_url("https://x.example/" + "y" * 2000) is None


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
