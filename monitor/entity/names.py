"""Names of organisations in one form: what two ways of writing one name have in common."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from monitor.entity.words import word_list

NAME: Final = "name:"
COMPANY: Final = "company:"

LEGAL: Final = word_list("legal_forms")
"""Legal forms that end a name, in lower case and without dots."""
_LOOSE: Final = frozenset({"holdings", "holding", "group", "the"})
"""What a company is called with or without."""
_DOTTED = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_OUTSIDE = re.compile(r"[^\w&+]+")
_POSSESSIVE = re.compile(r"['’]s?$")


def words_of(name: str) -> list[str]:
    """The name's words: NFKC, case folded, dotted forms closed (S.p.A. → spa), no punctuation."""
    plain = unicodedata.normalize("NFKC", name).strip()
    plain = _POSSESSIVE.sub("", plain)
    plain = _DOTTED.sub(lambda found: found.group().replace(".", ""), plain)
    return _OUTSIDE.sub(" ", plain.replace("'", "").casefold().replace("_", " ")).split()


def without_legal_form(words: list[str]) -> list[str]:
    """The words without a leading article and without the legal forms at the end.

    The first word stays, whatever it is: a company may be called Limited.
    """
    start = 1 if len(words) > 1 and words[0] == "the" else 0
    end = len(words)
    while end - start > 1 and (words[end - 1] in LEGAL or words[end - 1] in ("the", "&", "and")):
        end -= 1
    return words[start:end]


def core(words: list[str]) -> list[str]:
    """`without_legal_form`, and without Group and Holdings behind it."""
    kept = without_legal_form(words)
    while len(kept) > 1 and (kept[-1] in _LOOSE or kept[-1] in LEGAL):
        kept = kept[:-1]
    return kept


@lru_cache(maxsize=8_192)
def normalised(name: str) -> str:
    """The name as it stands in a ``name:`` key; empty where nothing is left of it.

    "The Silicon Valley Bank, Inc." and "SILICON VALLEY BANK" are both "silicon valley bank".
    """
    return " ".join(without_legal_form(words_of(name)))


def name_key(name: str) -> str:
    """Key of an organisation that is in no list."""
    return NAME + normalised(name)


def company_key(country: str, symbol: str) -> str:
    """Key of a listed company: the country of its listing and its primary symbol."""
    return f"{COMPANY}{country}:{symbol}"
