"""Feeds of every kind, sound and broken, into items."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import feedparser
import pytest
from harness.publisher import Entry, rss
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.source.contract import unclean
from monitor.source.feeds import html
from monitor.source.feeds.fetch import Fault, FeedError
from monitor.source.feeds.html import html_to_text, plain_text
from monitor.source.feeds.parse import DEPTH, MALFORMED_BYTES, Item, Parsed, parse

URL = "https://wire.example/feeds/all.xml"
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

RSS2 = """<?xml version="1.0"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
     xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel><title>The Wire</title><link>https://wire.example/</link><language>en-GB</language>
<item><guid isPermaLink="false">a-1</guid><title>Harlow &amp;amp; Sons halts withdrawals</title>
<link>/news/harlow?utm_source=rss</link><dc:creator>Ann Poe</dc:creator>
<pubDate>Mon, 02 Mar 2026 10:00:00 +0100</pubDate>
<description>Only the beginning …</description>
<content:encoded><![CDATA[<p>The bank <b>halted</b> it.</p><script>x()</script>
<p>Shares fell.</p>]]></content:encoded>
</item></channel></rss>"""

RSS1 = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
         xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="https://wire.example/"><title>The Wire</title></channel>
<item rdf:about="https://wire.example/1"><title>Harlow &amp; Sons halts withdrawals</title>
<link>https://wire.example/1</link><description>The bank halted it.</description>
<dc:date>2026-03-02T09:00:00Z</dc:date></item></rdf:RDF>"""

RSS091 = """<rss version="0.91"><channel><title>The Wire</title>
<item><title>Harlow &amp; Sons halts withdrawals</title><link>https://wire.example/1</link>
<description>The bank halted it.</description></item></channel></rss>"""

ATOM = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://wire.example/d/" xml:lang="de">
<title>The Wire</title>
<entry><id>urn:1</id>
<title type="html">Harlow &amp;amp; Sons &lt;i&gt;halts&lt;/i&gt; withdrawals</title>
<link rel="enclosure" href="sound.mp3"/><link rel="alternate" href="e/1"/>
<published>2026-03-02T09:00:00Z</published><updated>2026-03-02T12:00:00Z</updated>
<author><name>Ann Poe</name></author><summary>Only the beginning …</summary>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>The bank <b>halted</b> it.</p>
<p>Shares fell.</p></div></content></entry></feed>"""


def parsed(text: str | bytes, content_type: str = "", most: int = 10_000) -> Parsed:
    return parse(text.encode() if isinstance(text, str) else text, content_type, URL, most)


def only(text: str | bytes, content_type: str = "") -> Item:
    (item,) = parsed(text, content_type).items
    return item


def one(inner: str) -> Item:
    return only(f"<rss version='2.0'><channel><item>{inner}</item></channel></rss>")


def refused(body: bytes) -> FeedError:
    with pytest.raises(FeedError) as caught:
        parse(body, "", URL)
    assert Fault.NOT_A_FEED == caught.value.fault
    return caught.value


@pytest.mark.parametrize("text", [RSS2, RSS1, RSS091, ATOM], ids=["2.0", "1.0", "0.91", "atom"])
def test_every_format_gives_the_same_item(text: str) -> None:
    feed, item = parsed(text), only(text)

    assert ("The Wire", None) == (feed.title, feed.warning)
    assert "Harlow & Sons halts withdrawals" == item.title
    assert item.text.startswith("The bank halted it.")
    assert item.url.startswith("https://wire.example/")


def test_the_whole_text_wins_over_the_summary_and_scripts_are_no_text() -> None:
    for text in (RSS2, ATOM):
        assert "The bank halted it.\nShares fell." == only(text).text


def test_what_a_feed_says_besides_is_kept() -> None:
    item = only(RSS2)
    assert ("a-1", AT, "", "Ann Poe", "en-GB") == (
        item.key,
        item.published,
        item.date_fault,
        item.author,
        item.lang,
    )
    assert "https://wire.example/news/harlow?utm_source=rss" == item.url


def test_links_are_resolved_against_the_base_and_the_date_is_that_of_publication() -> None:
    item = only(ATOM)
    assert ("https://wire.example/d/e/1", AT, "de") == (item.url, item.published, item.lang)


def test_without_a_guid_the_link_is_the_identity_but_for_what_tells_readers_apart() -> None:
    first = one("<title>t</title><link>https://wire.example/1?id=7&amp;utm_medium=a#x</link>")
    second = one("<title>u</title><link>https://wire.example/1?id=7&amp;utm_medium=b</link>")
    other = one("<title>t</title><link>https://wire.example/1?id=8</link>")
    assert first.key == second.key != other.key


def test_without_guid_and_link_the_text_is_the_identity() -> None:
    first, again = (one(f"<title>t</title><pubDate>{d}</pubDate>") for d in ("x", "y"))
    assert first.key == again.key != one("<title>u</title>").key


@pytest.mark.parametrize(
    ("written", "fault", "moment"),
    [
        ("Mon, 02 Mar 2026 09:00:00 GMT", "", AT),
        ("Mon, 02 Mar 2026 04:00:00 EST", "", AT),
        ("02 Mar 2026 09:00 +0000", "", AT),
        ("2026-03-02T10:00:00+01:00", "", AT),
        ("2026-03-02 09:00:00", "", AT),
        ("2026-03-02", "no time of day", datetime(2026, 3, 2, tzinfo=UTC)),
        ("Mon, 02 Mar 2026", "no time of day", datetime(2026, 3, 2, tzinfo=UTC)),
        ("yesterday noon", "unreadable", None),
        ("0", "unreadable", None),
        ("Mon, 99 Foo 2026 25:61:00 GMT", "unreadable", None),
        ("1969-12-31T23:00:00Z", "unreadable", None),
        ("  ", "missing", None),
    ],
)
def test_a_date_is_read_or_its_fault_is_named(
    written: str, fault: str, moment: datetime | None
) -> None:
    item = one(f"<title>t</title><pubDate>{written}</pubDate>")
    assert (fault, moment) == (item.date_fault, item.published)


def test_no_date_is_missing_and_not_now() -> None:
    item = one("<title>t</title>")
    assert ("missing", None) == (item.date_fault, item.published)


def test_repetitions_and_items_without_words_are_left_out() -> None:
    entries = [Entry("1", "a"), Entry("1", "b"), Entry("2", ""), Entry("3", "c")]
    assert ["a", "c"] == [item.title for item in parsed(rss(*entries)).items]


def test_no_more_items_than_asked_for_and_the_first_ones() -> None:
    entries = [Entry(str(n), f"t{n}") for n in range(5)]
    assert ["t0", "t1"] == [item.title for item in parsed(rss(*entries), most=2).items]


def test_a_long_feed_is_read_whole() -> None:
    body = rss(*(Entry(str(n), f"item {n}", AT, f"text {n}") for n in range(10_000)))
    assert 10_000 == len({item.key for item in parsed(body).items})


@pytest.mark.parametrize(
    ("encoding", "declared", "server"),
    [
        ("utf-8", "utf-8", ""),
        ("utf-8", "iso-8859-1", "text/xml; charset=iso-8859-1"),
        ("utf-8", "", "text/xml; charset=us-ascii"),
        ("cp1252", "iso-8859-1", ""),
        ("cp1252", "utf-8", "text/xml; charset=utf-8"),
        ("cp1252", "nonsense", "text/xml; charset=nonsense"),
        ("iso-8859-2", "iso-8859-2", ""),
        ("koi8-r", "", "application/xml; charset=koi8-r"),
        ("gb2312", "gb2312", ""),
        ("utf-16", "utf-16", ""),
        ("utf-8-sig", "utf-8", "text/xml; charset=iso-8859-1"),
    ],
)
def test_the_encoding_is_found_although_declaration_and_server_are_wrong(
    encoding: str, declared: str, server: str
) -> None:
    title = {"iso-8859-2": "Łódź", "koi8-r": "Банк", "gb2312": "银行"}.get(encoding, "Zürich – “é”")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = f"{head}<rss version='2.0'><channel><item><title>{title}</title></item></channel></rss>"

    assert title == only(text.encode(encoding), server).title


def test_a_broken_feed_gives_what_can_be_read_and_says_so() -> None:
    text = rss(Entry("1", "first"), Entry("2", "second")).replace(b"</channel></rss>", b"<item>&")
    found = parsed(text)
    assert ["first", "second"] == [item.title for item in found.items]
    assert found.warning is not None
    assert "malformed at line 1" in found.warning


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>Please accept our cookies", "web page"),
        (b'{"items": []}', "JSON"),
        (b"http://169.254.169.254/latest/", "neither RSS nor Atom"),
        (b"\x00\x01\x02" * 1000, "neither RSS nor Atom"),
        (b"<rss" + b"<" * MALFORMED_BYTES, "too large to be guessed at"),
        (b"<rss>" + b"<div>" * (DEPTH + 1) + b"</div>" * (DEPTH + 1) + b"</rss>", "deep"),
        (b"<opml><body></body></opml>", "neither"),
    ],
)
def test_what_is_no_feed_is_told_apart(body: bytes, said: str) -> None:
    assert said in str(refused(body))


def test_a_body_that_is_a_path_or_a_url_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "<rss"
    secret.write_bytes(rss(Entry("1", "secret")))
    monkeypatch.setattr(feedparser.http, "get", lambda *_: pytest.fail("it was fetched"))
    for body in (str(secret), f"http://127.0.0.1/{secret}", secret.as_uri() + "<rss"):
        with pytest.raises(FeedError):
            parse(body.encode(), "", URL)


def test_external_entities_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    text = (
        f'<!DOCTYPE rss [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
        "<rss version='2.0'><channel><item><title>a &x; b</title></item></channel></rss>"
    )
    assert "s3cret" not in only(text).title


def test_entities_that_grow_end_the_reading() -> None:
    grow = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    text = (
        f'<!DOCTYPE rss [<!ENTITY l0 "{"lol" * 10}">{grow}]>'
        "<rss version='2.0'><channel><item><title>&l11;</title></item></channel></rss>"
    )
    assert len(only(text).title) < 1000


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one<p>two", "one\ntwo"),
        ("a<br>b<br/><br>c", "a\nb\nc"),
        ("un<b>believ</b>able, A<em>b</em>c", "unbelievable, Abc"),
        ("<ul><li>x</li><li>y</li></ul>z", "x\ny\nz"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("a&nbsp;&amp;&#8217;&lt;b&gt;", "a &’<b>"),
        ("<style>p{}</style>x<script>y</script><!-- z --><iframe>w</iframe>", "x"),
        ("  many \n\n  spaces\t", "many spaces"),
        ("<img alt='a' src=x>", ""),
        ("", ""),
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
        ("soft­hyphen zero​width\x00\x9f", "softhyphen zerowidth"),
    ],
)
def test_html_becomes_what_a_reader_sees(markup: str, text: str) -> None:
    assert text == html_to_text(markup)


def test_absurd_html_is_cut_out_and_not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "LexborHTMLParser", lambda _: pytest.fail("it was understood"))
    assert "x" == html_to_text("<div>" * 50_000 + "x")


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_text_can_break_the_contract(text: str) -> None:
    for made in (html_to_text(text), plain_text(text)):
        assert not unclean(made)
        assert made == made.strip()


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_bytes_can_do_more_than_be_refused(tail: bytes) -> None:
    with suppress(FeedError):
        parse(b"<rss version='2.0'><channel><item><title>t" + tail, "", URL)
