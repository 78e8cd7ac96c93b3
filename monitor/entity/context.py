"""Whether a name means the company where it stands: Apple or the fruit, Target or a target.

Evidence is counted in points; `linked` says how many a name needs. The weights were set on
hand-labelled news, tweets and posts that are no part of this repository.
"""

from __future__ import annotations

import re
from typing import Final

from models.text import CASHTAG
from monitor.entity.words import word_list

REACH: Final = 56
"""Characters on each side that are read as the neighbourhood."""

MARKET: Final = word_list("market")
"""Words near a company's name."""
TRADING: Final = word_list("trading")
"""Words near a bare ticker or a name in lower case."""
SECURITY: Final = word_list("security")
"""Words near a bare symbol."""
VERBS: Final = word_list("verbs")
"""What a company does, in the word that follows its name."""
BEFORE: Final = word_list("before")
"""Words before a company's name."""
NOT_BEFORE: Final = word_list("determiners")
"""Determiners and the like: before an everyday word they say that it is one."""
_STOP: Final = word_list("small")
TITLES: Final = word_list("titles")
FIRST_NAMES: Final = word_list("first_names")
NOT_AFTER: Final = word_list("places_and_institutions")
"""Capitalised words behind a name that make another name of it."""
PRODUCTS: Final = word_list("things_of_companies")
"""Nouns behind a name that stands for a company as an adjective: "a Target store"."""
NOT_LOWER: Final = word_list("not_in_lower_case")
"""Names of companies that are too often something else when written in lower case."""
_NO_PART: Final = _STOP | NOT_BEFORE | BEFORE | word_list("apart")
"""Capitalised words that may stand before a name without being part of it."""
_LEGAL: Final = re.compile(
    r",?\s+(?:inc|corp|corporation|ltd|limited|plc|llc|co|company|ag|nv|sa|se|holdings|group)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_][\w'&-]*")
_ENDS: Final = ".!?:;\"'([{|"


class Context:
    """The neighbourhood of ``text[start:end]``, read once."""

    __slots__ = ("after", "before", "end", "start", "surface", "text")

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.start, self.end = text, start, end
        self.surface = text[start:end]
        head = text[max(0, start - REACH) : start]
        if start > REACH:
            head = head.partition(" ")[2]
        tail = text[end : end + REACH]
        if end + REACH < len(text):
            tail = tail.rpartition(" ")[0]
        self.before = _WORD.findall(head)[-7:]
        self.after = _WORD.findall(tail[2:] if tail[:2] == "'s" else tail)[:7]

    def opens(self) -> bool:
        """Whether a sentence (or a quotation, a bracket, a line) begins here."""
        head = self.text[: self.start].rstrip()
        return not head or head[-1] in _ENDS

    def written_out(self, share: int = 3) -> bool:
        """Whether the words around are written as in a sentence, so that capitals say something.

        In a title every long word has its capital; names do in a sentence as well.
        """
        small = large = 0
        for word in (*self.before, *self.after):
            if len(word) > 3 and word.lower() not in _STOP:
                if word[0].islower():
                    small += 1
                else:
                    large += 1
        return small >= 2 and small * share >= large

    def shouted(self) -> bool:
        """Whether the words around are in capitals, so that capitals say nothing."""
        words = [w for w in (*self.before[-4:], *self.after[:4]) if len(w) > 1]
        return len(words) > 1 and sum(w.isupper() for w in words) * 2 > len(words)

    def is_someone(self) -> bool:
        """Whether the words beside it make a person, a place or another institution of it."""
        if self.before and self.text[self.start - 1 : self.start] == " ":
            last = self.before[-1]
            low = last.lower()
            gap = self.text[self.start - 2 : self.start - 1]
            if (low in FIRST_NAMES and last[0].isupper() and gap.isalpha()) or low in TITLES:
                return True
        if self.after and self.text[self.end : self.end + 1] == " ":
            follow = self.after[0]
            if follow[0].isupper() and follow.lower() in NOT_AFTER:
                return self.written_out() or follow.lower() not in ("park", "family", "school")
        return False

    def contradicts(self, unless: frozenset[str]) -> bool:
        """Whether one of these words stands nearby."""
        near = (*self.before[-5:], *self.after[:5])
        return any(word.lower() in unless for word in near)

    def is_part(self) -> bool:
        """Whether a capitalised word before it makes a longer name of it: Vivienne Westwood."""
        if not self.before or self.text[self.start - 1 : self.start] != " ":
            return False
        last = self.before[-1]
        if not (last[0].isupper() and self.text[self.start - 2].isalnum()):
            return False
        low = last.lower()
        return low not in _NO_PART and not last.isupper() and self.written_out()

    def goes_on(self) -> bool:
        """Whether a capitalised word behind it makes a longer name of it: Chase Doak."""
        if not self.after or self.text[self.end : self.end + 1] != " ":
            return False
        word = self.after[0]
        if not word[0].isupper() or not self.text[self.end + 1].isupper():
            return False
        low = word.lower()
        known = low in PRODUCTS or low in VERBS or low in MARKET or low in _STOP
        return not known and word[1:].islower() and self.written_out()

    def points(self, unless: frozenset[str]) -> int:
        """Evidence for the company; negative where something else is meant."""
        before = [word.lower() for word in self.before]
        after = [word.lower() for word in self.after]
        near = {*before[-5:], *after[:5]}
        total = 0
        if unless and not unless.isdisjoint(near):
            total -= 4
        if self.is_part() or self.goes_on():
            total -= 3
        if self.is_someone():
            total -= 5
        if _LEGAL.match(self.text, self.end):
            total += 4
        capital = self.surface[:1].isupper()
        close = self.text[self.end : self.end + 1]
        follows = after[0] if after and close in " '" else ""
        if capital and self.written_out():
            total += 1 if self.opens() else 3
        elif not capital:
            total -= 2
            if follows in TRADING or (before and before[-1] in TRADING):
                total += 3
        total += min(2, sum(word in MARKET for word in near))
        possessive = self.text.startswith("'s", self.end)
        if capital and (possessive or follows in VERBS):
            total += 1
            if self.opens():
                total += 1
        if capital and self.opens() and follows == "to":
            total += 1
        if before and close != "-":
            last = before[-1]
            if last in NOT_BEFORE and self.text[self.start - 1 : self.start] == " ":
                total += 1 if follows in PRODUCTS else -2
            elif capital and last in BEFORE and not self.opens():
                total += 1
        if close == "-" and self.text[self.end + 1 : self.end + 2].islower():
            total -= 1
        return total

    def trades(self) -> bool:
        """Whether the neighbourhood speaks of a security, or names another by its symbol."""
        around = self.text[max(0, self.start - REACH) : self.end + REACH]
        if "$" in around and CASHTAG.search(around):
            return True
        return any(word.lower() in SECURITY for word in (*self.before[-5:], *self.after[:5]))


def well_cased(written: str, surface: str) -> bool:
    """Whether a name is written with the capitals that it has; all capitals will do as well."""
    if surface == written:
        return True
    if surface.isupper():
        return True
    if written.isupper() and len(written) <= 5:
        return False
    if written[0].isupper() and not (surface[0].isupper() or surface[0].isdigit()):
        return False
    tail = surface.rpartition(" ")[2]
    last = written.rpartition(" ")[2]
    return not (last[0].isupper() and tail[:1].islower())
