"""Links and the API: only who may judge does, and a preview votes for nothing."""

from __future__ import annotations

import html
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from harness.alerts import NOW, an_alert
from prometheus_client import CollectorRegistry

from monitor.alert.payload import webhook_body
from monitor.errors import StoreError
from monitor.http import HttpServer, application
from monitor.keys import drill_key
from monitor.push.keys import ApiKey, Keyring
from monitor.store.memory import MemoryDatabase
from monitor.store.verdicts.base import Judgement, Verdict
from monitor.store.verdicts.memory import MemoryVerdicts
from monitor.verdict.links import LinkError, Links
from monitor.verdict.web import VerdictWeb

SECRET = "0123456789abcdef0123456789abcdef"
ALERT = an_alert("6f0c1c1e-0000-5000-8000-000000000001")
WEEK = timedelta(days=7)
LINKS = Links(SECRET, "https://monitor.example.com/m/", WEEK)


def query_of(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def test_an_alert_has_a_link_for_each_verdict_and_always_the_same() -> None:
    links = LINKS.of(ALERT)
    assert {f"verdict_{judgement}_url" for judgement in Judgement} == set(links)
    assert links["verdict_false_url"].startswith(
        f"https://monitor.example.com/m/v1/alerts/{ALERT.id}/verdict/false?expires="
    )
    assert links == LINKS.of(ALERT)


def test_a_link_is_good_until_it_expires() -> None:
    query = query_of(LINKS.of(ALERT)["verdict_true_url"])
    LINKS.check(ALERT.id, Judgement.TRUE, query, NOW + WEEK)
    with pytest.raises(LinkError, match="expired") as raised:
        LINKS.check(ALERT.id, Judgement.TRUE, query, NOW + WEEK + timedelta(seconds=1))
    assert raised.value.expired


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "99999999999"},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "é"},
        {"expires": ""},
        {"expires": "²"},
        {"expires": "9" * 400},
    ],
)
def test_a_link_that_was_changed_is_refused(change: Mapping[str, str]) -> None:
    query = {**query_of(LINKS.of(ALERT)["verdict_true_url"]), **change}
    with pytest.raises(LinkError) as raised:
        LINKS.check(ALERT.id, Judgement.TRUE, query, NOW)
    assert not raised.value.expired


def test_a_link_is_for_one_alert_one_verdict_and_one_secret() -> None:
    query = query_of(LINKS.of(ALERT)["verdict_true_url"])
    other = Links(SECRET[::-1], "https://monitor.example.com", WEEK)
    for links, alert, judgement in (
        (LINKS, "another", Judgement.TRUE),
        (LINKS, ALERT.id, Judgement.FALSE),
        (other, ALERT.id, Judgement.TRUE),
    ):
        with pytest.raises(LinkError):
            links.check(alert, judgement, query, NOW)


def test_the_secret_shows_nowhere() -> None:
    assert SECRET not in repr(LINKS)
    assert SECRET not in "".join(LINKS.of(ALERT).values())


def test_nobody_is_asked_to_judge_a_drill() -> None:
    assert {} == LINKS.of(an_alert("d", drill_key("d1"), detector="drill"))


def test_the_notification_carries_the_links() -> None:
    (alert,) = json.loads(webhook_body("ops", ALERT.key, [ALERT], links=LINKS.of))["alerts"]
    assert LINKS.of(ALERT).items() <= alert["annotations"].items()


@dataclass
class Site:
    """A daemon's HTTP with the verdicts in memory."""

    port: int
    verdicts: MemoryVerdicts
    links: Links

    def ask(
        self, method: str, target: str, body: str | None = None, secret: str | None = SECRET
    ) -> tuple[int, dict[str, str], str]:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return (
                answer.status,
                {k.lower(): v for k, v in answer.headers.items()},
                (answer.read().decode()),
            )

    def link(self, judgement: Judgement) -> str:
        parts = urlsplit(self.links.of(ALERT)[f"verdict_{judgement}_url"])
        return f"{parts.path}?{parts.query}"


API = f"/v1/alerts/{ALERT.id}/verdict"


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve(Keyring([ApiKey("desk", SECRET)]), Links(SECRET, "http://x", WEEK))


def serve(keyring: Keyring, links: Links | None) -> Iterator[Site]:
    database = MemoryDatabase()
    drill = an_alert("drill", drill_key("d1"), detector="drill")
    database.alerts = {ALERT.id: ALERT, drill.id: drill}
    verdicts = MemoryVerdicts(database)
    web = VerdictWeb(verdicts, keyring, links, lambda: NOW)
    server = HttpServer(
        application(CollectorRegistry(), dict, dict, more=web.routes), "127.0.0.1", 0
    )
    with closing(server):
        server.start()
        yield Site(server.port, verdicts, links or LINKS)


def test_a_program_judges_and_reads_the_history(site: Site) -> None:
    body = json.dumps({"verdict": "false", "note": "an old story"})
    assert 200 == site.ask("POST", API, body)[0]
    status, _, answer = site.ask("GET", API)
    assert 200 == status
    assert {
        "alert_id": ALERT.id,
        "verdict": "false",
        "history": [
            {
                "verdict": "false",
                "who": "desk",
                "note": "an old story",
                "at": "2026-05-04T12:00:00Z",
            }
        ],
    } == json.loads(answer)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "JSON"),
        ("[]", 400, "JSON"),
        ('{"verdict": "maybe"}', 400, "true, false, duplicate, expected"),
        ('{"verdict": ["true"]}', 400, "true, false, duplicate, expected"),
        ('{"verdict": "true", "who": "me"}', 400, "JSON"),
        ('{"verdict": "true", "note": 7}', 400, "note"),
        (json.dumps({"verdict": "true", "note": "x" * 20_000}), 413, "bytes"),
    ],
)
def test_a_bad_verdict_is_refused_with_its_reason(
    site: Site, body: str, status: int, said: str
) -> None:
    got, _, answer = site.ask("POST", API, body)
    assert (status, True) == (got, said in json.loads(answer)["detail"])
    assert [] == site.verdicts.given


def test_without_a_known_key_nobody_reads_or_judges(site: Site) -> None:
    for method in ("GET", "POST"):
        for secret in (None, "wrong" * 8):
            assert 401 == site.ask(method, API, '{"verdict": "true"}', secret)[0]
    assert [] == site.verdicts.given


@pytest.mark.parametrize("alert", ["unknown", "drill"])
def test_an_alert_that_is_unknown_or_a_drill_is_not_found(site: Site, alert: str) -> None:
    body = '{"verdict": "true"}'
    assert 404 == site.ask("POST", f"/v1/alerts/{alert}/verdict", body)[0]


def test_to_open_a_link_only_asks(site: Site) -> None:
    for method in ("GET", "HEAD"):
        status, headers, page = site.ask(method, site.link(Judgement.FALSE), secret=None)
        assert 200 == status
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert ("no-store", "no-referrer") == (headers["cache-control"], headers["referrer-policy"])
    page = site.ask("GET", site.link(Judgement.FALSE), secret=None)[2]
    assert "<form" in page and html.escape(ALERT.summary) in page
    assert "<script" not in page
    assert [] == site.verdicts.given


def test_a_link_of_an_alert_that_is_gone_says_so_before_anything_is_filled_in(site: Site) -> None:
    site.verdicts.database.alerts.clear()
    status, _, page = site.ask("GET", site.link(Judgement.FALSE), secret=None)
    assert (404, False) == (status, "<form" in page)
    assert "There is no such alert" in page


def test_the_button_of_the_page_judges(site: Site) -> None:
    link = site.link(Judgement.EXPECTED)
    status, _, page = site.ask("POST", link, "who=Ann+%3Cb%3E&note=earnings", secret=None)
    assert (200, True) == (status, "Noted" in page)
    assert "<b>" not in page
    assert [
        Verdict(ALERT.id, Judgement.EXPECTED, "Ann <b> (link)", "earnings", NOW)
    ] == site.verdicts.given


def test_a_changed_link_judges_nothing(site: Site) -> None:
    link = site.link(Judgement.FALSE).replace("/false?", "/true?")
    assert 403 == site.ask("GET", link, secret=None)[0]
    assert 403 == site.ask("POST", link, "", secret=None)[0]
    old = Links(SECRET, "http://x", timedelta(seconds=-1)).of(ALERT)["verdict_true_url"]
    parts = urlsplit(old)
    assert 410 == site.ask("POST", f"{parts.path}?{parts.query}", "", secret=None)[0]
    assert [] == site.verdicts.given


def test_a_database_that_fails_says_to_come_again_and_nothing_of_itself(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_verdict: Verdict) -> bool:
        raise StoreError("/var/secret.db: the disk is full")

    monkeypatch.setattr(site.verdicts, "give", fail)
    status, headers, answer = site.ask("POST", API, '{"verdict": "true"}')
    assert (503, "5", False) == (status, headers["retry-after"], "secret.db" in answer)


def test_without_keys_and_a_secret_both_ways_are_closed() -> None:
    for site in serve(Keyring([]), None):
        assert 404 == site.ask("POST", API, '{"verdict": "true"}')[0]
        assert 404 == site.ask("POST", site.link(Judgement.TRUE), "", secret=None)[0]
        assert [] == site.verdicts.given


def test_an_alert_that_changes_gets_links_that_last_longer() -> None:
    later = replace(ALERT, updated_at=datetime(2026, 5, 5, tzinfo=UTC))
    query = query_of(LINKS.of(later)["verdict_true_url"])
    LINKS.check(ALERT.id, Judgement.TRUE, query, NOW + WEEK + timedelta(hours=1))
