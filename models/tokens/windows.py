"""Windows of sub-tokens over a document: every word is judged once, with context around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from models.text import normalise
from models.tokens.shapes import FEATURES, Piece, capitals_of, case_of, elsewhere

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Integers = npt.NDArray[np.int64]
MAX_PIECES: Final = 16
"""Sub-tokens of a word that are read; what is longer is a link or a row of signs."""
SHORTEST: Final = 2 * MAX_PIECES + 4


class Pieces:
    """The sub-tokens of words; each distinct word is tokenised once."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}
        around = tokenizer.encode("").ids
        self.opening, self.closing = around[0], around[-1]
        unknown = next((tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>")), None)
        self._unknown = self.closing if unknown is None else unknown

    def of(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the ids of each word, at least one and at most `MAX_PIECES`."""
        new = sorted({word for word in words if word not in self._known})
        rows = self._tokenizer.encode_batch_fast(
            [normalise(word) for word in new], add_special_tokens=False
        )
        for word, row in zip(new, rows, strict=True):
            self._known[word] = tuple(row.ids[:MAX_PIECES]) or (self._unknown,)
        return [self._known[word] for word in words]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A document ready to be cut into windows; arrays run over its words, [words]."""

    words: tuple[str, ...]
    pieces: tuple[tuple[int, ...], ...]
    opens: npt.NDArray[np.bool_]  # the first word of a sentence
    features: Integers  # [words, 3]: case, capitals, elsewhere
    sentences: tuple[tuple[int, int], ...]  # words from, to

    @property
    def costs(self) -> Integers:
        """Return the sub-tokens of each word, a sentence's mark counted with its first."""
        lengths = np.fromiter(map(len, self.pieces), dtype=np.int64, count=len(self.pieces))
        return lengths + self.opens


def prepare(sentences: Sequence[Sequence[str]], pieces: Pieces) -> Tokens:
    """Return the tokens of a document's sentences."""
    words = tuple(word for sentence in sentences for word in sentence)
    opens = np.zeros(len(words), dtype=np.bool_)
    ranges: list[tuple[int, int]] = []
    for sentence in sentences:
        start = ranges[-1][1] if ranges else 0
        opens[start : start + 1] = True
        ranges.append((start, start + len(sentence)))
    capitals = [c for s in sentences for c in [capitals_of(s)] * len(s)]
    seen = [value for row in elsewhere(sentences) for value in row]
    features = np.array([[case_of(word) for word in words], capitals, seen], dtype=np.int64).T
    return Tokens(words, tuple(pieces.of(words)), opens, features.reshape(-1, 3), tuple(ranges))


@dataclass(frozen=True, slots=True)
class Window:
    """A row for the encoder. Of its words those from `start` to `end` are judged in it."""

    ids: list[int]
    features: Integers  # [length, len(FEATURES)]
    words: Integers  # [length], the document's word of each sub-token, -1 for special ones
    firsts: Integers  # [end - start], where each judged word begins
    start: int
    end: int


def partition(tokens: Tokens, budget: int, first: int | None = None) -> list[tuple[int, int]]:
    """Cut the words into runs of at most `budget` sub-tokens, between sentences where one fits.

    Args:
        tokens: the document.
        budget: sub-tokens of a run, without those that open and close a row.
        first: the budget of the first run, for cuts at other places.
    """
    costs = tokens.costs
    runs: list[tuple[int, int]] = []
    start, spent, room = 0, 0, first or budget
    for low, high in tokens.sentences:
        whole = int(costs[low:high].sum())
        if spent and spent + whole > room:
            runs.append((start, low))
            start, spent, room = low, 0, budget
        if spent + whole <= room:
            spent += whole
            continue
        for word in range(low, high):
            if spent and spent + costs[word] > room:
                runs.append((start, word))
                start, spent, room = word, 0, budget
            spent += int(costs[word])
    if start < len(tokens.words):
        runs.append((start, len(tokens.words)))
    return runs


def widen(tokens: Tokens, run: tuple[int, int], budget: int) -> tuple[int, int]:
    """Return the run with context on both sides, as evenly as the document allows."""
    costs = tokens.costs
    low, high = run
    room = budget - int(costs[low:high].sum())
    sides = [True, True]
    while any(sides):
        for side in (0, 1):
            if not sides[side]:
                continue
            word = low - 1 if side == 0 else high
            if not 0 <= word < len(costs) or costs[word] > room:
                sides[side] = False
                continue
            room -= int(costs[word])
            low, high = (word, high) if side == 0 else (low, word + 1)
    return low, high


def window(tokens: Tokens, run: tuple[int, int], around: tuple[int, int], pieces: Pieces) -> Window:
    """Return the row over the words `around`, of which those of `run` are judged."""
    ids = [pieces.opening]
    words = [-1]
    kinds = [Piece.SPECIAL]
    firsts: list[int] = []
    for word in range(*around):
        if tokens.opens[word] and word > around[0]:
            ids.append(pieces.closing)
            words.append(-1)
            kinds.append(Piece.SPECIAL)
        if run[0] <= word < run[1]:
            firsts.append(len(ids))
        row = tokens.pieces[word]
        ids.extend(row)
        words.extend([word] * len(row))
        kinds.append(Piece.OPENS_SENTENCE if tokens.opens[word] else Piece.FIRST)
        kinds.extend([Piece.NEXT] * (len(row) - 1))
    ids.append(pieces.closing)
    words.append(-1)
    kinds.append(Piece.SPECIAL)
    places = np.asarray(words, dtype=np.int64)
    features = np.zeros((len(ids), len(FEATURES)), dtype=np.int64)
    real = places >= 0
    features[real] = tokens.features[places[real]][:, [0, 0, 1, 2]]
    features[:, 1] = kinds
    return Window(ids, features, places, np.asarray(firsts, dtype=np.int64), *run)


def windows(
    tokens: Tokens, pieces: Pieces, length: int, *, context: bool = True, first: int | None = None
) -> list[Window]:
    """Return the rows of a document, at most `length` sub-tokens each.

    Args:
        tokens: the document.
        pieces: what gives the special tokens.
        length: sub-tokens of a row, special ones included; at least `SHORTEST`.
        context: judge half a row at a time, with context around it; else whole rows.
        first: the budget of the first row, for cuts at other places.
    """
    if length < SHORTEST:
        raise ValueError(f"a window of {length} sub-tokens; the least is {SHORTEST}")
    room = length - 2
    if int(tokens.costs.sum()) <= room and first is None:
        runs = [(0, len(tokens.words))] if tokens.words else []
        return [window(tokens, run, run, pieces) for run in runs]
    runs = partition(tokens, room // 2 if context else room, first)
    return [
        window(tokens, run, widen(tokens, run, room) if context else run, pieces) for run in runs
    ]
