"""Organisations that nobody listed, and the short forms that a text gives to names."""

from __future__ import annotations

import re
from typing import Final

from monitor.entity.gazetteer import SURE
from monitor.entity.names import NAME, company_key, name_key, normalised
from monitor.entity.reading import Link, Reading, Span
from monitor.entity.words import word_list

_SHORT_FORM: Final = re.compile(r"\s?\(\"?([A-Z][A-Za-z&]{1,7})\"?\)")
_NAME_BEFORE: Final = re.compile(r"(?:(?:[A-Z][\w'.&-]*|of|and|&|de|the)\s+){0,5}$")
_BASED: Final = re.compile("-(?:based|owned|backed|listed|led|run|born)$")
_NO_COMPANY: Final = word_list("no_company")
"""Before Group, Bank or Insurance: the name of no company."""
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
_SYMBOL: Final = re.compile(r"[A-Z]{2,5}")
_BY_SPAN: Final = 0.8
_NAME_FLOOR: Final = 0.95
"""Score of the model below which a name of no list gets no key: set on 425 labelled texts, where
precision with the model's own names rises from 0.80 to 0.97 and recall falls from 0.94 to 0.91."""
_BY_RULE: Final = 0.65


def definitions(reading: Reading) -> None:
    """Note the short forms that this text gives to names of its own."""
    for match in _DEFINED.finditer(reading.text):
        name, short = match.groups()
        words = [w for w in name.split() if w[0].isupper()][-len(short) :]
        if "".join(w[0] for w in words) == short:
            known = reading.gazetteer.meanings(short)
            full = {m.key for m in reading.gazetteer.meanings(" ".join(words))}
            full |= {m.key for m in reading.gazetteer.meanings(name.strip())}
            if known and not full & {m.key for m in known}:
                reading.redefined.add(short)


def organisations(reading: Reading) -> None:
    """Link what the model saw named, and what is written as the name of one."""
    # The longest first: a short form belongs to the full name, wherever that stands.
    for span in sorted(reading.spans, key=lambda s: s.start - s.end):
        if span.type == "organisation" and reading.free(span.start, span.end):
            confidence = round(_BY_SPAN * span.score, 2)
            if (known := _undecided(reading, span)) is not None:
                reading.add(known, span.start, span.end, confidence)
            elif not _is_user_name(reading, span):
                sure = span.score >= _NAME_FLOOR
                _add_name(reading, span.start, span.end, confidence, sure)
    for start, end in reading.cues:
        if reading.free(start, end):
            _named_by_cue(reading, start, end)


def _is_user_name(reading: Reading, span: Span) -> bool:
    """Whether it is an author's, written @name, or the sign alone."""
    return "@" in reading.text[max(0, span.start - 1) : span.start + 1]


def _undecided(reading: Reading, span: Span) -> str | None:
    """The key of a listed name in small letters that the model, too, sees here, and no longer."""
    for meaning, context, _ in reading.pending:
        if (context.start, context.end) == (span.start, span.end):
            return meaning.key if meaning.kind == SURE and not meaning.unless else None
    return None


def _named_by_cue(reading: Reading, start: int, end: int) -> None:
    """A name that ends with Bank, Group, Inc. and the like, in a sentence."""
    text = reading.text
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
    if _GOES_ON.match(text, end) or not reading.free(begin, end):
        return
    if reading.context(begin, end).written_out(share=1):
        _add_name(reading, begin, end, _BY_RULE)


def _add_name(reading: Reading, start: int, end: int, confidence: float, sure: bool = True) -> None:
    """Add a listed symbol, a part of a name that the text has, or, where that is ``sure``, a name
    of no list."""
    surface = reading.text[start:end]
    if len(surface) < 6 and _SYMBOL.fullmatch(surface):
        listed = company_key("US", surface)
        if listed in reading.keys or surface in reading.symbols:
            reading.add(listed, start, end, confidence)
            return
    normal = normalised(surface)
    if len(normal) < 2 or not any(c.isalpha() for c in normal):
        return
    # "Norvane" beside "Norvane Shipping" is the same organisation; "Vane" beside "Nor & Vane", too.
    key = name_key(normal)
    begin, last = key + " ", "& " + normal
    longer = [
        known
        for known in reading.keys
        if known.startswith(begin) or (known.endswith(last) and known.startswith(NAME))
    ]
    if longer or sure or key in reading.keys:
        reading.add(min(longer, default=key), start, end, confidence)


def short_forms(reading: Reading) -> None:
    """Link the short form that a text gives a name in brackets, wherever it stands."""
    forms: dict[str, Link] = {}
    for link in reading.found:
        if link.end and (match := _SHORT_FORM.match(reading.text, link.end)):
            forms.setdefault(match.group(1), link)
    for short, link in forms.items():
        for place in re.finditer(rf"\b{re.escape(short)}\b", reading.text):
            if reading.free(*place.span()):
                reading.add(link.key, *place.span(), min(link.confidence, 0.85))
