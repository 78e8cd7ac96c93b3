"""Augmentation: changed copies of a text that keep every label, drawn with a seeded generator.

Each kind is built so that the verdict cannot change: typos spare short words and numbers, numbers
keep their order, names stay within their trade or among countries. A kind that finds nothing to
change returns the text as it is.
"""

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import Final

import numpy as np

from models.text import normalise
from models.training.names import COMPANIES, COUNTRIES, TICKERS

Kind = Callable[[str, np.random.Generator], str]

_WORD: Final = re.compile(r"(?<![\w$@#/.&'-])[a-z]{5,}(?![\w/'-])")
_WORDS_A_TYPO: Final = 12
_CASHTAG: Final = re.compile(r"(?<![\w$])\$(?=[A-Za-z]{1,6}\b)")
_UNITS: Final = MappingProxyType(
    {
        "k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "mln": 1e6, "million": 1e6,
        "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12,
    }
)  # fmt: skip
_UNIT: Final = "|".join(sorted(_UNITS, key=len, reverse=True))
_AMOUNT: Final = re.compile(
    r"(?<![\w.,:/-])(?:(?P<money>(?:[$€£¥]|(?:USD|EUR|GBP|SEK|NOK|DKK|CHF|JPY) ))|(?<![\w.,:/-]))"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    rf"(?P<tail> ?(?:%|per cent\b|percent\b|(?P<unit>{_UNIT})\b)?)(?![\w/:,.-]*\d)",
    re.IGNORECASE,
)
_THRESHOLD: Final = re.compile(
    r"\b(?:PMI|ISM|parity|record|zero|double[ds]?|triple[ds]?|half|halve[sd]?)\b", re.IGNORECASE
)
"""Where a value is judged against one that the text does not give, or names a ratio in words."""
_FACTORS: Final = (0.6, 1.6)
_TRIES: Final = 8
_CHANGES: Final = 2


def typos(text: str, rng: np.random.Generator) -> str:
    """Mistype a letter within one long word of twelve, at least one; never first or last letters.

    Words of less than five letters stay whole: "not", "no", "up", "cut" decide verdicts.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    wanted = max(1, len(text.split()) // _WORDS_A_TYPO)
    chosen = rng.permutation(len(words))[:wanted]
    for start, end in sorted((words[i] for i in chosen), reverse=True):
        at = int(rng.integers(start + 1, end - 2))
        change = rng.integers(3)
        swapped = (text[at + 1] + text[at], text[at + 1], text[at] * 2 + text[at + 1])[change]
        text = text[:at] + swapped + text[at + 2 :]
    return text


def case(text: str, rng: np.random.Generator) -> str:
    """Write all in small letters, all in capitals, or each word with a capital."""
    return (text.lower(), text.upper(), re.sub(r"\b[a-z]", _capital, text))[rng.integers(3)]


def cashtags(text: str, _: np.random.Generator) -> str:
    """Drop the sign of every cashtag: $ABC becomes ABC."""
    return _CASHTAG.sub("", text)


def numbers(text: str, rng: np.random.Generator) -> str:
    """Multiply all amounts of money and percentages by one factor, so that their order stays.

    Bare whole numbers (years, counts, names of indices) stay as they are. After rounding to the
    decimals that each amount is written with, every pair of amounts must still compare as before,
    units read as powers of ten; else another factor is tried.
    """
    if _THRESHOLD.search(text):
        return text
    found = [m for m in _AMOUNT.finditer(text) if _is_amount(m)]
    if not found:
        return text
    values = [_value(m) for m in found]
    units = [_UNITS.get((m["unit"] or "").lower(), 1.0) for m in found]
    for _ in range(_TRIES):
        factor = float(rng.uniform(*_FACTORS))
        new = [
            round(value * factor, _decimals(m["digits"]))
            for m, value in zip(found, values, strict=True)
        ]
        if _compare_alike(values, new, units):
            for match, value in sorted(zip(found, new, strict=True), key=_start, reverse=True):
                start, end = match.span("digits")
                text = text[:start] + _written(value, match["digits"]) + text[end:]
            return text
    return text


def companies(text: str, rng: np.random.Generator) -> str:
    """Put other companies of the same trade in place of known ones, and their cashtags likewise."""
    for trade in COMPANIES:
        text = _exchanged(text, trade, rng, r"(?<![\w$&])", r"(?![\w&])")
    for symbols in TICKERS:
        text = _exchanged(text, symbols, rng, r"(?<![\w$])\$", r"\b", "$")
    return text


def countries(text: str, rng: np.random.Generator) -> str:
    """Put other countries in place of known ones."""
    return _exchanged(text, COUNTRIES, rng, r"(?<!\w)", r"(?!\w)")


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "typos": typos,
        "case": case,
        "cashtags": cashtags,
        "numbers": numbers,
        "companies": companies,
        "countries": countries,
    }
)


def augmented(text: str, rng: np.random.Generator) -> str:
    """Return the normalised text after the first two kinds, in random order, that change it."""
    text = normalise(text)  # links are gone then, and get no typos
    names = list(KINDS)
    left = _CHANGES
    for index in rng.permutation(len(names)):
        found = KINDS[names[index]](text, rng)
        left -= found != text
        text = found
        if not left:
            break
    return text


def _exchanged(
    text: str,
    names: tuple[str, ...],
    rng: np.random.Generator,
    before: str,
    after: str,
    mark: str = "",
) -> str:
    """Replace each name, the same everywhere, by one that the text does not hold."""
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(before + "(" + "|".join(map(re.escape, longest_first)) + ")" + after)
    there = sorted({match[1] for match in pattern.finditer(text)})
    free = [name for name in names if name not in there]
    if not there or len(free) < len(there):
        return text
    chosen = rng.permutation(len(free))
    new = {name: free[index] for name, index in zip(there, chosen, strict=False)}
    return pattern.sub(lambda match: mark + new[match[1]], text)


def _capital(match: re.Match[str]) -> str:
    return match[0].upper()


def _is_amount(match: re.Match[str]) -> bool:
    return bool(match["money"] or match["tail"].strip() or "." in match["digits"])


def _value(match: re.Match[str]) -> float:
    return float(match["digits"].replace(",", ""))


def _decimals(digits: str) -> int:
    return len(digits.partition(".")[2])


def _start(pair: tuple[re.Match[str], float]) -> int:
    return pair[0].start()


def _written(value: float, like: str) -> str:
    return f"{value:{',' if ',' in like else ''}.{_decimals(like)}f}"


def _compare_alike(old: list[float], new: list[float], units: list[float]) -> bool:
    """Return whether every pair compares as before, and nothing became zero or a whole of 100."""
    if any((a == 0) != (b == 0) or (a < 100) != (b < 100) for a, b in zip(old, new, strict=True)):
        return False
    for scale in (units, [1.0] * len(units)):
        first = [value * unit for value, unit in zip(old, scale, strict=True)]
        second = [value * unit for value, unit in zip(new, scale, strict=True)]
        for i, j in combinations(range(len(old)), 2):
            if np.sign(first[i] - first[j]) != np.sign(second[i] - second[j]):
                return False
    return True
