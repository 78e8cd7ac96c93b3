"""Perturbations: changes to a text that a reader's verdict would survive.

Every kind is a pure function of a carrier and a random generator; it returns the text as it was
where it finds nothing to change.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from models.evaluation.carriers import Carrier
from models.evaluation.names import COUNTRIES, FIRST_NAMES, INVENTED, KNOWN, REAL, TICKERS
from models.evaluation.substitute import (
    implied_gender,
    mentions,
    with_company,
    with_countries,
    with_first_name,
)
from models.text import CASHTAG, URL

Kind = Callable[[Carrier, np.random.Generator], str]

WORDS_A_TYPO: Final = 8

_WORD: Final = re.compile(r"(?<![\w$@#/.&])[A-Za-z]{4,}(?![\w/])")
_NUMBER: Final = re.compile(
    r"(?<![\w./,:])(?<![A-Za-z]-)(?:\d{1,3}(?:,\d{3})++|\d++)(?:\.\d++)?+"
    r"(?!\w*[-/:]\d)(?!(?:st|nd|rd|th)\b)"
)
_YEAR: Final = re.compile(r"(?:19|20)\d\d$")
_MONTH: Final = (
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|January|February|March|April|June|"
    r"July|August|September|October|November|December)"
)
_AFTER_MONTH: Final = re.compile(rf"\b{_MONTH}\.? $")
_BEFORE_MONTH: Final = re.compile(rf" {_MONTH}\b")
_MARKS: Final = re.compile(r"[.,;:!?](?!\S)|[\"“”()\[\]]|--|[—–]")
_LINK: Final = "https://t.co/x7Kq2mZpVa"


def typos(carrier: Carrier, rng: np.random.Generator) -> str:
    """Swap, drop or double a letter in one word of eight, at least one; never a first letter."""
    protected = [match.span() for match in URL.finditer(carrier.text)]
    words = [
        match.span()
        for match in _WORD.finditer(carrier.text)
        if not any(start <= match.start() < end for start, end in protected)
    ]
    if not words:
        return carrier.text
    wanted = max(1, round(len(carrier.text.split()) / WORDS_A_TYPO))
    chosen = rng.permutation(len(words))[:wanted]
    text = carrier.text
    for start, end in sorted((words[i] for i in chosen), reverse=True):
        text = text[:start] + _mistyped(text[start:end], rng) + text[end:]
    return text


def lower_case(carrier: Carrier, _: np.random.Generator) -> str:
    """Write everything in small letters."""
    return carrier.text.lower()


def upper_case(carrier: Carrier, _: np.random.Generator) -> str:
    """Write everything in capitals, links aside."""
    return _outside_links(carrier.text, str.upper)


def cashtag_dropped(carrier: Carrier, _: np.random.Generator) -> str:
    """Remove every cashtag and the separator that it leaves behind; never the whole text."""
    if not CASHTAG.search(carrier.text):
        return carrier.text
    text = re.sub(r" {2,}", " ", CASHTAG.sub("", carrier.text))
    text = re.sub(r"^[\s,:;|\-–—]+|[\s,:;|\-–—]+$", "", re.sub(r"\(\s*\)", "", text))
    return text if re.search(r"[A-Za-z]{2}", URL.sub("", text)) else carrier.text


def cashtag_added(carrier: Carrier, rng: np.random.Generator) -> str:
    """Put an invented cashtag in front of a text that has none."""
    if CASHTAG.search(carrier.text):
        return carrier.text
    return f"${TICKERS[rng.integers(len(TICKERS))]} {carrier.text}"


def cashtag_replaced(carrier: Carrier, rng: np.random.Generator) -> str:
    """Put an invented cashtag in place of each, the same for the same."""
    found = list(dict.fromkeys(match.upper() for match in CASHTAG.findall(carrier.text)))
    order = rng.permutation(len(TICKERS))
    new = {old: f"${TICKERS[order[i % len(TICKERS)]]}" for i, old in enumerate(found)}
    return CASHTAG.sub(lambda match: new[match.group().upper()], carrier.text)


def numbers(carrier: Carrier, rng: np.random.Generator) -> str:
    """Multiply all figures of a text by one factor between 1.3 and 2.5.

    What was more stays more and what was equal stays equal, so no direction changes. Years, days
    of the month, links and figures inside words, ranges, dates and times stay.
    """
    factor = float(rng.uniform(1.3, 2.5))

    def changed(match: re.Match[str]) -> str:
        text, cell = match.string, match.group()
        before, after = text[: match.start()], text[match.end() :]
        if (
            _YEAR.match(cell)
            or _AFTER_MONTH.search(before[-12:])
            or _BEFORE_MONTH.match(after)
            or any(s <= match.start() < e for s, e in protected)
        ):
            return cell
        digits = len(cell.partition(".")[2])
        value = round(float(cell.replace(",", "")) * factor, digits)
        return f"{value:,.{digits}f}" if "," in cell else f"{value:.{digits}f}"

    protected = [match.span() for match in URL.finditer(carrier.text)]
    return _NUMBER.sub(changed, carrier.text)


def company_invented(carrier: Carrier, rng: np.random.Generator) -> str:
    """Put invented names in place of all companies; words that name their trade stay."""
    return _companies(carrier, rng, INVENTED, keep_trade=True)


def company_real(carrier: Carrier, rng: np.random.Generator) -> str:
    """Put the names of large listed companies in place of all companies."""
    return _companies(carrier, rng, REAL, keep_trade=False)


def country(carrier: Carrier, rng: np.random.Generator) -> str:
    """Put other countries and nationalities in place of all, the same for the same."""
    named = list(dict.fromkeys(mention.country for mention in mentions(carrier.text)))
    others = [i for i in rng.permutation(len(COUNTRIES)) if i not in named]
    new = {old: int(other) for old, other in zip(named, others, strict=False)}
    return with_countries(carrier.text, new)


def first_name(carrier: Carrier, rng: np.random.Generator) -> str:
    """Put other given names in place of all; where pronouns give the gender it is kept."""
    gender = implied_gender(carrier.text)
    known = [f.name for f in FIRST_NAMES if gender in (None, f.gender)]
    order = [known[i] for i in rng.permutation(len(known)) if known[i] not in carrier.persons]
    text = carrier.text
    for old, new in zip(carrier.persons, order, strict=False):
        text = with_first_name(text, old, new)
    return text


def link_added(carrier: Carrier, _: np.random.Generator) -> str:
    """Put a link at the end of a text that has none."""
    return carrier.text if URL.search(carrier.text) else f"{carrier.text} {_LINK}"


def link_removed(carrier: Carrier, _: np.random.Generator) -> str:
    """Remove every link; never the whole text."""
    text = re.sub(r" {2,}", " ", URL.sub("", carrier.text)).strip()
    return text or carrier.text


def punctuation(carrier: Carrier, _: np.random.Generator) -> str:
    """Remove stops, commas, quotes, brackets and dashes; those inside figures and words stay."""
    text = re.sub(r"\s{2,}", " ", _outside_links(carrier.text, lambda part: _MARKS.sub(" ", part)))
    return text.strip() or carrier.text


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "typos": typos,
        "lower case": lower_case,
        "upper case": upper_case,
        "cashtag dropped": cashtag_dropped,
        "cashtag added": cashtag_added,
        "cashtag replaced": cashtag_replaced,
        "numbers": numbers,
        "company, invented": company_invented,
        "company, real": company_real,
        "country": country,
        "first name": first_name,
        "link added": link_added,
        "link removed": link_removed,
        "punctuation": punctuation,
    }
)
"""All kinds by name, in the order of the report."""


def _mistyped(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word) - 1))
    way = int(rng.integers(3))
    if way == 0:
        swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        if swapped != word:
            return swapped
    if way == 1:
        return word[:place] + word[place + 1 :]
    return word[: place + 1] + word[place:]


def _companies(
    carrier: Carrier, rng: np.random.Generator, names: tuple[str, ...], *, keep_trade: bool
) -> str:
    free = [names[i] for i in rng.permutation(len(names)) if names[i] not in carrier.companies]
    text = carrier.text
    # Longest first: "Kestrel" must not eat the first word of "Kestrel Foods".
    for old, new in zip(sorted(carrier.companies, key=len, reverse=True), free, strict=False):
        # The further words of a known name ("Morgan Stanley") tell no trade.
        text = with_company(text, old, new, keep_trade=keep_trade and old not in KNOWN)
    return text


def _outside_links(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for match in URL.finditer(text):
        parts += [change(text[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*parts, change(text[end:])])
