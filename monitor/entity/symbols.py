"""What is written as a symbol: cashtags, symbols beside their exchange, those of a message."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from models.text import CASHTAG
from monitor.entity.context import MARKET, TRADING
from monitor.entity.gazetteer import CASED, PRODUCT, SURE, Gazetteer, Meaning
from monitor.entity.names import COMPANY, company_key
from monitor.entity.reading import CONFIDENCE, PASSED, Reading

BY_SYMBOL: Final = 0.99
"""Confidence of a link by a symbol."""
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
_SHARE_WORDS: Final = TRADING | MARKET


class Cashtags(NamedTuple):
    """The cashtags of a text."""

    known: int
    """How many need no context …"""
    letters: list[tuple[int, int, Meaning]]
    """… and those that do: single letters …"""
    unlisted: list[tuple[int, int]]
    """… and symbols of no list."""


def symbol_of(gazetteer: Gazetteer, symbol: str, day: int, country: str = "US") -> Meaning | None:
    """What a symbol of an exchange of this country meant on a day."""
    if country != "US":
        key = f"{COMPANY}{country}:{symbol}"
        if country == "HK" and symbol.isdigit():
            key = f"{COMPANY}HK:{symbol.zfill(4)}"
        return Meaning(key, SURE, 1, day, symbol) if key in gazetteer.companies else None
    meanings = gazetteer.symbols.get(symbol.replace("-", "."), ())
    return next((m for m in meanings if m.since <= day <= m.until), None)


def of_message(gazetteer: Gazetteer, ticker: str, day: int) -> Meaning | None:
    """What a symbol means that came with the message: AAPL, NASDAQ:AAPL, ROG.S, 600519."""
    plain = ticker.strip().lstrip("$").upper()
    if plain.isdigit() and len(plain) == 6:
        return symbol_of(gazetteer, plain, day, "CN")
    head, colon, tail = plain.partition(":")
    if colon and head in _EXCHANGES:
        return symbol_of(gazetteer, tail.strip(), day, _EXCHANGES[head])
    head, dot, tail = plain.rpartition(".")
    if dot and tail in _SUFFIXES and (found := symbol_of(gazetteer, head, day, _SUFFIXES[tail])):
        return found
    return symbol_of(gazetteer, plain, day)


def may_list(text: str) -> bool:
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


def cashtags(reading: Reading) -> Cashtags:
    """Link those that say enough; which are left for `decide_cashtags`."""
    gazetteer, text, day = reading.gazetteer, reading.text, reading.day
    letters: list[tuple[int, int, Meaning]] = []
    unlisted: list[tuple[int, int]] = []
    tags = [(m.start(), m.end(), m.group()) for m in CASHTAG.finditer(text)]
    for start, end, tag in tags:
        if text.startswith("..", end):
            continue  # the end of a text that was cut off: $C may be $CRM
        meaning = symbol_of(gazetteer, tag[1:].upper(), day)
        if meaning is None and "." in tag:
            end = start + tag.index(".")
            meaning = symbol_of(gazetteer, tag[1 : tag.index(".")].upper(), day)
        if end - start <= 2:
            if meaning is not None:
                letters.append((start, end, meaning))
        elif meaning is not None:
            reading.add(meaning.key, start, end, BY_SYMBOL)
        elif _UNLISTED.fullmatch(tag) and tag[1:] not in gazetteer.others:
            unlisted.append((start, end))
    return Cashtags(len(tags) - len(letters) - len(unlisted), letters, unlisted)


def decide_cashtags(reading: Reading, tags: Cashtags) -> None:
    """Link the cashtags that need a context: single letters, and symbols of no list.

    $T is a share and no letter when it is a capital with nothing glued to it, and trading,
    another cashtag or the company's name stands nearby. $WXYZ, which no list has, is a company
    that was listed before or abroad, under the same conditions, or where the model or the message
    says so.
    """
    known, letters, unlisted = tags
    for start, end, meaning in letters:
        if reading.text[start + 1].islower() or reading.text[end : end + 1] in ("$", "'", "*"):
            continue
        others = known + len(unlisted)
        if others or meaning.key in reading.keys or _traded(reading, start, end):
            reading.add(meaning.key, start, end, CONFIDENCE[CASED])
    for start, end in unlisted:
        symbol = reading.text[start + 1 : end]
        named = symbol in reading.symbols or reading.is_organisation(start + 1, end)
        if named or known or len(unlisted) > 2 or _traded(reading, start, end):
            reading.add(company_key("US", symbol), start, end, CONFIDENCE[PRODUCT])


def _traded(reading: Reading, start: int, end: int) -> bool:
    context = reading.context(start, end)
    return not _SHARE_WORDS.isdisjoint((*context.before()[1], *context.after()[1]))


def listed(reading: Reading, chinese: bool) -> None:
    """Link symbols beside their exchange, and Chinese codes where there are ideograms."""
    gazetteer, day = reading.gazetteer, reading.day
    for match in _LISTED.finditer(reading.text):
        exchange, symbol, head, suffix, code = match.groups()
        meaning = None
        if exchange:
            country = _EXCHANGES.get(exchange.replace(" ", "").upper())
            meaning = symbol_of(gazetteer, symbol, day, country) if country else None
            start, end = match.start(2), match.end(2)
            if meaning is not None:
                reading.mark(*match.span(1), PASSED)
        elif suffix:
            country = _SUFFIXES.get(suffix)
            meaning = symbol_of(gazetteer, head, day, country) if country else None
            if country == "US" and len(head) < 2:
                meaning = None
            start, end = match.span()
        else:
            meaning = symbol_of(gazetteer, code, day, "CN")
            start, end = match.span()
        if meaning is not None:
            reading.add(meaning.key, start, end, BY_SYMBOL)
    if chinese:
        for match in _CODE.finditer(reading.text):
            meaning = symbol_of(gazetteer, match.group(1), day, "CN")
            if meaning is not None and reading.free(*match.span()):
                reading.add(meaning.key, *match.span(), BY_SYMBOL)
