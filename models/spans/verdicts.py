"""What the token head says of many texts: names in them, and the sentiment towards any part."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt

from models.softmax import scaled

Integers = npt.NDArray[np.int64]
Kind = Literal["location", "other", "organisation", "person"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""What a name is of, in the order of `models.tokens.tags.TYPES`."""
_ROW: Final = 1 << 20
"""More than the characters of any text, for one sorted key of a text and a character in it."""


class Span(NamedTuple):
    """A name: characters `start` to `end` of the normalised text, the latter excluded."""

    start: int
    end: int
    type: Kind
    score: float
    """How sure the model is: the mean over its sub-tokens of the probability of their tag."""


@dataclass(frozen=True, eq=False)
class TokenVerdicts:
    """The sub-tokens of n texts, text after text, specials left out; T of them in all.

    Characters are those of `models.text.normalise(text)`. A text that was not judged has no tokens.
    """

    offsets: Integers
    """[n + 1]: where each text's tokens begin and, last, T."""
    starts: npt.NDArray[np.int32]
    """[T]: first character."""
    ends: npt.NDArray[np.int32]
    """[T]: last character, excluded."""
    tags: npt.NDArray[np.int8]
    """[T]: places in `models.tokens.tags.TAGS`; a sequence that IOB2 allows."""
    scores: npt.NDArray[np.float32]
    """[T]: probability of the tag of the token's word."""
    sentiment: npt.NDArray[np.float32]
    """[T, 3]: logits of negative, neutral and positive towards what the token names."""
    temperature: float = 1.0
    """Of the sentiment."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.offsets) - 1

    @property
    def finite(self) -> bool:
        """Return whether the model gave numbers."""
        return bool(np.isfinite(self.scores).all() and np.isfinite(self.sentiment).all())

    def spans(self, text: int) -> list[Span]:
        """Return the names in a text, in its order."""
        first, starts, ends, kinds, scores = self._names
        part = slice(first[text], first[text + 1])
        rows = zip(starts[part], ends[part], kinds[part], scores[part], strict=True)
        return [Span(start, end, KINDS[kind], score) for start, end, kind, score in rows]

    def sentiment_of(self, text: int, start: int, end: int) -> tuple[float, float, float] | None:
        """Return the calibrated (negative, neutral, positive) towards what these characters name.

        None where the model has read nothing of them: beyond its reach, or the text was not judged.
        For many places `sentiments_of` is the cheap way.
        """
        negative, neutral, positive = self.sentiments_of([text], [start], [end])[0].tolist()
        return None if negative != negative else (negative, neutral, positive)  # NaN

    def sentiments_of(
        self, texts: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Return `sentiment_of` of many places at once, float32 [places, 3]; NaN for None."""
        rows = np.asarray(texts, np.int64) * _ROW
        at_starts, at_ends, sums = self._places
        low = np.searchsorted(at_ends, rows + np.asarray(starts, np.int64), "right")
        high = np.searchsorted(at_starts, rows + np.asarray(ends, np.int64), "left")
        count = (high - low)[:, None]
        means = (sums[high] - sums[low]) / np.maximum(count, 1)
        found = scaled(means, self.temperature).astype(np.float32)
        found[count[:, 0] < 1] = np.nan
        return found

    @classmethod
    def gathered(
        cls, count: int, parts: Sequence[tuple[Sequence[int], Sequence[int], "TokenVerdicts"]]
    ) -> Self:
        """Return the verdicts of `count` texts from parts of them.

        A part is: the places of its texts among the `count`, their places in it, and it. A text
        that is in no part has no tokens.
        """
        lengths = np.zeros(count, np.int64)
        for places, rows, part in parts:
            lengths[places] = np.diff(part.offsets)[rows]
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        total = int(offsets[-1])
        found = cls(
            offsets,
            np.empty(total, np.int32),
            np.empty(total, np.int32),
            np.empty(total, np.int8),
            np.empty(total, np.float32),
            np.empty((total, 3), np.float32),
            parts[0][2].temperature if parts else 1.0,
        )
        for places, rows, part in parts:
            own = lengths[places]
            source = runs(part.offsets[:-1][rows], own)
            target = runs(offsets[:-1][places], own)
            for name in ("starts", "ends", "tags", "scores", "sentiment"):
                getattr(found, name)[target] = getattr(part, name)[source]
        return found

    @cached_property
    def _names(self) -> tuple[list[int], list[int], list[int], list[int], list[float]]:
        """Where each text's names begin, [n + 1]; start, end, kind and score of each name."""
        inside = (self.tags > 0) & (self.tags % 2 == 0)
        others = np.append(np.flatnonzero(~inside), len(self.tags))
        first = np.flatnonzero(self.tags % 2 == 1)
        last = others[np.searchsorted(others, first, "right")]
        sums = np.append(0.0, np.cumsum(self.scores, dtype=np.float64))
        scores = (sums[last] - sums[first]) / (last - first)
        kinds = self.tags[first] // 2
        return (
            np.searchsorted(first, self.offsets).tolist(),
            self.starts[first].tolist(),
            self.ends[last - 1].tolist(),
            kinds.tolist(),
            scores.tolist(),
        )

    @cached_property
    def _places(self) -> tuple[Integers, Integers, npt.NDArray[np.float64]]:
        """Sorted keys of the tokens' starts and ends [T], and sums of the logits before [T + 1]."""
        rows = np.repeat(np.arange(len(self)) * _ROW, np.diff(self.offsets))
        sums = np.zeros((len(rows) + 1, 3))
        np.cumsum(self.sentiment, axis=0, out=sums[1:])
        return rows + self.starts, rows + self.ends, sums


def runs(starts: Integers, lengths: Integers) -> Integers:
    """Return the numbers of runs one after the other: starts[0], starts[0] + 1, ..."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + lengths, lengths)
