"""Names put in place of others inside a text: companies, countries, given names.

Every function returns the text unchanged where there is nothing to replace.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.evaluation.names import COUNTRIES, Gender

_NOUN_FOLLOWS: Final = re.compile(
    r" (?!(?:and|or|is|was|are|were|has|had|have|to|in|on|for|with|after|as|at|by|from|will|would|"
    r"could|may|said|says|cut|cuts|sees|faces|the|a|an|of|but|that|than|over|into|it|its|today|this)\b)[A-Za-z]"
)
_SHORT: Final = frozenset({"U.S.", "USA", "US", "U.K.", "UK"})
_WOMAN: Final = re.compile(r"\b(?:she|her|hers|herself|Mrs|Ms|Dame|Lady)\b", re.IGNORECASE)
_MAN: Final = re.compile(r"\b(?:he|him|his|himself|Mr|Sir|Lord)\b", re.IGNORECASE)

_NAMES: Final = {
    word: index
    for index, country in enumerate(COUNTRIES)
    for word in (country.name, *country.aliases)
}
_ADJECTIVES: Final = {country.adjective: index for index, country in enumerate(COUNTRIES)}
_WORDS: Final = sorted({*_NAMES, *_ADJECTIVES}, key=len, reverse=True)
_COUNTRY: Final = re.compile(
    rf"(?P<the>\b[Tt]he )?(?<![\w$@#.])(?P<word>{'|'.join(map(re.escape, _WORDS))})(?![\w$])"
    # A currency is no nationality: another one would be another statement.
    r"(?! (?i:dollars?|pounds?|francs?|yen|yuan|rupees?|pesos?|roubles?|rubles?|krona|kroner?|won|"
    r"lira|real|rand)\b)",
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A country named in a text; `start` includes an article that belongs to the name."""

    start: int
    end: int
    country: int  # index into COUNTRIES
    adjective: bool
    capital: bool  # the article was written "The"


def with_company(text: str, old: str, new: str, *, keep_trade: bool = False) -> str:
    """Return the text with one company in place of another, wherever it is named.

    Args:
        text: the text.
        old: the company as written.
        new: the name to write.
        keep_trade: keep the further words of a name ("Kestrel Foods" -> "Velmora Foods"), which
            say what the company does.
    """
    first, _, rest = old.partition(" ")
    whole = f"{new} {rest}" if keep_trade and rest else new
    found = _replaced(text, old, whole)
    # "Kestrel Foods … Kestrel": the short form of the same company, where it is a name by itself.
    if rest and len(first) > 3 and first[0].isupper() and first.lower() not in _COMMON_FIRST:
        found = _replaced(found, first, new)
    return found


def with_first_name(text: str, old: str, new: str) -> str:
    """Return the text with one given name in place of another, wherever it stands."""
    return _replaced(text, old, new)


def implied_gender(text: str) -> Gender | None:
    """Return the gender that pronouns and titles of the text give, if they give one."""
    woman, man = bool(_WOMAN.search(text)), bool(_MAN.search(text))
    if woman == man:
        return None
    return "female" if woman else "male"


def mentions(text: str) -> list[Mention]:
    """Return the countries and nationalities that a text names, in order.

    "US" and "UK" before a noun are read as adjectives.
    """
    found: list[Mention] = []
    for match in _COUNTRY.finditer(text):
        word = match["word"]
        adjective = word in _ADJECTIVES
        if word in _SHORT and _NOUN_FOLLOWS.match(text, match.end()):
            adjective = True
        country = _ADJECTIVES[word] if word in _ADJECTIVES else _NAMES[word]
        own = bool(match["the"]) and not adjective and COUNTRIES[country].article
        found.append(
            Mention(
                start=match.start() if own else match.start("word"),
                end=match.end(),
                country=country,
                adjective=adjective,
                capital=own and match["the"][0] == "T",
            )
        )
    return found


def with_countries(text: str, new: Mapping[int, int]) -> str:
    """Return the text with countries in place of others, both given by index into COUNTRIES."""
    parts: list[str] = []
    end = 0
    for mention in mentions(text):
        if mention.country not in new:
            continue
        country = COUNTRIES[new[mention.country]]
        word = country.adjective if mention.adjective else country.name
        if country.article and not mention.adjective and text[mention.end : mention.end + 1] != "-":
            word = f"{'The' if mention.capital or not mention.start else 'the'} {word}"
        elif mention.capital:
            word = word[0].upper() + word[1:]
        before = _article(text[end : mention.start], word)
        parts += [before, word]
        end = mention.end
    return "".join([*parts, text[end:]])


_COMMON_FIRST: Final = frozenset(
    {"bank", "banco", "first", "general", "royal", "north", "south", "east", "west", "united"}
)


def _replaced(text: str, old: str, new: str) -> str:
    parts: list[str] = []
    end = 0
    for match in re.finditer(rf"(?<![\w$@#]){re.escape(old)}(?!\w)", text):
        parts += [_article(text[end : match.start()], new), new]
        end = match.end()
    return "".join([*parts, text[end:]])


def _article(before: str, word: str) -> str:
    """Return the text before a word with `a` or `an` as the word's first letter asks."""
    found = re.search(r"\b([Aa])n? $", before)
    if found is None:
        return before
    # "a United States…" and "a Ukrainian…" are spoken with a consonant.
    vowel = word[0] in "AEIOUaeiou" and not word.startswith(("Uni", "Ukr", "Eu"))
    return f"{before[: found.start()]}{found[1]}{'n' if vowel else ''} "
