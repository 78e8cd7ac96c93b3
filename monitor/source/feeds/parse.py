"""From the bytes of a feed to its items: RSS 0.9 to 2.0, RDF, Atom, on feedparser.

feedparser opens what looks like a URL or a path when it is handed bytes, so it is handed a file.
Its own guess at the encoding believes the server first; here what decodes as UTF-8 is UTF-8, since
a wrong header is far more common than a text that is valid UTF-8 by chance.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit
from xml.parsers import expat

import feedparser

from monitor.source.contract import LANG, URL
from monitor.source.feeds.fetch import Fault, FeedError
from monitor.source.feeds.html import clean, html_to_text, plain_text

MALFORMED_BYTES = 512 << 10
"""A larger feed must be well-formed: guessing at broken XML takes some 10 µs a byte."""
DEPTH = 256
"""Elements within elements."""
_SNIFFED = 4096
_ROOT = re.compile(rb"<(?:\w+:)?(?:rss|feed|rdf)\b", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z][\w.-]*)")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z][\w.-]*)", re.IGNORECASE)
_ENTITY = re.compile(r"&#?\w+;")
_TRACKING = re.compile(r"utm_|at_|fbclid$|gclid$|mc_[ce]id$|ref$|cmpid$", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"\d\s*[:hT]\s*\d")
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Item(NamedTuple):
    """One entry of a feed, as its publisher wrote it; text without markup."""

    key: str
    """What makes it the same item on the next poll: its guid, or its link, or its text."""
    title: str
    text: str
    url: str
    author: str
    lang: str
    published: datetime | None
    """In UTC; a date without a zone is taken as UTC. None: there is none to rely on."""
    date_fault: str
    """Why there is none: ``missing``, ``no time of day`` or ``unreadable``; else empty."""

    @property
    def fingerprint(self) -> str:
        """A hash of what a reader reads: neither date nor address."""
        return hashlib.sha256(f"{self.title}\0{self.text}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A feed that was read."""

    title: str
    items: Sequence[Item]
    """As the feed has them, without those that have neither title nor text, and repetitions."""
    warning: str | None
    """The XML is malformed: there may be items that could not be read."""
    version: str


def parse(body: bytes, content_type: str, url: str, most: int = 10_000) -> Parsed:
    """The first ``most`` items of a feed that was found at ``url``. CPU only, 1 to 1.5 ms an item.

    Raises ``FeedError`` for what is no feed.
    """
    text = _decoded(body, content_type)
    data = _DECLARATION.sub("", text, count=1).encode("utf-8", "replace")
    if not _ROOT.search(data[:_SNIFFED]):
        raise FeedError(Fault.NOT_A_FEED, _what_it_is(data, url))
    warning = _malformed(data)
    if warning and len(data) > MALFORMED_BYTES:
        raise FeedError(Fault.NOT_A_FEED, f"{warning}, and it is too large to be guessed at")
    found: Any = feedparser.parse(
        io.BytesIO(data),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    feed, entries = found.get("feed", {}), found.get("entries", [])[:most]
    if not found.get("version") and not entries:
        raise FeedError(Fault.NOT_A_FEED, warning or _what_it_is(data, url))
    language = feed.get("language") or ""
    return Parsed(
        plain_text(feed.get("title") or ""),
        list(_distinct(_item(entry, url, language) for entry in entries)),
        warning,
        found.get("version") or "",
    )


def _distinct(items: Iterator[Item]) -> Iterator[Item]:
    seen: set[str] = set()
    for item in items:
        if (item.title or item.text) and item.key not in seen:
            seen.add(item.key)
            yield item


def _item(entry: Any, url: str, language: str) -> Item:
    title = _text(entry.get("title_detail") or {})
    text = _body(entry)
    base = (entry.get("title_detail") or entry.get("summary_detail") or {}).get("base") or ""
    link = _link(entry, urljoin(url, base))
    published, fault = _published(entry)
    detail = entry.get("summary_detail") or {}
    contents = entry.get("content") or [{}]
    lang = contents[0].get("language") or detail.get("language") or language
    identity = (entry.get("id") or "").strip() or _without_tracking(link) or f"{title}\0{text}"
    return Item(
        identity,
        title,
        text,
        link,
        plain_text(entry.get("author") or "")[:512],
        lang if re.fullmatch(LANG, lang) and len(lang) <= 35 else "",
        published,
        fault,
    )


def _body(entry: Any) -> str:
    """The whole text where the feed has it (``content:encoded``, Atom's ``content``), else the
    summary; of several contents the longest."""
    contents = [_text(c) for c in entry.get("content") or [] if _readable(c)]
    return max(contents, key=len, default="") or _text(entry.get("summary_detail") or {})


def _readable(content: Any) -> bool:
    kind = content.get("type") or ""
    return kind in _HTML or kind.startswith("text/") or not kind


def _text(detail: Any) -> str:
    value = detail.get("value") or ""
    # Titles are often escaped once too often, whatever type they claim.
    if detail.get("type") in _HTML or _ENTITY.search(value):
        return html_to_text(value)
    return plain_text(value)


def _link(entry: Any, base: str) -> str:
    link = clean(entry.get("link") or "").strip()
    if not link:
        links = entry.get("links") or []
        link = next((x.get("href") or "" for x in links if x.get("rel") == "alternate"), "")
    try:
        link = urljoin(base, link) if link else ""
    except ValueError:
        return ""
    link = re.sub(r"\s", "%20", link)
    return link if re.fullmatch(URL, link) and len(link) <= 4096 else ""


def _without_tracking(link: str) -> str:
    """The link without what tells readers apart: it may be another at every poll."""
    parts = urlsplit(link)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _TRACKING.match(name)]
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))


def _published(entry: Any) -> tuple[datetime | None, str]:
    """The date of publication; where there is none, of the last change (RSS 1.0's ``dc:date`` is
    that too)."""
    for name in ("published", "created", "updated"):
        written = dict.get(entry, name) or ""  # its own `get` takes one date for another
        if not written.strip():
            continue
        parsed: time.struct_time | None = dict.get(entry, f"{name}_parsed")
        if parsed is None:
            return None, "unreadable"
        try:
            moment = datetime(*parsed[:6], tzinfo=UTC)
        except (ValueError, TypeError):
            return None, "unreadable"
        if moment < _EPOCH:
            return None, "unreadable"
        return (moment, "") if _TIME_OF_DAY.search(written) else (moment, "no time of day")
    return None, "missing"


def _decoded(body: bytes, content_type: str) -> str:
    """The text: by its byte order mark, as UTF-8, as the XML declares, as the server says, or as
    Windows-1252, whichever fits first."""
    names = [name for bom, name in _BOMS if body.startswith(bom)][:1]
    names.append("utf-8")
    if declared := _DECLARED.match(body[:200]):
        names.append(declared[1].decode())
    if said := _CHARSET.search(content_type):
        names.append(said[1])
    for name in names:
        # What calls itself Latin-1 is Windows-1252 in practice (WHATWG Encoding, 4.2).
        known = "cp1252" if name.lower() in ("iso-8859-1", "latin-1", "latin1", "ascii") else name
        try:
            return body.decode(known)
        except (LookupError, ValueError):
            continue
    return body.decode("cp1252", "replace")


def _malformed(data: bytes) -> str | None:
    """What is wrong with the XML. Raises ``FeedError`` where elements are nested so deeply that
    feedparser would take minutes."""
    parser = expat.ParserCreate("utf-8")
    depth = 0

    def down(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH:
            raise FeedError(Fault.NOT_A_FEED, f"its elements are nested more than {DEPTH} deep")

    def up(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = down, up
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        what = expat.errors.messages.get(error.code, "an error")
        return f"its XML is malformed at line {error.lineno}: {what}"
    return None


def _what_it_is(data: bytes, url: str) -> str:
    start = data.lstrip()[:_SNIFFED].lower()
    if not start:
        return "the answer is empty"
    if b"<html" in start or b"<!doctype html" in start:
        return 'that is a web page, not a feed; look in its source for rel="alternate"'
    if start.startswith((b"{", b"[")):
        return "that is JSON, not RSS or Atom"
    return f"what {url.split('?')[0]} gives is neither RSS nor Atom"
