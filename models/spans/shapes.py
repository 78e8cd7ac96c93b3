"""How words are written, for an encoder of lower-cased text: a number for each sub-token.

The number says three things: how the word is cased or what it is made of, where the sub-token
stands in it, and how much of its sentence is in capitals. Words are what BERT's tokeniser splits a
text into: runs of letters and digits; each sign, and each Chinese character, is one of its own.
Everything is computed at once over the code points of all texts.
"""

import unicodedata
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Shapes = npt.NDArray[np.int8]


class Case(IntEnum):
    """The case of a word, or what it is made of."""

    LOWER = 0
    TITLE = 1  # Apple
    UPPER = 2  # IBM, two letters or more
    INITIAL = 3  # one upper-case letter
    MIXED = 4  # eBay, McDonald
    NUMBER = 5
    ALPHANUMERIC = 6  # B52, 3rd
    SIGN = 7  # punctuation
    OTHER = 8  # symbols, scripts without case
    CASHTAG = 9  # the letters right after a dollar sign


class Place(IntEnum):
    """Where a sub-token stands."""

    OPENS = 0  # its word opens a sentence
    APART = 1  # its word follows white space
    GLUED = 2  # its word follows a sign or the like
    NEXT = 3  # within a word


class Capitals(IntEnum):
    """How many of a sentence's words have capitals: a third or more, or over four fifths."""

    FEW = 0
    MANY = 1
    MOST = 2


SPECIAL: Final = 0
"""The shape of a token that stands for no characters."""
SHAPES: Final = 1 + len(Case) * len(Place) * len(Capitals)
_PLACES: Final = (np.arange(SHAPES) - 1) // len(Case) % len(Place)
_STARTS: Final = (_PLACES != Place.NEXT) & (np.arange(SHAPES) != SPECIAL)
_OPENS: Final = (_PLACES == Place.OPENS) & (np.arange(SHAPES) != SPECIAL)

_LOWER, _FIRST, _UPPER, _LETTER, _DIGIT, _SIGN, _ENDS, _DOLLAR = (1 << bit for bit in range(8))
"""What a word has; `_FIRST` is an upper-case letter at its start, `_UPPER` one elsewhere."""
_ALPHABETIC: Final = _LOWER | _FIRST | _UPPER | _LETTER

_SPACE, _INSIDE, _ALONE, _UNKNOWN = range(4)
"""How a character makes words: it parts them, goes on with one, is one, is not looked up yet."""

_kinds = np.full(0x110000, _UNKNOWN, np.uint8)
_flags = np.zeros(0x110000, np.uint8)


def _case(flags: int) -> Case:
    if flags & _SIGN:
        return Case.SIGN
    if flags & _DIGIT:
        return Case.ALPHANUMERIC if flags & _ALPHABETIC else Case.NUMBER
    if flags & _LOWER:
        if flags & _UPPER:
            return Case.MIXED
        return Case.TITLE if flags & _FIRST else Case.LOWER
    if flags & _UPPER:
        return Case.UPPER
    return Case.INITIAL if flags & _FIRST else Case.OTHER


_CASES: Final = np.array([_case(flags) for flags in range(256)], np.int8)
_CASED: Final = np.isin(np.arange(len(Case)), (Case.LOWER, Case.TITLE, Case.UPPER, Case.MIXED))


def shapes_of(text: str, offsets: npt.ArrayLike) -> Shapes:
    """Return the shape of each sub-token of a text, int8 [tokens], 0 to `SHAPES` - 1.

    `offsets` [tokens, 2]: the characters that each stands for, the latter end excluded; equal ends
    mark special tokens.
    """
    places = np.asarray(offsets, np.int64).reshape(-1, 2)
    return shapes_of_all([text], places[:, 0], places[:, 1], np.array([len(places)]))


def shapes_of_all(
    texts: Sequence[str], starts: Integers, ends: Integers, counts: Integers
) -> Shapes:
    """Return the shapes of the sub-tokens of many texts, row after row, int8 [T].

    `starts` and `ends` [T] are characters of the token's own text; `counts` [n] the tokens of each.
    """
    shapes = np.zeros(len(starts), np.int8)
    real = starts < ends
    if not real.any():
        return shapes
    line = "\n".join((*texts, ""))  # so that the tokens of an empty last text stand somewhere
    codes = np.frombuffer(line.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds[codes]
    if (kinds == _UNKNOWN).any():
        _look_up(np.unique(codes[kinds == _UNKNOWN]))
        kinds = _kinds[codes]
    opens = kinds != _INSIDE
    opens[1:] |= opens[:-1]  # what follows a space or a lone sign
    opens[0] = True
    solid = kinds != _SPACE
    opens &= solid
    number = np.cumsum(opens) - solid  # of the word at a character; at a space, of the next word
    first = np.flatnonzero(opens)
    if not len(first):
        return shapes

    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    origins = np.cumsum(lengths) - lengths
    word = number[starts + np.repeat(origins, counts)]
    np.minimum(word, len(first) - 1, out=word)
    of_word = _of_words(codes, first, solid, origins)
    follows = np.zeros(len(word), np.bool_)
    follows[1:] = (word[1:] == word[:-1]) & real[:-1]
    place = np.where(follows, np.int8(Place.NEXT), of_word[1][word])
    found = 1 + of_word[0][word] + len(Case) * (place + len(Place) * of_word[2][word])
    shapes[real] = found[real]
    return shapes


def starts_word(shapes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return whether each sub-token is the first of its word; special ones are not."""
    found: npt.NDArray[np.bool_] = _STARTS[shapes]
    return found


def opens_sentence(shapes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return whether each sub-token is the first of a sentence."""
    found: npt.NDArray[np.bool_] = _OPENS[shapes]
    return found


def _of_words(
    codes: npt.NDArray[np.uint32],
    first: npt.NDArray[np.int64],
    solid: npt.NDArray[np.bool_],
    origins: npt.NDArray[np.int64],
) -> tuple[Shapes, Shapes, Shapes]:
    """Return case, place of the first sub-token, and capitals of each word, int8 [words]."""
    flags = _flags[codes]
    later = flags & _FIRST
    later[first] = 0
    flags += later * np.uint8(_UPPER // _FIRST - 1)  # an upper-case letter that is not the first
    flags = np.bitwise_or.reduceat(flags, first)
    case = _CASES[flags]

    glued = np.zeros(len(first), np.bool_)
    glued[1:] = solid[first[1:] - 1]
    before = np.zeros(len(first), np.uint8)
    before[1:] = flags[:-1]
    tag = glued & (before & _DOLLAR > 0) & (flags & _ALPHABETIC > 0) & (flags & _DIGIT == 0)
    case[tag] = Case.CASHTAG
    opens = ~glued & (before & _ENDS > 0)
    heads = np.searchsorted(first, origins)  # the first word of each text that has one
    opens[heads[heads < len(first)]] = True
    place = np.where(opens, np.int8(Place.OPENS), np.where(glued, Place.GLUED, Place.APART))

    begins = np.flatnonzero(opens)
    cased = _CASED[case]
    words = np.add.reduceat(cased, begins, dtype=np.int64)
    raised = np.add.reduceat(cased & (case != Case.LOWER), begins, dtype=np.int64)
    levels = (3 * raised >= np.maximum(words, 1)).astype(np.int8) + (5 * raised > 4 * words)
    capitals = levels[np.cumsum(opens) - 1]
    return case, place.astype(np.int8), capitals.astype(np.int8)


def _look_up(codes: npt.NDArray[np.uint32]) -> None:
    """Fill the tables for code points that were not met before."""
    for code in codes.tolist():
        character = chr(code)
        category = unicodedata.category(character)
        kind, flag = _INSIDE, 0  # marks, and what is invisible
        if category[0] == "Z" or character in "\t\n\r\v\f":
            kind = _SPACE
        elif category[0] == "N":
            flag = _DIGIT
        elif category[0] == "L":
            flag = {"Ll": _LOWER, "Lu": _FIRST, "Lt": _FIRST}.get(category, _LETTER)
            if _is_ideograph(code):
                kind = _ALONE
        elif category[0] in "PS":
            kind = _ALONE
            if category[0] == "P" or code < 128:
                flag = _SIGN | (_ENDS if character in ".!?" else 0)
            if character == "$":
                flag |= _DOLLAR
        _flags[code] = flag
        _kinds[code] = kind  # last: another thread may look on


def _is_ideograph(code: int) -> bool:
    """Return whether BERT's tokeniser makes this character a word (its blocks, as one span)."""
    return 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x2FA1F
