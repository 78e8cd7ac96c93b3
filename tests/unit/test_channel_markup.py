"""What nobody may do with a title or a link: no format reads a text of others as its own markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from harness.alerts import NOW
from harness.channels import HOSTILE, LINKS, a_notice, ended, evidence, rich, texts

from monitor.alert.base import Channel
from monitor.alert.channels import email
from monitor.alert.channels.dingtalk import DingTalk
from monitor.alert.channels.feishu import Feishu
from monitor.alert.channels.message import safe_url
from monitor.alert.channels.slack import Slack
from monitor.alert.channels.teams import Teams
from monitor.alert.channels.wecom import WeCom
from monitor.store.base import Notification


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
