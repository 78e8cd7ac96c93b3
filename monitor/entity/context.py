"""Whether a name means the company where it stands: Apple or the fruit, Target or a target.

Evidence is counted in points; `mentions` says how many a name needs. The weights were set on
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
OWN: Final = word_list("only_of_companies")
"""Nouns behind a name that hardly anything but a company has."""
NOT_LOWER: Final = word_list("not_in_lower_case")
"""Names of companies that are too often something else when written in lower case."""
_NO_PART: Final = _STOP | NOT_BEFORE | BEFORE | word_list("apart")
"""Capitalised words that may stand before a name without being part of it."""
_LEGAL: Final = re.compile(
    r",?\s+(?:inc|corp|corporation|ltd|limited|plc|llc|co|company|ag|nv|sa|se|holdings|group)\b",
    re.IGNORECASE,
)
_ENDS: Final = frozenset(".!?:;\"'([{|")
_HINDERED: Final = frozenset(("park", "family", "school"))
"""Of NOT_AFTER: also ordinary words of a title."""


class Context:
    """The neighbourhood of ``text[start:end]``, read when it is asked for.

    ``plain`` and ``low`` are the text with a space for whatever is no letter or digit, ``low`` in
    lower case; both are as long as the text.
    """

    __slots__ = ("_after", "_before", "_out", "end", "low", "plain", "start", "text")

    def __init__(self, text: str, plain: str, low: str, start: int, end: int) -> None:
        self.text, self.plain, self.low, self.start, self.end = text, plain, low, start, end
        self._before: tuple[list[str], list[str]] | None = None
        self._after: tuple[list[str], list[str]] | None = None
        self._out: tuple[int, int] | None = None

    def before(self) -> tuple[list[str], list[str]]:
        """The words before it, as written and in lower case, the nearest last."""
        if self._before is None:
            first = max(0, self.start - REACH)
            if first:
                first = max(first, self.plain.find(" ", first, self.start))
            words = self.plain[first : self.start].split()[-7:]
            self._before = words, self.low[first : self.start].split()[-7:]
        return self._before

    def after(self) -> tuple[list[str], list[str]]:
        """The words behind it, as written and in lower case, without the s of a genitive."""
        if self._after is None:
            first = self.end + 2 if self.possessive() else self.end
            last = first + REACH
            if last < len(self.plain):
                last = max(first, self.plain.rfind(" ", first, last))
            self._after = self.plain[first:last].split()[:7], self.low[first:last].split()[:7]
        return self._after

    def near(self) -> list[str]:
        """The five nearest words on each side, in lower case."""
        return [*self.before()[1][-5:], *self.after()[1][:5]]

    def possessive(self) -> bool:
        """Whether it stands in the genitive."""
        return self.text.startswith("'s", self.end)

    def opens(self) -> bool:
        """Whether a sentence (or a quotation, a bracket, a line) begins here."""
        head = self.text[max(0, self.start - 3) : self.start].rstrip()
        return not head or head[-1] in _ENDS

    def written_out(self, share: int = 3) -> bool:
        """Whether the words around are written as in a sentence, so that capitals say something.

        In a title every long word has its capital; names do in a sentence as well.
        """
        if self._out is None:
            small = large = 0
            for words, lower in (self.before(), self.after()):
                for word, low in zip(words, lower, strict=True):
                    if len(word) > 3 and low not in _STOP:
                        if word[0].islower():
                            small += 1
                        elif word[0].isalpha():
                            large += 1
            self._out = small, large
        small, large = self._out
        return small >= 2 and small * share >= large

    def shouted(self) -> bool:
        """Whether the words around are in capitals, so that capitals say nothing."""
        words = [w for w in (*self.before()[0][-4:], *self.after()[0][:4]) if len(w) > 1]
        return len(words) > 1 and sum(map(str.isupper, words)) * 2 > len(words)

    def previous(self) -> str:
        """The word right before it, as written; empty where something else stands between.

        Of a genitive the word itself: Peter in "St. Peter's Square".
        """
        start = self.start - 1
        if start < 1 or self.text[start] != " " or self.plain[start - 1] == " ":
            return ""
        if self.text.startswith("'s", start - 2):
            start -= 2
        return self.plain[self.plain.rfind(" ", 0, start) + 1 : start]

    def following(self) -> str:
        """The word right behind it, as written; empty where something else stands between."""
        if self.text[self.end : self.end + 1] != " ":
            return ""
        last = self.plain.find(" ", self.end + 1)
        return self.plain[self.end + 1 : last if last >= 0 else None]

    def is_someone(self) -> bool:
        """Whether the words beside it make a person, a place or another institution of it."""
        last = self.previous()
        if last:
            low = last.lower()
            if low in FIRST_NAMES and last[0].isupper():
                return True
        elif self.text.startswith(". ", self.start - 2) and self.before_title():
            return True
        if last and last.lower() in TITLES:
            return True
        word = self.following()
        if word and word[0].isupper() and (low := word.lower()) in NOT_AFTER:
            return low not in _HINDERED or self.written_out()
        return False

    def before_title(self) -> bool:
        """Whether a title with its dot stands before it: Mr. Ford."""
        head = self.low[max(0, self.start - 8) : self.start].split()
        return bool(head) and head[-1] in TITLES

    def contradicts(self, unless: frozenset[str]) -> bool:
        """Whether one of these words stands nearby."""
        return not unless.isdisjoint(self.near())

    def is_part(self) -> bool:
        """Whether a capitalised word before it makes a longer name of it: Vivienne Westwood."""
        last = self.previous()
        if not last or not last[0].isupper() or last.isupper() or last.lower() in _NO_PART:
            return False
        return self.written_out()

    def goes_on(self) -> bool:
        """Whether a capitalised word behind it makes a longer name of it: Chase Doak."""
        word = self.following()
        if not word or not word[0].isupper() or not word[1:].islower():
            return False
        low = word.lower()
        known = low in PRODUCTS or low in VERBS or low in MARKET or low in _STOP
        return not known and self.written_out()

    def points(self, unless: frozenset[str]) -> int:
        """Evidence for the company; negative where something else is meant."""
        near = self.near()
        close = self.text[self.end : self.end + 1]
        after = self.after()[1]
        follows = after[0] if after and close in " '" else ""
        last = self.previous().lower()
        capital = self.text[self.start].isupper()
        opens = self.opens()
        total = min(2, len(MARKET.intersection(near)))
        if unless and not unless.isdisjoint(near):
            total -= 4
        if self.is_part() or self.goes_on():
            total -= 3
        if self.is_someone():
            total -= 5
        if _LEGAL.match(self.text, self.end):
            total += 4
        if close == "-" and self.text[self.end + 1 : self.end + 2].islower():
            total -= 1
        if last in NOT_BEFORE and close != "-" and follows not in SECURITY:
            total += 1 if follows in PRODUCTS else -2
        if not capital:
            if follows in TRADING or last in TRADING:
                total += 4 if follows in SECURITY else 3
            return total - 2
        if self.written_out():
            total += 1 if opens else 3
        if self.possessive() or follows in VERBS:
            total += 2 if opens else 1
        if opens and follows == "to":
            total += 1
        if close == " " and follows in OWN:
            total += 2
        if last in BEFORE and last not in NOT_BEFORE and close != "-" and not opens:
            total += 1
        return total

    def trades(self) -> bool:
        """Whether the neighbourhood speaks of a security, or names another by its symbol."""
        around = self.text[max(0, self.start - REACH) : self.end + REACH]
        if "$" in around and CASHTAG.search(around):
            return True
        return not SECURITY.isdisjoint(self.near())


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
