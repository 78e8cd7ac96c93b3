"""From logits of words to tags: the best sequence among those that IOB2 allows."""

from typing import Final

import numpy as np
import numpy.typing as npt

from models.tokens.tags import OUTSIDE, TAGS

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def _allowed() -> npt.NDArray[np.bool_]:
    return np.array([[not b.startswith("I-") or a[2:] == b[2:] != "" for b in TAGS] for a in TAGS])


ALLOWED: Final = _allowed()
"""[tag, next tag]: I goes on with B or I of its type only."""
_OPENS: Final = ALLOWED[TAGS.index(OUTSIDE)]


def viterbi(logits: Floats) -> Integers:
    """Return the tags [words] of a sentence's logits [words, tags] with the greatest sum.

    Source: Viterbi 1967; transitions that IOB2 forbids cost infinity, all others nothing.
    """
    if not len(logits):
        return np.zeros(0, dtype=np.int64)
    moves = np.where(ALLOWED, 0.0, -np.inf)
    best = logits[0] + np.where(_OPENS, 0.0, -np.inf)
    back = np.zeros((len(logits), len(TAGS)), dtype=np.int64)
    for word in range(1, len(logits)):
        paths = best[:, None] + moves
        back[word] = paths.argmax(0)
        best = paths.max(0) + logits[word]
    found = np.empty(len(logits), dtype=np.int64)
    found[-1] = best.argmax()
    for word in range(len(logits) - 1, 0, -1):
        found[word - 1] = back[word, found[word]]
    return found
