"""Names of the gazetteer: which of its matches in a text mean what it lists."""

from __future__ import annotations

import re
from typing import Final

from monitor.entity.context import NOT_LOWER, TRADING, Context, well_cased
from monitor.entity.gazetteer import (
    CASED,
    COMMON,
    CUE,
    IGNORE,
    ORGANISATION,
    PRODUCT,
    RARE,
    SURE,
    TICKER,
    WEAK,
    Hit,
    Meaning,
)
from monitor.entity.names import normalised
from monitor.entity.reading import CONFIDENCE, LINKED, PASSED, Reading

NEEDED: Final = {COMMON: 3, WEAK: 6}
"""Points of evidence that an everyday word needs."""
_JOINTS: Final = frozenset((" and ", ", ", " & ", " or ", "/", ", and "))
_CHINESE_SUPPORT: Final = re.compile("股|公司|集团|涨|跌|板|财报|业绩|市值|证券|上市|募资")


def words(reading: Reading, hits: list[Hit], products: bool) -> None:
    """Link what the gazetteer found, the leftmost and longest first, or keep it for `decide`."""
    if len(hits) > 1:
        hits.sort(key=_leftmost_longest)
    meanings, day = reading.gazetteer.word_meanings, reading.day
    reached = 0
    for index, start, end in hits:
        if start < reached:
            continue
        meaning = _valid(meanings[index], day)
        if meaning is None:
            continue
        if meaning.kind == CUE:
            if reading.text[start].isupper():
                reading.cues.append((start, end))
        elif _consider(reading, meaning, start, end, products):
            reached = end


def _valid(meanings: tuple[Meaning, ...], day: int) -> Meaning | None:
    for meaning in meanings:
        if meaning.since <= day <= meaning.until:
            return meaning
    return None


def _consider(reading: Reading, meaning: Meaning, start: int, end: int, products: bool) -> bool:
    """Link a match, keep it for `decide`, or pass it over; True: shorter ones inside are not
    looked at."""
    kind, text = meaning.kind, reading.text
    if kind == IGNORE:
        reading.mark(start, end, PASSED)
        return True
    surface = text[start:end]
    if surface in reading.redefined:
        return False
    if kind in (TICKER, RARE):
        if not surface.isupper() or not reading.free(start, end) or text[end : end + 1] == "$":
            return False
        context = reading.context(start, end)
        known = kind == TICKER and end - start > 3
        if context.shouted() or not (known or context.trades()):
            return False
        reading.add(meaning.key, start, end, CONFIDENCE[kind])
        return True
    if meaning.written[-1] == "+":
        if text[end : end + 1] != "+":
            return False
        end += 1
        surface = text[start:end]
    if kind == PRODUCT and not products:
        return False
    if not reading.free(start, end):
        return False
    if start and text[start - 1] in "@#/." and kind != SURE:
        return False
    if kind in NEEDED:
        if kind == WEAK and meaning.written.isupper() and not surface.isupper():
            return False
        if surface[0].islower() and not _beside_trading(text, start, end):
            return False
        _keep(reading, meaning, start, end)
        return True
    if not well_cased(meaning.written, surface):
        lower = kind == SURE and end - start > 4 and surface.islower()
        if not lower or surface in NOT_LOWER or meaning.written.isupper():
            return False
        if " " in surface or meaning.unless:
            _keep(reading, meaning, start, end)
            return True
    context = reading.context(start, end)
    acronym = surface.isupper() and not meaning.written.isupper() and len(surface) < 5
    if acronym and not context.shouted():
        return False
    if kind != ORGANISATION and context.is_someone():
        return False
    if kind == SURE and meaning.unless and context.contradicts(meaning.unless):
        _keep(reading, meaning, start, end)
        return True
    if kind == CASED and " " not in surface and _is_longer(reading, meaning, context):
        return False
    if reading.spans and _contradicted(reading, start, end, firm=kind in (SURE, ORGANISATION)):
        return False
    reading.add(meaning.key, start, end, CONFIDENCE[kind])
    return True


def _is_longer(reading: Reading, meaning: Meaning, context: Context) -> bool:
    """Whether a little-known company's one word is part of a name that is not its own."""
    if context.is_part():
        return True
    company = reading.gazetteer.companies[meaning.key]
    return context.goes_on() and context.following() not in company.legal


def _keep(reading: Reading, meaning: Meaning, start: int, end: int) -> None:
    context = reading.context(start, end)
    points = context.points(meaning.unless) + _span_points(reading, start, end)
    reading.pending.append((meaning, context, points))


def _span_points(reading: Reading, start: int, end: int) -> int:
    """What the model's spans say about an everyday word."""
    total = 0
    for span in reading.spans:
        if span.start < end and start < span.end:
            longer = span.end - span.start > end - start + 2
            if span.type == "organisation":
                total += -3 if longer else 3
            else:
                total -= 4
    return total


def _contradicted(reading: Reading, start: int, end: int, *, firm: bool) -> bool:
    """Whether the model saw a longer name here, of somebody or something else."""
    for span in reading.spans:
        if span.start < end and start < span.end and span.end - span.start > end - start + 2:
            if span.type in ("person", "location"):
                return True
            if span.type == "organisation" and not (firm and span.start == start):
                return normalised(reading.text[span.start : span.end]) != normalised(
                    reading.text[start:end]
                )
    return False


def decide(reading: Reading) -> None:
    """Link what has enough evidence; then what has more since its company was named."""
    waiting = reading.pending
    for anchor in (4, 3):
        left = []
        for meaning, context, points in waiting:
            start, end = context.start, context.end
            needed = NEEDED.get(meaning.kind, NEEDED[COMMON])
            total = (
                points
                + (anchor if meaning.key in reading.keys else 0)
                + _company(reading, start, end)
            )
            if total >= needed and reading.free(start, end):
                sure = min(0.95, CONFIDENCE.get(meaning.kind, 0.85) + 0.02 * (total - needed))
                reading.add(meaning.key, start, end, sure)
            else:
                left.append((meaning, context, points))
        waiting = left


def _company(reading: Reading, start: int, end: int) -> int:
    """Points for a company in the same breath: "Apple, Google and Meta"."""
    marks, text = reading.marks, reading.text
    left = marks.rfind(LINKED, max(0, start - 24), start)
    right = marks.find(LINKED, end, end + 24)
    if left < 0 and right < 0:
        return 0
    joined = text[left + 1 : start] in _JOINTS or text[end:right] in _JOINTS
    return 2 if joined else 1


def ideograms(reading: Reading) -> None:
    """Link the Chinese names."""
    automaton = reading.gazetteer.ideograms
    if automaton is None:
        return
    hits = automaton.find_matches_as_indexes(reading.text, overlapping=True)
    hits.sort(key=_leftmost_longest)
    meanings, day = reading.gazetteer.ideogram_meanings, reading.day
    reached = 0
    for index, start, end in hits:
        meaning = _valid(meanings[index], day)
        if meaning is None or start < reached:
            continue
        reached = end
        if meaning.kind == IGNORE or not reading.free(start, end):
            continue
        if meaning.kind in NEEDED:
            near = reading.text[max(0, start - 12) : start] + reading.text[end : end + 12]
            if not _CHINESE_SUPPORT.search(near) and meaning.key not in reading.keys:
                continue
        reading.add(meaning.key, start, end, CONFIDENCE[meaning.kind])


def _leftmost_longest(hit: Hit) -> tuple[int, int]:
    return hit[1], -hit[2]


def _beside_trading(text: str, start: int, end: int) -> bool:
    """Whether the word before or behind is one of trading, as in "apple calls"."""
    after = text[end : end + 20].split(maxsplit=1)
    if after and after[0].strip(".,!?").lower() in TRADING:
        return True
    before = text[max(0, start - 20) : start].split()
    return bool(before) and before[-1].lower() in TRADING
