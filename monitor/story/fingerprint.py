"""The words of a whole batch of texts as numbers, without a Python loop over words: pure.

A print is the sequence of a text's first `WIDTH` words, 16 bits each. Everything else follows from
it: what is stored is a print, and a restart computes the rest anew.

    bit 15    it is a figure
    bit 14    it is written like a name: a capital within a sentence
    bit 13    it has three letters or fewer, and tells texts apart badly
    bits 0-12 hash of its characters, without case, accent or width; 0 is no word

A word with both bit 15 and bit 13 is one of `opposites.TURNS`: the lowest bits are its place there,
counted from 1.

Words are runs of letters, and runs of digits: ``1,234.5`` is one word, ``$640m`` are two; each
character of a script without spaces is one. No words are wrappers: ``@mentions``, the ``RT`` or
``via`` in front of one, a source's name behind a last dash.

A word's hash is the sum, over its characters, of a random number of the character times one of the
character in front of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.story.opposites import TURNS

WIDTH: Final = 128
"""Words of a text that are looked at: a copy repeats a text from its beginning."""
CHARACTERS: Final = 1_200
"""Characters of a text that are read for them."""
FIGURE: Final = 0x8000
NAME: Final = 0x4000
SHORT: Final = 0x2000

Words = npt.NDArray[np.uint16]
Forms = npt.NDArray[np.uint64]
Sizes = npt.NDArray[np.intp]
Hashes = npt.NDArray[np.uint32]

_SIGNATURE: Final = 40  # characters at the end of a text in which it names its source
_CHUNK: Final = 256  # texts at a time: what is in hand stays in the cache
_BREAK, _END, _POINT, _LINE, _AT, _LETTER, _CAPITAL, _DIGIT, _SINGLE = range(9)
_SEED: Final = 0x73746F7279  # "story": the numbers below are part of what is stored


@dataclass(frozen=True, slots=True)
class Prints:
    """What is left of n texts."""

    words: Words  # [n, WIDTH], 0 behind the last word
    sizes: Sizes  # [n] words, at most WIDTH

    def forms(self) -> Forms:
        """One number for each print [n]: equal prints, equal forms."""
        sums = (self.words * _form_factors()).sum(axis=1, dtype=np.uint64)
        return _mixed(sums)

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> Prints:
        return Prints(self.words[rows], self.sizes[rows])


def prints(texts: Sequence[str]) -> Prints:
    """The prints of texts as `models.text.normalise` leaves them. Takes any text."""
    words = np.zeros((len(texts), WIDTH), np.uint16)
    sizes = np.zeros(len(texts), np.intp)
    for first in range(0, len(texts), _CHUNK):
        chunk = [_signed_off(text)[:CHARACTERS] for text in texts[first : first + _CHUNK]]
        _fill(chunk, words[first : first + _CHUNK], sizes[first : first + _CHUNK])
    return Prints(words, sizes)


def packed(words: Words, sizes: Sizes) -> list[bytes]:
    """Prints as they are stored: their words, little-endian. The inverse of `unpacked`."""
    stored = words.astype("<u2", copy=False).tobytes()
    step = 2 * words.shape[1]
    return [stored[step * row : step * row + 2 * size] for row, size in enumerate(sizes.tolist())]


def unpacked(stored: Sequence[bytes]) -> Prints:
    """Stored prints, together."""
    words = np.zeros((len(stored), WIDTH), np.uint16)
    sizes = np.zeros(len(stored), np.intp)
    for row, one in enumerate(stored):
        found = np.frombuffer(one, "<u2")[:WIDTH]
        words[row, : len(found)] = found
        sizes[row] = len(found)
    return Prints(words, sizes)


def _signed_off(text: str) -> str:
    """Without the name of a source behind a last dash or bar."""
    tail = text[-_SIGNATURE:]
    if " - " not in tail and " | " not in tail:
        return text
    at = max(text.rfind(" - ", -_SIGNATURE), text.rfind(" | ", -_SIGNATURE))
    if at > 0 and all(not word[0].islower() for word in text[at + 3 :].split()):
        return text[:at]
    return text


def _fill(texts: Sequence[str], words: Words, sizes: Sizes) -> None:
    scan = _scan(texts)
    if not len(scan.starts):
        return
    word = (scan.hashes >> 19).astype(np.uint16)
    word[word == 0] = 1
    word |= (scan.first == _DIGIT).astype(np.uint16) * FIGURE
    word |= (scan.short & (scan.first == _LETTER)).astype(np.uint16) * SHORT
    _turn(word, scan.hashes)
    word |= scan.names.astype(np.uint16) * NAME

    behind = scan.behind
    if scan.mentions.any():
        keep = ~_wrapping(scan)
        word = word[keep]
        behind = np.concatenate([[0], np.cumsum(keep)])[behind]
    counts = np.diff(behind, prepend=0)
    row = np.repeat(np.arange(len(texts)), counts)
    rank = np.arange(len(word)) - np.repeat(behind - counts, counts)
    near = rank < WIDTH
    words[row[near], rank[near]] = word[near]
    np.minimum(counts, WIDTH, out=sizes)


class _Scan(NamedTuple):
    """The w words of n texts, one after the other."""

    starts: Sizes  # [w] first characters
    hashes: Hashes  # [w]
    short: npt.NDArray[np.bool_]  # [w] of three characters or fewer
    first: npt.NDArray[np.uint8]  # [w] kind of the first character
    names: npt.NDArray[np.bool_]  # [w]
    mentions: npt.NDArray[np.bool_]  # [w] behind an at sign
    parts: npt.NDArray[np.bool_]  # [w] goes on the word in front without a break, as in user_12
    behind: Sizes  # [n] words up to the end of each text


def _scan(texts: Sequence[str]) -> _Scan:
    ends = np.cumsum(np.fromiter(map(len, texts), np.intp, len(texts)) + 1)
    joined = "\n".join([*texts, ""])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
    character = codes.astype(np.intp)
    table = _tables()
    kind = table.kinds.take(character, mode="clip")
    value = table.values.take(character, mode="clip")
    _mend(kind, value, character)
    capital = kind == _CAPITAL
    kind -= capital.view(np.uint8)  # a letter from here on

    inside = kind > _AT
    begins = inside.copy()
    begins[1:] &= (kind[1:] != kind[:-1]) | (kind[1:] == _SINGLE)
    starts = np.flatnonzero(begins)
    # Pairs of neighbours make the order of the characters count. A word's sum is a difference of
    # running sums: modulo 2**32, both are exact.
    value[1:] *= table.neighbours.take(character[:-1], mode="clip")
    joined_on = starts[(starts > 0) & inside[starts - 1]]  # whatever stands in front of a word
    value[joined_on] = table.values.take(character[joined_on], mode="clip")
    hashes = _by_word(value, np.append(starts, len(kind)))
    hashes ^= hashes >> 15
    hashes *= np.uint32(0x2C1B3C6D)
    names = capital[starts]
    names[:1] = False
    behind_an_end = np.searchsorted(starts, np.flatnonzero(kind == _END))
    names[behind_an_end[: np.searchsorted(behind_an_end, len(starts))]] = False
    ahead = kind[starts - 1]
    # The last character is a break, so that nothing goes on behind it.
    goes_on = np.append(inside & ~begins, (False, False))
    return _Scan(
        starts=starts,
        hashes=hashes,
        short=~(goes_on[starts + 1] & goes_on[starts + 2] & goes_on[starts + 3]),
        first=kind[starts],
        names=names,
        mentions=(starts > 0) & (ahead == _AT),
        parts=(starts > 0) & (ahead >= _LINE) & (ahead != _AT) & (kind[starts] != _SINGLE),
        behind=np.searchsorted(starts, ends),
    )


def _mend(kind: npt.NDArray[np.uint8], value: Hashes, character: Sizes) -> None:
    """A point or comma between two digits is one of them; any other point ends a sentence."""
    points = np.flatnonzero(kind == _POINT)
    # The last character is a line break, and so is what index -1 finds in front of the first.
    inner = (kind[points - 1] == _DIGIT) & (kind[np.minimum(points + 1, len(kind) - 1)] == _DIGIT)
    outer = np.where(character[points] == ord("."), _END, _BREAK)
    kind[points] = np.where(inner, _DIGIT, outer)
    value[points[~inner]] = 0


def _by_word(value: Hashes, bounds: Sizes) -> Hashes:
    """Sums of a value from each bound to the next."""
    running = np.empty(len(value) + 1, np.uint32)
    running[0] = 0
    np.cumsum(value, dtype=np.uint32, out=running[1:])
    return np.diff(running.take(bounds))


def _wrapping(scan: _Scan) -> npt.NDArray[np.bool_]:
    """Which words are mentions, or the RT or via in front of one."""
    leads = np.zeros(len(scan.hashes), bool)
    leads[:-1] = scan.mentions[1:] & np.isin(scan.hashes[:-1], _wrappers())
    leads[scan.behind[scan.behind > 0] - 1] = False  # what follows is another text's
    whole = np.cumsum(~scan.parts) - 1  # a handle may be of several words
    handles = scan.mentions[~scan.parts][whole]
    wrapping: npt.NDArray[np.bool_] = handles | leads
    return wrapping


@cache
def _wrappers() -> Hashes:
    return _scan(["rt via"]).hashes


def _turn(word: Words, hashes: Hashes) -> None:
    """Number the words that turn a report into its opposite."""
    turns = _turns()
    maybe = np.flatnonzero(turns.some[word])
    at = np.searchsorted(turns.hashes, hashes[maybe])
    at[at == len(turns.hashes)] = 0
    sure = turns.hashes[at] == hashes[maybe]
    word[maybe[sure]] = turns.words[at[sure]]


class _Turns(NamedTuple):
    hashes: Hashes  # sorted
    words: Words  # what each becomes
    some: npt.NDArray[np.bool_]  # [65,536] whether a word may be one


@cache
def _turns() -> _Turns:
    scan = _scan([" ".join(TURNS)])
    order = np.argsort(scan.hashes)
    word = (scan.hashes >> 19).astype(np.uint16)
    some = np.zeros(0x10000, bool)
    some[np.concatenate([word, word | SHORT])] = True
    numbers = np.arange(1, len(TURNS) + 1, dtype=np.uint16) | np.uint16(FIGURE | SHORT)
    return _Turns(scan.hashes[order], numbers[order], some)


class _Tables(NamedTuple):
    """What each character of the basic plane counts as.

    Those above it are read as U+FFFF, a break: pictographs, and scripts nobody trades in.
    """

    kinds: npt.NDArray[np.uint8]
    values: Hashes  # 0: a break
    neighbours: Hashes  # of the character in front


@cache
def _tables() -> _Tables:
    values, neighbours = (_random(_SEED, 2 * 0x10000) >> 32).astype(np.uint32).reshape(2, -1) | 1
    folded = np.arange(0x10000)
    kinds = np.full(0x10000, _BREAK, np.uint8)
    for code in range(0x10000):
        character = chr(code)
        # The first of a decomposition: the letter without its accents.
        plain = unicodedata.normalize("NFKD", character).lower()[:1]
        if character.isalpha():
            kinds[code] = _CAPITAL if character.isupper() else _LETTER
            if _unspaced(code):
                kinds[code] = _SINGLE
        elif character.isdecimal():
            kinds[code] = _DIGIT
            plain = str(unicodedata.decimal(character))
        if kinds[code] != _BREAK and ord(plain) < 0x10000:
            folded[code] = ord(plain)
    kinds[[ord(c) for c in ".,"]] = _POINT
    kinds[[ord(c) for c in "!?:;\n"]] = _END
    kinds[ord("_")] = _LINE
    kinds[ord("@")] = _AT
    values = values[folded]
    neighbours = np.where(kinds > _AT, neighbours[folded], 1).astype(np.uint32)
    values[(kinds <= _AT) & (kinds != _POINT)] = 0
    return _Tables(kinds, values, neighbours)


def _unspaced(code: int) -> bool:
    """Whether a character is of a script without spaces between words."""
    return (
        0x0E00 <= code <= 0x0EFF
        or 0x3040 <= code <= 0x30FF
        or 0x3400 <= code <= 0x4DBF
        or 0x4E00 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
    )


@cache
def _form_factors() -> Forms:
    return _random(_SEED + 1, WIDTH) | np.uint64(1)


def _random(seed: int, count: int) -> Forms:
    """Numbers that are the same with every version of numpy."""
    drawn: Forms = np.random.PCG64(seed).random_raw(count)
    return drawn


def _mixed(values: Forms) -> Forms:
    """The finaliser of MurmurHash3: every bit of the input reaches every bit of the output."""
    values = values ^ (values >> np.uint64(33))
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
