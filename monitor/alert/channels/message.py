"""A notice as a person reads it, before it has a format: what moved, since when, who says so."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import quote, urlsplit

from monitor.alert.base import Notice
from monitor.alert.payload import link_to, subjects_text
from monitor.alert.standing import not_sent
from monitor.events import Alert, AlertStatus, Evidence, Severity, Waterfall, told_rates
from monitor.keys import ALL, name_of

DOCUMENTS = 3
"""Documents shown of an alert."""
ENTRIES = 5
"""Alerts shown of a notification; the rest are counted."""
OPEN = "Open monitor"
"""Words of the link to the dashboard. They hold the keyword that some robots ask for."""

_TITLE, _NAME = 200, 80  # characters of a document's title, of anybody's name
_URL = 1000
# Marks that turn the direction of what follows, and letters that nobody sees.
_INVISIBLE = frozenset("\u061c\u200b\u200e\u200f\u2060\ufeff") | {
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_SAFE_IN_URL = "/:?&=#%+,;~@$!-._"


class State(StrEnum):
    """What the colour says."""

    CRITICAL = "critical"
    WARNING = "warning"
    RESOLVED = "resolved"
    QUIET = "quiet"
    """It is news of a digest: nobody was paged."""
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Document:
    """One document that an alert rests on."""

    title: str
    about: str
    """Source and time, and how many repeat it."""
    url: str | None
    """http or https, safe to put into any of the formats; None: there is no such."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert."""

    state: State
    headline: str
    """What moved, from what to what."""
    facts: tuple[tuple[str, str], ...]
    documents: tuple[Document, ...]
    link: str | None
    """To this alert on the dashboard."""


@dataclass(frozen=True, slots=True)
class Message:
    """One notification. Every text is one line without control characters; none is escaped."""

    state: State
    title: str
    entries: tuple[Entry, ...]
    left_out: int
    """Alerts of the group that are not shown."""
    link: str | None

    @property
    def rest(self) -> str | None:
        """What is said of the alerts that are not shown."""
        return f"… and {self.left_out} more" if self.left_out else None


def message_of(notice: Notice, entries: int = ENTRIES) -> Message:
    """The view of a notice: the worst alert first, at most ``entries`` of them."""
    ranked = sorted(notice.alerts, key=_rank)
    shown = tuple(_entry(alert, notice) for alert in ranked[:entries])
    first = shown[0]
    word = {
        State.CRITICAL: "Critical",
        State.WARNING: "Warning",
        State.RESOLVED: "Resolved",
        State.QUIET: "Not paged",
        State.TEST: "TEST, nothing has happened",
    }[first.state]
    others = f" (and {len(ranked) - 1} more)" if len(ranked) > 1 else ""
    return Message(
        state=first.state,
        title=f"{word}: {first.headline}{others}",
        entries=shown,
        left_out=len(ranked) - len(shown),
        link=first.link if len(ranked) == 1 else safe_url(notice.external_url),
    )


def fitting(notice: Notice, limit: int, build: Callable[[Message], bytes]) -> bytes:
    """The body with as many alerts as fit into ``limit`` bytes, at least one."""
    entries = ENTRIES
    while len(body := build(message_of(notice, entries))) > limit and entries > 1:
        entries -= 1
    return body


def headline(alert: Alert) -> str:
    """What moved, from what to what: "Energy: negative share 20 % → 60 %"; of a source what became
    of it."""
    name = cut(one_line(name_of(alert)), _NAME)
    if alert.detector == "drill":
        return cut(one_line(alert.summary), _TITLE)
    if alert.detector == "blind":
        if alert.status is AlertStatus.RESOLVED:
            return f"{name}: speaks again"
        word = "silent" if alert.key == ALL else "blind"
        return f"{name}: {word}, nothing heard since {when(alert.started_at)}"
    if alert.detector == "volume":
        (usual, value), span = told_rates(alert.baseline, alert.value)
        return f"{name}: {usual:.3g} → {value:.3g} voices {span}"
    return f"{name}: negative share {_percent(alert.baseline)} → {_percent(alert.value)}"


def one_line(text: str) -> str:
    """The text in one line, without control characters, direction marks and lone surrogates."""
    shown = (c for c in text if c not in _INVISIBLE and unicodedata.category(c) != "Cs")
    spaced = "".join(" " if unicodedata.category(c) == "Cc" else c for c in shown)
    return " ".join(spaced.split())


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters; what was cut off is an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def cut_lines(lines: list[str], limit: int, separator: str = "\n") -> str:
    """As many whole lines as fit into ``limit`` bytes of UTF-8; then a line "…"."""
    taken: list[str] = []
    room = limit - len(f"{separator}…".encode())
    for number, line in enumerate(lines):
        size = len(line.encode()) + len(separator.encode())
        last = number == len(lines) - 1
        if size > room and not (last and size <= room + len(f"{separator}…".encode())):
            taken.append("…")
            break
        taken.append(line)
        room -= size
    return separator.join(taken)


def safe_url(url: str | None) -> str | None:
    """A link that a document brings, if a person may be asked to follow it.

    http and https only, no user name (``https://bank.example@evil.example``); whatever ends a link
    in one of the formats is percent-encoded.
    """
    if not url or len(url) > _URL:
        return None
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or not parts.netloc.isascii():
        return None
    if "@" in parts.netloc or any(c in parts.netloc for c in "<>()[]|\"'` \\"):
        return None
    try:
        return quote(url.strip(), safe=_SAFE_IN_URL)
    except UnicodeEncodeError:  # a lone surrogate
        return None


def when(moment: datetime) -> str:
    """2026-05-04 12:00 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def lasted(duration: timedelta) -> str:
    """45 min, 2 h 15 min, 3 d 4 h."""
    minutes = max(0, round(duration.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _rank(alert: Alert) -> tuple[bool, bool, bool, float]:
    begun = alert.fired_at or alert.started_at
    return (
        alert.status is AlertStatus.RESOLVED,
        not alert.sent,
        alert.severity is not Severity.CRITICAL,
        -begun.timestamp(),
    )


def _entry(alert: Alert, notice: Notice) -> Entry:
    state = State(alert.severity.value)
    if alert.status is AlertStatus.RESOLVED:
        state = State.RESOLVED
    if not alert.sent:
        state = State.QUIET
    return Entry(
        state=State.TEST if notice.test else state,
        headline=headline(alert),
        facts=tuple(_facts(alert, notice.at)),
        documents=tuple(_document(item) for item in alert.evidence[:DOCUMENTS]),
        link=safe_url(link_to(alert, notice.external_url)),
    )


def _facts(alert: Alert, at: datetime) -> list[tuple[str, str]]:
    """Ten at most: Slack shows no more."""
    begun = alert.fired_at or alert.started_at
    facts = [("Since", when(begun))]
    if alert.status is AlertStatus.RESOLVED and alert.resolved_at is not None:
        ended = f"{when(alert.resolved_at)}, after {lasted(alert.resolved_at - begun)}"
        facts.append(("Resolved", ended))
    if reason := not_sent(alert):
        facts.append(("Not paged", cut(one_line(reason), _TITLE)))
    facts.append(("Severity", alert.severity.value))
    if alert.detector == "blind":
        return [*facts, ("What", cut(one_line(alert.summary), 2 * _TITLE))]
    if bounds := _bounds(alert):
        facts.append(("Bounds", bounds))
    facts.append(("Voices", f"{alert.documents}, {alert.negative} of them negative"))
    if alert.posts:
        posts = f"{alert.posts} in {alert.stories} stories"
        if alert.largest_story > 1:
            posts += f"; the most told one {alert.largest_story} times"
        facts.append(("Posts", posts))
    if terms := ", ".join(term.text for term in alert.about.terms):
        facts.append(("Terms", cut(one_line(terms), _TITLE)))
    of = (*alert.about.named, *alert.about.topics)
    if subjects := subjects_text(of):
        facts.append(("About", cut(one_line(subjects), 2 * _TITLE)))
    if alert.waterfall is not None:
        facts.append(("Latency", _latency(alert.waterfall, at)))
    return facts


def _bounds(alert: Alert) -> str:
    """Of what was seen, and what of the same was to be expected."""
    if alert.interval is None:
        return ""
    if alert.detector == "volume":
        (_, low, high), span = told_rates(alert.baseline, *alert.interval)
        return f"{low:.3g} to {high:.3g} voices {span}"
    low, high = alert.interval
    said = f"{_percent(low)} to {_percent(high)}, corrected for the model's errors"
    usual = alert.setting.corrected_baseline
    return said if usual is None else f"{said}; usual {_percent(usual)}"


def _latency(stops: Waterfall, at: datetime) -> str:
    """From stop to stop; its publication, which is event time, to the minute alone."""
    parts, before = [], stops.appended_at
    for name, then in (
        ("ingested", stops.ingested_at),
        ("scored", stops.scored_at),
        ("fired", stops.fired_at),
        ("this message", at),
    ):
        if then is not None:
            parts.append(f"{name} +{max((then - before).total_seconds(), 0.0):.1f} s")
            before = then
    return f"published {when(stops.published_at)}; from Kafka: {', '.join(parts)}"


def _document(item: Evidence) -> Document:
    about = f"{cut(one_line(item.source), _NAME)}, {when(item.published_at)}"
    if item.copies:
        about += f", {item.copies} more of this story"
    title = cut(one_line(item.title or item.excerpt), _TITLE) or "(without a title)"
    return Document(title, about, safe_url(item.url))


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
