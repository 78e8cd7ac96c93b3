"""How words are written: what an encoder of lower-cased text does not see."""

import unicodedata
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt


class Case(IntEnum):
    """The case of a word, and what it is made of."""

    NONE = 0  # special tokens
    LOWER = 1
    TITLE = 2  # Apple
    UPPER = 3  # IBM, two letters or more
    INITIAL = 4  # one upper-case letter, with or without a full stop
    MIXED = 5  # eBay, McDonald
    NUMBER = 6  # 12, 1.5, 1996-08-22
    ALPHANUMERIC = 7  # B52, 3rd
    PUNCTUATION = 8
    OTHER = 9
    HYPHENATED = 10  # Title-Title, London-based


class Piece(IntEnum):
    """What a sub-token is."""

    SPECIAL = 0
    FIRST = 1
    OPENS_SENTENCE = 2
    NEXT = 3


FEATURES: Final = {"case": len(Case), "piece": len(Piece), "capitals": 4, "elsewhere": 5}
"""Name and number of values of each feature of a sub-token; 0 is a special token's."""
CHARACTERS: Final = 20
"""Characters of a word that are read: the first and the last half of them where it has more."""
ALPHABET: Final = 128
_OTHER_LOWER, _OTHER_UPPER, _OTHER = 1, 2, 3  # ASCII has control characters there


def case_of(word: str) -> Case:
    """Return the case class of a word."""
    letters = [c for c in word if c.isalpha()]
    if not letters:
        if any(c.isdigit() for c in word):
            return Case.NUMBER
        plain = all(unicodedata.category(c)[0] in "PSZ" for c in word)
        return Case.PUNCTUATION if plain else Case.OTHER
    if any(c.isdigit() for c in word):
        return Case.ALPHANUMERIC
    if not any(c.isupper() for c in letters):
        return Case.LOWER
    if len(letters) == 1:
        return Case.INITIAL
    if all(not c.islower() for c in letters):
        return Case.UPPER
    if "-" in word.strip("-"):
        return Case.HYPHENATED
    if letters[0].isupper() and not any(c.isupper() for c in letters[1:]):
        return Case.TITLE
    return Case.MIXED


def capitals_of(words: Sequence[str]) -> int:
    """Return how much of a sentence is in capitals: 1 under a third of its words, 3 over 80 %."""
    cases = [case for word in words if (case := case_of(word)) in _CASED]
    share = sum(case is not Case.LOWER for case in cases) / max(1, len(cases))
    return 1 if share < 1 / 3 else 2 if share <= 0.8 else 3


_CASED: Final = {Case.LOWER, Case.TITLE, Case.UPPER, Case.MIXED, Case.HYPHENATED}


def elsewhere(sentences: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return for each word of a document whether it is written otherwise elsewhere in it.

    1 neither, 2 in lower case, 3 with a capital within a sentence, 4 both. It tells names from
    words where a heading or the start of a sentence hides it.
    """
    lower: set[str] = set()
    upper: set[str] = set()
    for words in sentences:
        shouted = capitals_of(words) > 1
        for place, word in enumerate(words):
            if word.islower():
                lower.add(word)
            elif place and not shouted and word[:1].isupper():
                upper.add(word.lower())
    return [
        [1 + (word.lower() in lower) + 2 * (word.lower() in upper) for word in words]
        for words in sentences
    ]


def characters_of(word: str) -> npt.NDArray[np.int64]:
    """Return the word's characters, int64 [CHARACTERS], padded with 0."""
    if len(word) > CHARACTERS:
        word = word[: CHARACTERS // 2] + word[-(CHARACTERS // 2) :]
    found = np.zeros(CHARACTERS, dtype=np.int64)
    found[: len(word)] = [_character(c) for c in word]
    return found


def _character(character: str) -> int:
    number = ord(character)
    if 32 <= number < ALPHABET:
        return number
    if character.isupper():
        return _OTHER_UPPER
    return _OTHER_LOWER if character.islower() else _OTHER
