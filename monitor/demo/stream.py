"""The sample stream: three invented days of business life with two crises, from a seed.

Everything is drawn from `random.Random(seed)`; there is no clock, no network and no file outside
the package. Day 2 holds a run on a bank (afternoon), day 3 a product scandal (morning); both
repeat every three days. Documents are written first, with the time of their publication; then each
gets the moment at which the feed hands it on, and some get a flaw.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import cycle
from random import Random
from typing import Any, Final

from monitor.demo.corpus.cast import Source
from monitor.demo.corpus.damage import DAMAGES
from monitor.demo.corpus.newsroom import COPY, CRISIS_LENGTH, SCRIPTS, Document, Newsroom

TIMING_FLAWS: Final = ("late", "future", "out_of_order")
MALFORMED: Final = tuple(DAMAGES)
FLAWS: Final = (COPY, *TIMING_FLAWS, *MALFORMED)

_ORDINARY_SHARE: Final = 0.58  # of a day's quota, every day
_CRISIS_SHARE: Final = 0.63  # of a day's quota, on top; two crises in three days make it whole
_MALFORMED_SHARE: Final = 0.02
_LARGE_PER_MESSAGES: Final = 1500
_OFTEN_ABSENT: Final = (("id", 0.05), ("kind", 0.08), ("lang", 0.1))
_LATE, _FUTURE, _OUT_OF_ORDER = 0.025, 0.008, 0.045


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """One record as the feed publishes it at the simulated moment `at` (UTC).

    `tone` is what the writer meant (never published), None for malformed bytes; `flaw` is None,
    `copy`, one of `TIMING_FLAWS` or one of `MALFORMED`.
    """

    at: datetime
    topic: str
    key: bytes | None
    value: bytes
    tone: str | None
    flaw: str | None


@dataclass(frozen=True, slots=True)
class Crisis:
    """The hours in which a crisis fills the stream."""

    begin: datetime
    end: datetime


def crises(start: datetime, *, days: int = 3) -> tuple[Crisis, ...]:
    """The crises of a stream that starts at midnight `start`; they do not depend on its seed."""
    return tuple(
        Crisis(begin, begin + CRISIS_LENGTH)
        for day in range(days)
        for script in SCRIPTS
        if script.day == day % 3
        for begin in (start + timedelta(days=day) + script.begin,)
    )


def sample_stream(
    start: datetime, *, seed: int = 7, days: int = 3, per_day: int = 1000
) -> Iterator[SampleMessage]:
    """About `days * per_day` messages from midnight UTC `start`, in the order of `at`.

    The same arguments give the same bytes. All moments lie in the `days` days from `start`, so a
    stream with the next seed can follow at `start + days`. The quota holds over three days: a day
    without a crisis has fewer documents than one with.

    Raises:
        ValueError: `start` is naive, or `days` or `per_day` is below 1.
    """
    if start.tzinfo is None:
        raise ValueError(f"start {start} has no zone; give it one, e.g. tzinfo=datetime.UTC")
    if days < 1 or per_day < 1:
        raise ValueError(f"days and per_day must be at least 1, got {days} and {per_day}")
    start = start.astimezone(UTC)
    rng = Random(seed)
    newsroom = Newsroom(rng, start)
    documents: list[Document] = []
    for day in range(days):
        documents += newsroom.ordinary_day(day, round(per_day * _ORDINARY_SHARE))
        for script in SCRIPTS:
            if script.day == day % 3:
                documents += newsroom.crisis(script, day, round(per_day * _CRISIS_SHARE))
    messages = _handed_on(documents, start + timedelta(days=days), rng)
    yield from sorted(messages, key=lambda message: message.at)


def _handed_on(documents: list[Document], end: datetime, rng: Random) -> Iterator[SampleMessage]:
    broken = _damages(len(documents), rng)
    latest = end - timedelta(minutes=5)
    for number, document in enumerate(documents):
        published = min(document.published, latest)
        at = published + timedelta(milliseconds=min(20_000, int(rng.expovariate(1 / 4000))))
        damage = broken.get(number)
        flaw = damage or document.flaw or _timing_flaw(rng)
        if flaw == "out_of_order":
            at = published + timedelta(seconds=rng.randrange(20, 240))
        elif flaw == "late":
            delayed = published + timedelta(minutes=20 * 15 ** rng.random())
            if delayed < end:
                at = delayed
            else:
                flaw = None
        elif flaw == "future":
            published = at + timedelta(minutes=20 * 100 ** rng.random())
        message = _message(document, published, rng)
        yield SampleMessage(
            at=at,
            topic="comments" if document.title is None else "news",
            key=document.source.host.encode() if rng.random() < 0.8 else None,
            value=DAMAGES[damage](message, rng) if damage else _encoded(message, rng),
            tone=None if damage else document.tone,
            flaw=flaw,
        )


def _damages(count: int, rng: Random) -> dict[int, str]:
    """Which documents arrive broken, and how: each way in turn, large ones rarely."""
    large = max(1, count // _LARGE_PER_MESSAGES)
    ways = cycle(way for way in MALFORMED if way != "too_large")
    hit = rng.sample(range(count), max(1, round(count * _MALFORMED_SHARE)))
    return {at: "too_large" if i < large else next(ways) for i, at in enumerate(hit)}


def _timing_flaw(rng: Random) -> str | None:
    draw = rng.random()
    for flaw, share in (("late", _LATE), ("future", _FUTURE), ("out_of_order", _OUT_OF_ORDER)):
        if draw < share:
            return flaw
        draw -= share
    return None


def _message(document: Document, published: datetime, rng: Random) -> dict[str, Any]:
    """The fields of the message contract; optional ones are sometimes left out."""
    number = f"{rng.getrandbits(48):012x}"
    kind = "comment" if document.title is None else "news"
    section = "post" if document.title is None else "article"
    fields: dict[str, Any] = {
        "id": number,
        "kind": kind,
        "source": document.source.name,
        "published_at": _stamp(published, document.source, rng),
        "title": document.title,
        "text": document.text,
        "url": f"https://{document.source.host}/{section}/{number}",
        "author": document.author,
        "lang": "en",
        "tickers": list(document.tickers),
    }
    left_out = {name for name, value in fields.items() if value is None}
    left_out |= {
        name
        for name, share in (("id", 0.05), ("kind", 0.08), ("lang", 0.1))
        if rng.random() < share
    }
    return {name: value for name, value in fields.items() if name not in left_out}


def _stamp(moment: datetime, source: Source, rng: Random) -> str:
    """RFC 3339 with a zone, as different outlets write it."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    precision = "milliseconds" if rng.random() < 0.2 else "seconds"
    if source.offset_hours:
        zone = timezone(timedelta(hours=source.offset_hours))
        return moment.astimezone(zone).isoformat(timespec=precision)
    written = moment.isoformat(timespec=precision)
    return written if rng.random() < 0.1 else written.replace("+00:00", "Z")


def _encoded(message: dict[str, Any], rng: Random) -> bytes:
    return json.dumps(message, ensure_ascii=rng.random() < 0.2).encode()
