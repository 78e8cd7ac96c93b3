"""Which companies and other organisations a text names, and where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from models.text import CASHTAG
from monitor.entity.context import MARKET, NOT_LOWER, TRADING, Context, well_cased
from monitor.entity.gazetteer import (
    CASED,
    COMMON,
    CUE,
    IDEOGRAM,
    IGNORE,
    ORGANISATION,
    PRODUCT,
    RARE,
    SURE,
    TICKER,
    WEAK,
    Gazetteer,
    Hit,
    Meaning,
    folded,
    hits_of,
    spaced,
)
from monitor.entity.names import COMPANY, company_key, name_key, normalised
from monitor.entity.words import word_list

SPAN_FLOOR: Final = 0.5
"""Score below which a span of the model says nothing."""
NEEDED: Final = {COMMON: 3, WEAK: 6}
"""Points of evidence that an everyday word needs."""
CONFIDENCE: Final = {
    SURE: 0.97, CASED: 0.9, COMMON: 0.85, WEAK: 0.7, PRODUCT: 0.6, ORGANISATION: 0.9, TICKER: 0.9,
    RARE: 0.7,
}  # fmt: skip
_BY_SYMBOL: Final = 0.99
_BY_SPAN: Final = 0.8
_BY_RULE: Final = 0.65

_EXCHANGES: Final = {
    exchange: country
    for country, exchanges in {
        "US": "NYSE NASDAQ NASDAQGS NASDAQGM NASDAQCM AMEX NYSEAMERICAN NYSEARCA OTC",
        "GB": "LSE LON", "CH": "SIX SWX", "DE": "XETRA FRA ETR", "FR": "EPA", "NL": "AMS",
        "ES": "BME", "IT": "BIT", "IN": "NSE BSE", "JP": "TYO TSE", "HK": "HKG HKEX SEHK",
        "CN": "SSE SHA SHE SZSE", "KR": "KRX", "AU": "ASX", "CA": "TSX", "SG": "SGX",
    }.items()
    for exchange in exchanges.split()
}  # fmt: skip
"""How exchanges are written before a symbol, and the country of the key."""
_SUFFIXES: Final = {
    "L": "GB", "S": "CH", "DE": "DE", "PA": "FR", "AS": "NL", "MC": "ES", "MI": "IT", "NS": "IN",
    "T": "JP", "HK": "HK", "SS": "CN", "SH": "CN", "SZ": "CN", "KS": "KR", "AX": "AU", "TO": "CA",
    "O": "US", "N": "US", "OQ": "US", "TW": "TW",
}  # fmt: skip
"""How exchanges are written behind a symbol."""
_LISTED: Final = re.compile(
    r"\b(NYSE American|NYSE Arca|[A-Za-z]{3,8})\s?:\s?([A-Z0-9&]{1,10}(?:[.\-][A-Z])?)\b"
    r"|\b([A-Z0-9&]{1,10})\.([A-Z]{1,2})\b"
    r"|\b(?:sh|sz|bj|SH|SZ|BJ)(\d{6})\b"
)
_UNLISTED: Final = re.compile(r"\$[A-Z]{2,5}")
_CODE: Final = re.compile(r"(?<!\d)([036849]\d{5})(?!\d)")
_SHORT_FORM: Final = re.compile(r"\s?\(\"?([A-Z][A-Za-z&]{1,7})\"?\)")
_NAME_BEFORE: Final = re.compile(r"(?:(?:[A-Z][\w'.&-]*|of|and|&|de|the)\s+){0,5}$")
_BASED: Final = re.compile("-(?:based|owned|backed|listed|led|run|born)$")
_NO_COMPANY: Final = word_list("no_company")
"""Before Group, Bank or Insurance: the name of no company."""
_LINKED, _PASSED = 1, 2
_JOINTS: Final = frozenset((" and ", ", ", " & ", " or ", "/", ", and "))
_DEFINED: Final = re.compile(
    r"((?:[A-Z][\w'-]*\s+|of\s+|and\s+|for\s+|the\s+|&\s+){2,8})\(([A-Z]{2,6})\)"
)
"""A name and its short form: Enforcement Conduct Board (ECB)."""
_BANK_OF: Final = re.compile(r"Bank of (?:the )?[A-Z]\w+(?: [A-Z]\w+){0,2}")
_MORE: Final = re.compile(
    r",?\s+(?:Inc|Corp|Corporation|Ltd|Limited|LLC|plc|PLC|Group|Holdings|Company|Co|AG|SA|NV)\b\.?"
)
_GOES_ON: Final = re.compile(r"\s+[A-Z]|[/@]")
_OPENERS: Final = word_list("openers")
"""Words that are not part of a name when they come first in it."""
_SHARE_WORDS: Final = TRADING | MARKET
_CHINESE_SUPPORT: Final = re.compile("股|公司|集团|涨|跌|板|财报|业绩|市值|证券|上市|募资")


_PLACE: Final = itemgetter(2, 3)
"""Of a link."""
_CHUNK: Final = 256
"""Texts that are searched together: what is in hand stays in the cache."""


def _leftmost_longest(hit: Hit) -> tuple[int, int]:
    return hit[1], -hit[2]


def _may_list(text: str) -> bool:
    """Whether something may stand here that `_LISTED` finds; much cheaper than it."""
    place = text.find(":")
    while place > 0:
        if text[place - 1].isupper() or text[place - 2].isupper():
            return True
        place = text.find(":", place + 1)
    place = text.find(".")
    while place > 0:
        if text[place + 1 : place + 2].isupper() and not text[place - 1].islower():
            return True
        place = text.find(".", place + 1)
    return "sh6" in text or "sz0" in text or "sz3" in text or "SH6" in text or "SZ0" in text


def _beside_trading(text: str, start: int, end: int) -> bool:
    """Whether the word before or behind is one of trading, as in "apple calls"."""
    after = text[end : end + 20].split(maxsplit=1)
    if after and after[0].strip(".,!?").lower() in TRADING:
        return True
    before = text[max(0, start - 20) : start].split()
    return bool(before) and before[-1].lower() in TRADING


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


class Linker:
    """Links texts to the gazetteer. Pure: the same arguments give the same links.

    ``products``: whether what a company sells (iPhone, YouTube) counts for the company.
    """

    def __init__(self, gazetteer: Gazetteer, *, products: bool = True) -> None:
        self.gazetteer = gazetteer
        self.products = products

    def link(
        self, text: str, spans: Sequence[Span], tickers: Sequence[str], at: datetime
    ) -> list[Link]:
        """The links of one text, by their place in it; they do not overlap.

        Args:
            text: what `models.text.normalise` returned.
            spans: what the model has seen named; may be empty.
            tickers: symbols that came with the message.
            at: when it was published; names and symbols mean what they meant then.
        """
        return self.link_all([text], [spans], [tickers], [at])[0]

    def link_all(
        self,
        texts: Sequence[str],
        spans: Sequence[Sequence[Span]],
        tickers: Sequence[Sequence[str]],
        at: Sequence[datetime],
    ) -> list[list[Link]]:
        """What `link` says of each text of a batch. A third of its time for texts that name nobody:
        they are searched together, and only those in which something was found are read."""
        found: list[list[Link]] = []
        for first in range(0, len(texts), _CHUNK):
            part = slice(first, first + _CHUNK)
            hits = hits_of(self.gazetteer, texts[part])
            for number, (text, named, symbols, moment) in enumerate(
                zip(texts[part], spans[part], tickers[part], at[part], strict=True)
            ):
                mine = hits.get(number)
                chinese = not text.isascii() and IDEOGRAM.search(text) is not None
                listing = chinese or _may_list(text)
                if mine or named or symbols or listing or "$" in text:
                    day = moment.toordinal()
                    reading = _Reading(self, text, named, symbols, day, mine or [])
                    found.append(reading.links(listing, chinese))
                else:
                    found.append([])
        return found

    def symbol(self, symbol: str, day: int, country: str = "US") -> Meaning | None:
        """What a symbol of an exchange of this country meant on a day."""
        if country != "US":
            key = f"{COMPANY}{country}:{symbol}"
            if country == "HK" and symbol.isdigit():
                key = f"{COMPANY}HK:{symbol.zfill(4)}"
            return Meaning(key, SURE, 1, day, symbol) if key in self.gazetteer.companies else None
        meanings = self.gazetteer.symbols.get(symbol.replace("-", "."), ())
        return next((m for m in meanings if m.since <= day <= m.until), None)

    def name_of(self, key: str) -> str:
        """How a person would call what a key means."""
        company = self.gazetteer.companies.get(key)
        if company is not None:
            return company.name
        return self.gazetteer.organisations.get(key, key.rpartition(":")[2])


class _Reading:
    """One text while it is being linked."""

    def __init__(
        self,
        linker: Linker,
        text: str,
        spans: Sequence[Span],
        tickers: Sequence[str],
        day: int,
        hits: list[Hit],
    ) -> None:
        self.linker, self.text, self.day, self.hits = linker, text, day, hits
        self.spans = [
            s for s in spans if s.score >= SPAN_FLOOR and 0 <= s.start < s.end <= len(text)
        ]
        self.found: list[Link] = []
        self.marks = bytearray(len(text))
        """For each character: part of a link, of what is no link, or of neither."""
        self.plain = spaced(text)
        low = self.plain.lower()
        self.low = low if len(low) == len(text) else folded(text)
        self.keys: set[str] = set()
        self.cues: list[tuple[int, int]] = []
        self.letters: list[tuple[int, int, Meaning]] = []
        self.unlisted: list[tuple[int, int]] = []
        self.tags = 0
        self.redefined: set[str] = set()
        self.pending: list[tuple[Meaning, Context, int]] = []
        for ticker in tickers:
            meaning = self._symbol_of_message(ticker)
            if meaning is not None and meaning.key not in self.keys:
                self._add(meaning.key, 0, 0, _BY_SYMBOL, ticker)

    def links(self, listing: bool, chinese: bool) -> list[Link]:
        """``listing``: a symbol may stand beside its exchange; ``chinese``: there are ideograms."""
        if "$" in self.text:
            self._cashtags()
        if listing:
            self._listed(chinese)
        if "(" in self.text:
            self._definitions()
        self._words()
        if chinese:
            self._ideograms()
        if self.pending:
            self._decide()
        if self.tags:
            self._decide_symbols()
        if self.spans or self.cues:
            self._organisations()
        if "(" in self.text and self.found:
            self._short_forms()
        if len(self.found) > 1:
            self.found.sort(key=_PLACE)
        return self.found

    # -- what is written as a symbol

    def _symbol_of_message(self, ticker: str) -> Meaning | None:
        plain = ticker.strip().lstrip("$").upper()
        if plain.isdigit() and len(plain) == 6:
            return self.linker.symbol(plain, self.day, "CN")
        head, colon, tail = plain.partition(":")
        if colon and head in _EXCHANGES:
            return self.linker.symbol(tail.strip(), self.day, _EXCHANGES[head])
        head, dot, tail = plain.rpartition(".")
        if (
            dot
            and tail in _SUFFIXES
            and (found := self.linker.symbol(head, self.day, _SUFFIXES[tail]))
        ):
            return found
        return self.linker.symbol(plain, self.day)

    def _cashtags(self) -> None:
        tags = [(m.start(), m.end(), m.group()) for m in CASHTAG.finditer(self.text)]
        for start, end, tag in tags:
            if self.text.startswith("..", end):
                continue  # the end of a text that was cut off: $C may be $CRM
            meaning = self.linker.symbol(tag[1:].upper(), self.day)
            if meaning is None and "." in tag:
                end = start + tag.index(".")
                meaning = self.linker.symbol(tag[1 : tag.index(".")].upper(), self.day)
            if end - start <= 2:
                if meaning is not None:
                    self.letters.append((start, end, meaning))
            elif meaning is not None:
                self._add(meaning.key, start, end, _BY_SYMBOL)
            elif _UNLISTED.fullmatch(tag) and tag[1:] not in self.linker.gazetteer.others:
                self.unlisted.append((start, end))
        self.tags = len(tags)

    def _decide_symbols(self) -> None:
        """Link the cashtags that need a context: single letters, and symbols of no list.

        $T is a share and no letter when it is a capital with nothing glued to it, and trading,
        another cashtag or the company's name stands nearby. $WXYZ, which no list has, is a company
        that was listed before or abroad, under the same conditions.
        """
        known = self.tags - len(self.letters) - len(self.unlisted)
        for start, end, meaning in self.letters:
            if self.text[start + 1].islower() or self.text[end : end + 1] in ("$", "'", "*"):
                continue
            others = known + len(self.unlisted)
            if others or meaning.key in self.keys or self._traded(start, end):
                self._add(meaning.key, start, end, CONFIDENCE[CASED])
        for start, end in self.unlisted:
            if known or len(self.unlisted) > 2 or self._traded(start, end):
                key = company_key("US", self.text[start + 1 : end])
                self._add(key, start, end, CONFIDENCE[PRODUCT])

    def _traded(self, start: int, end: int) -> bool:
        context = self._context(start, end)
        return not _SHARE_WORDS.isdisjoint((*context.before()[1], *context.after()[1]))

    def _listed(self, chinese: bool) -> None:
        for match in _LISTED.finditer(self.text):
            exchange, symbol, head, suffix, code = match.groups()
            meaning = None
            if exchange:
                country = _EXCHANGES.get(exchange.replace(" ", "").upper())
                meaning = self.linker.symbol(symbol, self.day, country) if country else None
                start, end = match.start(2), match.end(2)
                if meaning is not None:
                    self._mark(*match.span(1), _PASSED)
            elif suffix:
                country = _SUFFIXES.get(suffix)
                meaning = self.linker.symbol(head, self.day, country) if country else None
                if country == "US" and len(head) < 2:
                    meaning = None
                start, end = match.span()
            else:
                meaning = self.linker.symbol(code, self.day, "CN")
                start, end = match.span()
            if meaning is not None:
                self._add(meaning.key, start, end, _BY_SYMBOL)
        if chinese:
            for match in _CODE.finditer(self.text):
                meaning = self.linker.symbol(match.group(1), self.day, "CN")
                if meaning is not None and self._free(*match.span()):
                    self._add(meaning.key, *match.span(), _BY_SYMBOL)

    # -- names

    def _words(self) -> None:
        hits = self.hits
        if len(hits) > 1:
            hits.sort(key=_leftmost_longest)
        meanings = self.linker.gazetteer.word_meanings
        reached = 0
        for index, start, end in hits:
            if start < reached:
                continue
            meaning = self._valid(meanings[index])
            if meaning is None:
                continue
            if meaning.kind == CUE:
                if self.text[start].isupper():
                    self.cues.append((start, end))
            elif self._consider(meaning, start, end):
                reached = end

    def _definitions(self) -> None:
        """Note the short forms that this text gives to names of its own."""
        for match in _DEFINED.finditer(self.text):
            name, short = match.groups()
            words = [w for w in name.split() if w[0].isupper()][-len(short) :]
            if "".join(w[0] for w in words) == short:
                known = self.linker.gazetteer.meanings(short)
                full = {m.key for m in self.linker.gazetteer.meanings(" ".join(words))}
                full |= {m.key for m in self.linker.gazetteer.meanings(name.strip())}
                if known and not full & {m.key for m in known}:
                    self.redefined.add(short)

    def _valid(self, meanings: tuple[Meaning, ...]) -> Meaning | None:
        day = self.day
        for meaning in meanings:
            if meaning.since <= day <= meaning.until:
                return meaning
        return None

    def _consider(self, meaning: Meaning, start: int, end: int) -> bool:
        """Link a match, keep it for `_decide`, or pass it over; True: shorter ones inside are not
        looked at."""
        kind, text = meaning.kind, self.text
        if kind == IGNORE:
            self._mark(start, end, _PASSED)
            return True
        surface = text[start:end]
        if surface in self.redefined:
            return False
        if kind in (TICKER, RARE):
            if not surface.isupper() or not self._free(start, end) or text[end : end + 1] == "$":
                return False
            context = self._context(start, end)
            known = kind == TICKER and end - start > 3
            if context.shouted() or not (known or context.trades()):
                return False
            self._add(meaning.key, start, end, CONFIDENCE[kind])
            return True
        if meaning.written[-1] == "+":
            if text[end : end + 1] != "+":
                return False
            end += 1
            surface = text[start:end]
        if kind == PRODUCT and not self.linker.products:
            return False
        if not self._free(start, end):
            return False
        if start and text[start - 1] in "@#/." and kind != SURE:
            return False
        if kind in NEEDED:
            if kind == WEAK and meaning.written.isupper() and not surface.isupper():
                return False
            if surface[0].islower() and not _beside_trading(text, start, end):
                return False
            self._keep(meaning, start, end)
            return True
        if not well_cased(meaning.written, surface):
            lower = kind == SURE and end - start > 4 and surface.islower()
            if not lower or surface in NOT_LOWER or meaning.written.isupper():
                return False
            if " " in surface or meaning.unless:
                self._keep(meaning, start, end)
                return True
        context = self._context(start, end)
        acronym = surface.isupper() and not meaning.written.isupper() and len(surface) < 5
        if acronym and not context.shouted():
            return False
        if kind != ORGANISATION and context.is_someone():
            return False
        if kind == SURE and meaning.unless and context.contradicts(meaning.unless):
            self._keep(meaning, start, end)
            return True
        if kind == CASED and " " not in surface and self._is_longer(meaning, context):
            return False
        if self.spans and self._contradicted(start, end, firm=kind in (SURE, ORGANISATION)):
            return False
        self._add(meaning.key, start, end, CONFIDENCE[kind])
        return True

    def _is_longer(self, meaning: Meaning, context: Context) -> bool:
        """Whether a little-known company's one word is part of a name that is not its own."""
        if context.is_part():
            return True
        company = self.linker.gazetteer.companies[meaning.key]
        return context.goes_on() and context.following() not in company.legal

    def _keep(self, meaning: Meaning, start: int, end: int) -> None:
        context = self._context(start, end)
        points = context.points(meaning.unless) + self._span_points(start, end)
        self.pending.append((meaning, context, points))

    def _span_points(self, start: int, end: int) -> int:
        """What the model's spans say about an everyday word."""
        total = 0
        for span in self.spans:
            if span.start < end and start < span.end:
                longer = span.end - span.start > end - start + 2
                if span.type == "organisation":
                    total += -3 if longer else 3
                else:
                    total -= 4
        return total

    def _contradicted(self, start: int, end: int, *, firm: bool) -> bool:
        """Whether the model saw a longer name here, of somebody or something else."""
        for span in self.spans:
            if span.start < end and start < span.end and span.end - span.start > end - start + 2:
                if span.type in ("person", "location"):
                    return True
                if span.type == "organisation" and not (firm and span.start == start):
                    return normalised(self.text[span.start : span.end]) != normalised(
                        self.text[start:end]
                    )
        return False

    def _decide(self) -> None:
        """Link what has enough evidence; then what has more since its company was named."""
        waiting = self.pending
        for anchor in (4, 3):
            left = []
            for meaning, context, points in waiting:
                start, end = context.start, context.end
                needed = NEEDED.get(meaning.kind, NEEDED[COMMON])
                total = (
                    points + (anchor if meaning.key in self.keys else 0) + self._company(start, end)
                )
                if total >= needed and self._free(start, end):
                    sure = min(0.95, CONFIDENCE.get(meaning.kind, 0.85) + 0.02 * (total - needed))
                    self._add(meaning.key, start, end, sure)
                else:
                    left.append((meaning, context, points))
            waiting = left

    def _company(self, start: int, end: int) -> int:
        """Points for a company in the same breath: "Apple, Google and Meta"."""
        marks, text = self.marks, self.text
        left = marks.rfind(_LINKED, max(0, start - 24), start)
        right = marks.find(_LINKED, end, end + 24)
        if left < 0 and right < 0:
            return 0
        joined = text[left + 1 : start] in _JOINTS or text[end:right] in _JOINTS
        return 2 if joined else 1

    def _ideograms(self) -> None:
        automaton = self.linker.gazetteer.ideograms
        if automaton is None:
            return
        hits = automaton.find_matches_as_indexes(self.text, overlapping=True)
        hits.sort(key=_leftmost_longest)
        meanings = self.linker.gazetteer.ideogram_meanings
        reached = 0
        for index, start, end in hits:
            meaning = self._valid(meanings[index])
            if meaning is None or start < reached:
                continue
            reached = end
            if meaning.kind == IGNORE or not self._free(start, end):
                continue
            if meaning.kind in NEEDED:
                near = self.text[max(0, start - 12) : start] + self.text[end : end + 12]
                if not _CHINESE_SUPPORT.search(near) and meaning.key not in self.keys:
                    continue
            self._add(meaning.key, start, end, CONFIDENCE[meaning.kind])

    # -- organisations that nobody listed

    def _organisations(self) -> None:
        for span in self.spans:
            if span.type == "organisation" and self._free(span.start, span.end):
                self._add_name(span.start, span.end, round(_BY_SPAN * span.score, 2))
        for start, end in self.cues:
            if self._free(start, end):
                self._named_by_cue(start, end)

    def _named_by_cue(self, start: int, end: int) -> None:
        """A name that ends with Bank, Group, Inc. and the like, in a sentence."""
        text = self.text
        lead = _NAME_BEFORE.search(text, max(0, start - 64), start)
        begin = lead.start() if lead else start
        words = text[begin:start].split()
        while words and (
            words[0].lower() in _OPENERS
            or words[0] in ("and", "&")
            or _BASED.search(words[0])
            or (words[1:2] == ["of"] and words[0] != "Bank")  # Depositors of Halden Bank
            or "The" in words  # the end of a title before it
        ):
            begin = text.index(words[0], begin) + len(words[0]) + 1
            words = words[1:]
        if tail := _BANK_OF.match(text, start):
            end = tail.end()
        elif not words or words[-1].lower() in _NO_COMPANY:
            return
        while more := _MORE.match(text, end):
            end = more.end()
        if _GOES_ON.match(text, end) or not self._free(begin, end):
            return
        if self._context(begin, end).written_out(share=1):
            self._add_name(begin, end, _BY_RULE)

    def _add_name(self, start: int, end: int, confidence: float) -> None:
        normal = normalised(self.text[start:end])
        if len(normal) < 2 or not any(c.isalpha() for c in normal):
            return
        # "Norvane" after "Norvane Shipping" is the same organisation.
        key = name_key(normal)
        longer = [known for known in self.keys if known.startswith(key + " ")]
        self._add(min(longer, default=key), start, end, confidence)

    def _short_forms(self) -> None:
        """Link the short form that a text gives a name in brackets, wherever it stands."""
        forms: dict[str, Link] = {}
        for link in self.found:
            if link.end and (match := _SHORT_FORM.match(self.text, link.end)):
                forms.setdefault(match.group(1), link)
        for short, link in forms.items():
            for place in re.finditer(rf"\b{re.escape(short)}\b", self.text):
                if self._free(*place.span()):
                    self._add(link.key, *place.span(), min(link.confidence, 0.85))

    # -- books

    def _free(self, start: int, end: int) -> bool:
        marks = self.marks
        return marks.find(_LINKED, start, end) < 0 and marks.find(_PASSED, start, end) < 0

    def _mark(self, start: int, end: int, mark: int) -> None:
        self.marks[start:end] = bytes((mark,)) * (end - start)

    def _context(self, start: int, end: int) -> Context:
        return Context(self.text, self.plain, self.low, start, end)

    def _add(self, key: str, start: int, end: int, confidence: float, surface: str = "") -> None:
        self._mark(start, end, _LINKED)
        self.keys.add(key)
        name = self.linker.name_of(key)
        surface = surface or self.text[start:end]
        self.found.append(Link(key, name, start, end, surface, confidence))
