"""From the text as the model reads it back to the text as it was written."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from models import text as texts

_ENTITY: Final = re.compile(
    r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)"
)  # of html.unescape, which replaces each match on its own
_WORD: Final = re.compile(
    r"(?:[^\W\d_]\.){2,}"  # U.S.
    r"|(?:(?<!\w)[+-])?[$#@€£¥]?\w+(?:[-.,:/&'+]\w+)*%?"  # -4.5%, $TSLA, AT&T, don't
    r"|\S"
)


@dataclass(frozen=True, slots=True)
class Aligned:
    """A normalised text; its character i stands for `starts[i]` to `ends[i]` of the original."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original characters (end excluded) of the normalised ones, at least one."""
        return self.starts[start], self.ends[end - 1]


@dataclass(frozen=True, slots=True)
class Word:
    """A run of normalised characters, end excluded, that is coloured as one."""

    start: int
    end: int


def aligned(text: str) -> Aligned:
    """Return `models.text.normalise(text)`, each character with where it comes from.

    What is replaced as a whole (an entity, a mangled letter) is the origin of each character that
    stands for it; what is dropped is nobody's origin.
    """
    cut = text[: texts.MAX_CHARACTERS]
    found = Aligned(cut, tuple(range(len(cut))), tuple(range(1, len(cut) + 1)))
    found = _replaced(found, _ENTITY, lambda match: html.unescape(match.group()))
    found = _replaced(found, texts.MOJIBAKE, texts.repaired)
    if "/" in found.text or "www" in found.text:  # else links in capitals would go, as they do not
        found = _replaced(found, texts.URL, lambda _: " ")
    found = _replaced(found, texts.CONTROL, lambda _: " ")
    found = _replaced(
        found, re.compile(r"[^\x00-\x7f]"), lambda match: match.group().translate(texts.PUNCTUATION)
    )
    found = _replaced(found, re.compile(r"\s+"), lambda _: " ")
    return _replaced(found, re.compile(r"^ | $"), lambda _: "")


def words_of(text: str) -> list[Word]:
    """Return the words of a normalised text: every character but white space is in one of them."""
    return [Word(match.start(), match.end()) for match in _WORD.finditer(text)]


def _replaced(
    found: Aligned, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]
) -> Aligned:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = 0
    for match in pattern.finditer(found.text):
        new = replacement(match)
        if new == match.group():
            continue
        start, end = match.span()
        parts += found.text[last:start], new
        starts += [*found.starts[last:start], *[found.starts[start]] * len(new)]
        ends += [*found.ends[last:start], *[found.ends[end - 1]] * len(new)]
        last = end
    if not parts:
        return found
    return Aligned(
        "".join(parts) + found.text[last:],
        (*starts, *found.starts[last:]),
        (*ends, *found.ends[last:]),
    )
