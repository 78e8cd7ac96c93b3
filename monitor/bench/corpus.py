"""The texts of the benchmark: invented news and comments, from a seed, every one distinct.

`headlines` are titles and posts of 8 to 40 tokens, `long` texts are articles joined sentence by
sentence, their lengths uniform from 100 to 512 tokens; `mix` is 80 % of the first and 20 % of the
second in random order: about 78 tokens a text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from models.text import normalise
from monitor.demo.corpus.newsroom import COPY, Newsroom

Kind = Literal["mix", "headlines", "long"]
KINDS: Final[tuple[Kind, ...]] = ("mix", "headlines", "long")
HEADLINE: Final = (8, 40)
LONG: Final = (100, 512)
LONG_SHARE: Final = 0.2

Measure = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, the specials included."""

_SPECIALS: Final = 2
_GOLDEN: Final = (5**0.5 - 1) / 2
_DAY: Final = 2_000
_START: Final = datetime(2024, 5, 1, tzinfo=UTC)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts, already normalised, and the tokens of each, int64 [n]."""

    kind: Kind
    texts: tuple[str, ...]
    tokens: npt.NDArray[np.int64]

    def take(self, rows: Sequence[int]) -> Corpus:
        """Return these texts, in this order."""
        return Corpus(self.kind, tuple(self.texts[row] for row in rows), self.tokens[list(rows)])


class Writer:
    """Writes corpora, no text of which comes twice, from one random generator."""

    def __init__(self, seed: int, measure: Measure) -> None:
        self._rng = Random(seed)  # noqa: S311
        self._measure = measure
        self._newsroom = Newsroom(self._rng, _START)
        self._day = 0
        self._seen: set[str] = set()
        self._short: deque[tuple[str, int]] = deque()
        self._sentences: deque[tuple[str, int]] = deque()

    def write(self, kind: Kind, count: int) -> Corpus:
        """Return `count` texts."""
        share = {"mix": LONG_SHARE, "headlines": 0.0, "long": 1.0}[kind]
        long = [True] * round(count * share)
        flags = long + [False] * (count - len(long))
        self._rng.shuffle(flags)
        pairs = [self._long() if flag else self._headline() for flag in flags]
        tokens = np.array([length for _, length in pairs], np.int64)
        return Corpus(kind, tuple(text for text, _ in pairs), tokens)

    def _headline(self) -> tuple[str, int]:
        while not self._short:
            self._another_day()
        return self._short.popleft()

    def _long(self) -> tuple[str, int]:
        low, high = LONG
        while True:
            target = self._rng.uniform(low, high)
            joined: list[str] = []
            tokens = _SPECIALS
            # The sentence that crosses the target stays in every second text: no bias.
            while tokens < target:
                while not self._sentences:
                    self._another_day()
                sentence, length = self._sentences.popleft()
                if tokens + length > target and joined and self._rng.random() < 0.5:
                    break
                joined.append(sentence)
                tokens += length
            text = " ".join(joined)
            (tokens,) = self._measure([text])
            if low <= tokens <= high and self._is_new(text):
                return text, tokens

    def _another_day(self) -> None:
        """Fill both reserves from one more day of the newsroom."""
        documents = [
            document
            for document in self._newsroom.ordinary_day(self._day, _DAY)
            if document.flaw != COPY
        ]
        self._day += 1
        self._rng.shuffle(documents)
        short: list[str] = []
        sentences: list[str] = []
        for document in documents:
            written = [normalise(s) for s in _SENTENCE.split(document.text) if s.strip()]
            sentences += written
            if document.title is None:
                short.append(normalise(document.text))
            else:
                title = normalise(document.title)
                short.append(title if self._rng.random() < 0.5 else f"{title}. {written[0]}")
        self._sentences.extend(
            (sentence, length - _SPECIALS)
            for sentence, length in zip(sentences, self._measure(sentences), strict=True)
        )
        self._short.extend(self._headlines(short))

    def _headlines(self, texts: Sequence[str]) -> Iterator[tuple[str, int]]:
        low, high = HEADLINE
        for text, length in zip(texts, self._measure(texts), strict=True):
            if low <= length <= high and self._is_new(text):
                yield text, length

    def _is_new(self, text: str) -> bool:
        new = text not in self._seen
        self._seen.add(text)
        return new


def spread(lengths: Sequence[int]) -> list[int]:
    """Return all rows in an order of which every beginning has nearly the same lengths as all.

    The rows, sorted by length, are visited in steps of the golden section of their number (Weyl's
    sequence, whose beginnings are all evenly spread). So one contestant can label fewer texts than
    another and still texts of the same composition.
    """
    ranked = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    steps = range(4 * len(ranked))
    places = (int((0.5 + step * _GOLDEN) % 1 * len(ranked)) for step in steps)
    return [ranked[place] for place in dict.fromkeys((*places, *range(len(ranked))))]


def sample(corpus: Corpus, count: int) -> Corpus:
    """Return `count` texts that stand for all, in the order in which they arrive."""
    order = spread([int(tokens) for tokens in corpus.tokens])
    return corpus.take(sorted(order[:count]))
