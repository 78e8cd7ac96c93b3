"""One text while it is being linked: its links so far, and which of its places are taken.

Symbols, mentions and organisations work on it in turn, in the order of `monitor.entity.link`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from monitor.entity.context import Context
from monitor.entity.gazetteer import (
    CASED,
    COMMON,
    ORGANISATION,
    PRODUCT,
    RARE,
    SURE,
    TICKER,
    WEAK,
    Gazetteer,
    Meaning,
    folded,
    spaced,
)

SPAN_FLOOR: Final = 0.5
"""Score below which a span of the model says nothing."""
CONFIDENCE: Final = {
    SURE: 0.97, CASED: 0.9, COMMON: 0.85, WEAK: 0.7, PRODUCT: 0.6, ORGANISATION: 0.9, TICKER: 0.9,
    RARE: 0.7,
}  # fmt: skip
LINKED: Final = 1
"""Mark of a character that is part of a link …"""
PASSED: Final = 2
"""… and of one that is part of what is no link."""


class Span(NamedTuple):
    """Something that the model has seen named, in characters of the normalised text."""

    start: int
    end: int
    type: Literal["person", "organisation", "location", "other"]
    score: float


class Link(NamedTuple):
    """One mention and what it means. ``start == end == 0``: the message itself names the symbol."""

    key: str
    """``company:…`` or ``name:…``."""
    name: str
    """How a person would call it."""
    start: int
    end: int
    surface: str
    confidence: float
    """0 to 1: an ordering of the rules that link, not a calibrated probability."""


_NO_SYMBOLS: Final[frozenset[str]] = frozenset()
_NEXT_WORD: Final = re.compile(r"\s?\w[\w'.-]*\b")


def _sure(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans that say something."""
    found = [s for s in spans if s.score >= SPAN_FLOOR and 0 <= s.start < s.end <= len(text)]
    return _whole(text, found) if "&" in text else found


def _whole(text: str, spans: list[Span]) -> list[Span]:
    """The spans, those that end with ``&`` drawn together with what follows: the model saw a name
    that goes on, and its next span, or else the next word, is the rest of it."""
    found: list[Span] = []
    reached = 0
    for place, span in enumerate(spans):
        if span.start < reached:
            continue
        if span.type == "organisation" and text[span.end - 1] == "&":
            following = spans[place + 1] if place + 1 < len(spans) else None
            if following and following.start - span.end in (0, 1):
                span = span._replace(end=following.end)
            elif more := _NEXT_WORD.match(text, span.end):
                span = span._replace(end=more.end())
        reached = span.end
        found.append(span)
    return found


class Reading:
    """A text, the links that were found in it, and what one search leaves for the next."""

    __slots__ = (
        "cues", "day", "found", "gazetteer", "keys", "low", "marks", "pending", "plain",
        "redefined", "spans", "symbols", "text",
    )  # fmt: skip

    def __init__(self, gazetteer: Gazetteer, text: str, spans: Sequence[Span], day: int) -> None:
        """``day``: the ordinal of the day on which it was published."""
        self.gazetteer, self.text, self.day = gazetteer, text, day
        self.spans = _sure(text, spans) if spans else []
        self.symbols = _NO_SYMBOLS
        """Those of the message that no list has."""
        self.found: list[Link] = []
        self.keys: set[str] = set()
        """Of what was found."""
        self.marks = bytearray(len(text))
        """For each character `LINKED`, `PASSED`, or neither."""
        self.plain = spaced(text)
        low = self.plain.lower()
        self.low = low if len(low) == len(text) else folded(text)
        self.cues: list[tuple[int, int]] = []
        """Places of the words that end names: Bank, Group, Inc."""
        self.redefined: set[str] = set()
        """Short forms that the text gives to names of its own."""
        self.pending: list[tuple[Meaning, Context, int]] = []
        """Names that need evidence, and the points that they have."""

    def free(self, start: int, end: int) -> bool:
        """Whether nothing is linked here, or passed over."""
        marks = self.marks
        return marks.find(LINKED, start, end) < 0 and marks.find(PASSED, start, end) < 0

    def is_organisation(self, start: int, end: int) -> bool:
        """Whether the model saw an organisation here that is called so and no longer."""
        return any(
            span.type == "organisation" and start - 1 <= span.start <= start and span.end == end
            for span in self.spans
        )

    def mark(self, start: int, end: int, mark: int) -> None:
        """Take a place."""
        self.marks[start:end] = bytes((mark,)) * (end - start)

    def context(self, start: int, end: int) -> Context:
        """The neighbourhood of a place."""
        return Context(self.text, self.plain, self.low, start, end)

    def add(self, key: str, start: int, end: int, confidence: float, surface: str = "") -> None:
        """Link a place."""
        self.mark(start, end, LINKED)
        self.keys.add(key)
        surface = surface or self.text[start:end]
        self.found.append(Link(key, self.gazetteer.name_of(key), start, end, surface, confidence))
