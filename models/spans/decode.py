"""From the logits of sub-tokens to tags and scores, a whole batch at once."""

from typing import Final

import numpy as np
import numpy.typing as npt

from models.spans.shapes import SPECIAL, opens_sentence, starts_word
from models.spans.verdicts import TokenVerdicts
from models.tokens.tags import TAGS

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_TYPES: Final = len(TAGS) // 2


def verdicts(
    logits: Floats,
    data: npt.NDArray[np.int32],
    counts: Integers,
    temperature: float = 1.0,
    tag_temperature: float = 1.0,
) -> TokenVerdicts:
    """Return what the logits say of n texts.

    Args:
        logits: float32 [T, COLUMNS] of `models.spans.head`, text after text.
        data: int32 [4, T] of `models.spans.encoded`.
        counts: [n], tokens of each text, specials included.
        temperature: of the sentiment.
        tag_temperature: of the tags; it changes how sure they are, and no tag.
    """
    real = data[3] != SPECIAL
    rows = np.repeat(np.arange(len(counts)), counts)[real]
    shapes, own = data[3][real], logits[real]
    first = starts_word(shapes)
    first[1:] |= rows[1:] != rows[:-1]
    first[:1] = True
    words = np.flatnonzero(first)
    opens = opens_sentence(shapes[words])
    opens[1:] |= rows[words[1:]] != rows[words[:-1]]
    opens[:1] = True
    found, scores = decoded(own[words, : len(TAGS)] / np.float32(tag_temperature), opens)
    word = np.cumsum(first) - 1
    tags = found[word]
    tags += (tags % 2 == 1) & ~first  # the rest of the word that opens a name goes on with it
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(counts)), out=offsets[1:])
    return TokenVerdicts(
        offsets, data[1][real], data[2][real], tags, scores[word], own[:, len(TAGS) :], temperature
    )


def decoded(
    logits: Floats, opens: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return the tags int8 [words] of greatest sum that IOB2 allows, and the probability of each.

    Args:
        logits: float32 [words, len(TAGS)].
        opens: [words], the first words of sentences; no name reaches from one into the next.

    Where the greatest logit of every word gives a sequence that is allowed, no other is better;
    Viterbi's algorithm runs over the other sentences alone.
    """
    tags = logits.argmax(1).astype(np.int8)
    kinds = (tags + 1) // 2
    before = np.zeros_like(kinds)
    before[1:] = kinds[:-1]
    before[opens] = 0
    wrong = (tags > 0) & (tags % 2 == 0) & (kinds != before)
    if wrong.any():
        starts = np.flatnonzero(opens)
        sentences = np.unique((np.cumsum(opens) - 1)[wrong])
        ends = np.append(starts[1:], len(tags))
        _viterbi(logits, starts[sentences], ends[sentences] - starts[sentences], tags)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    scores = shares[np.arange(len(tags)), tags] / shares.sum(1)
    return tags, scores


def _viterbi(
    logits: Floats, starts: Integers, lengths: Integers, into: npt.NDArray[np.int8]
) -> None:
    """Write the best allowed tags of sentences, all of them a word further at each step.

    Source: Viterbi 1967; O and B may follow everything, I only B and I of its type.
    """
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    best = logits[starts].astype(np.float64)
    best[:, 2::2] = -np.inf
    back: list[npt.NDArray[np.int8]] = []
    for word in range(1, int(lengths[0])):
        going = int(np.searchsorted(-lengths, -word, "left"))  # sentences longer than `word`
        state = best[:going]
        each = np.arange(going)
        origin = np.empty((going, len(TAGS)), np.int8)
        origin[:] = state.argmax(1)[:, None]
        openings, inside = state[:, 1::2], state[:, 2::2]
        longer = inside > openings
        origin[:, 2::2] = np.arange(1, 2 * _TYPES, 2, dtype=np.int8) + longer
        back.append(origin)
        reached = np.repeat(state[each, origin[:, 0]][:, None], len(TAGS), axis=1)
        reached[:, 2::2] = np.where(longer, inside, openings)
        best[:going] = reached + logits[starts[:going] + word]
    tags = best.argmax(1).astype(np.int8)  # of the last words
    into[starts + lengths - 1] = tags
    for word in range(int(lengths[0]) - 1, 0, -1):
        origin = back[word - 1]
        going = len(origin)
        tags[:going] = origin[np.arange(going), tags[:going]]
        into[starts[:going] + word - 1] = tags[:going]
