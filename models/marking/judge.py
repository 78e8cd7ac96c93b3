"""What a network says of examples: words' tags, and logits of the sentiment towards entities."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from models.network import budget_of
from models.marking.examples import Example, joined_words, of_sentences
from models.marking.network import SpanNetwork
from models.marking.rows import Integers, collate
from models.tokens.decode import Floats, viterbi
from models.tokens.read import Sentence
from models.tokens.tags import OUTSIDE, TAGS, as_iob2

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MULTIPLE = 8


@torch.inference_mode()
def tokens_of(
    network: SpanNetwork, examples: Sequence[Example], tokenizer: "Tokenizer", device: str = "cpu"
) -> list[tuple[Integers, Floats]]:
    """Return of each example the characters of its tokens, [T, 2], and their logits, [T, 12]."""
    order = [row for row, example in enumerate(examples) if example.text]
    order.sort(key=lambda row: len(examples[row].text), reverse=True)
    found: list[tuple[Integers, Floats]] = [(np.zeros((0, 2), np.int64), np.zeros((0, 12)))] * len(
        examples
    )
    budget, start = budget_of(device), 0
    while start < len(order):
        # Four characters a token, at least; a pass is to hold about `budget` of them.
        length = max(16, len(examples[order[start]].text) // 3)
        rows = order[start : start + max(1, budget // length)]
        batch = collate(
            [examples[row] for row in rows], tokenizer, network.pad_id, device, _MULTIPLE
        )
        logits = network.both(batch.ids, batch.mask, batch.shapes)[1].double().cpu().numpy()
        first = 0
        for row, offsets in zip(rows, batch.offsets, strict=True):
            found[row] = (offsets, logits[first : first + len(offsets)])
            first += len(offsets)
        start += len(rows)
    return found


def tags_of(
    offsets: Integers, logits: Floats, words: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    """Return the tag of each word, at these characters: that of its first sub-token.

    The best sequence of tags is sought over the sub-tokens. A word without one is outside.
    """
    real = np.flatnonzero(offsets[:, 0] < offsets[:, 1])
    tags = viterbi(logits[real, : len(TAGS)])
    starts, ends = offsets[real, 0], offsets[real, 1]
    found: list[str] = []
    for start, end in words:
        place = int(np.searchsorted(ends, start, side="right"))
        inside = place < len(real) and starts[place] < end
        found.append(TAGS[tags[place]] if inside else OUTSIDE)
    return tuple(found)


def towards(
    offsets: Integers, logits: Floats, start: int, end: int
) -> Floats | None:
    """Return the logits of the sentiment towards what stands at these characters, [3].

    The mean over its sub-tokens; None where the tokeniser has cut it away.
    """
    inside = (offsets[:, 0] < end) & (offsets[:, 1] > start) & (offsets[:, 0] < offsets[:, 1])
    if not inside.any():
        return None
    found: Floats = logits[inside, len(TAGS) :].mean(0)
    return found


def judged_tags(
    network: SpanNetwork,
    texts: Sequence[Sequence[Sentence]],
    tokenizer: "Tokenizer",
    device: str = "cpu",
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the true and the predicted tags of each sentence; sentences of a text are read as one.

    Words of the files become running text first, as the model meets it elsewhere.
    """
    examples = [of_sentences(sentences, frozenset()) for sentences in texts]
    truth: list[tuple[str, ...]] = []
    predicted: list[tuple[str, ...]] = []
    for sentences, (offsets, logits) in zip(
        texts, tokens_of(network, examples, tokenizer, device), strict=True
    ):
        _, places = joined_words([word for s in sentences for word in s.words])
        tags = tags_of(offsets, logits, places)
        first = 0
        for sentence in sentences:
            truth.append(sentence.tags)
            predicted.append(as_iob2(tags[first : first + len(sentence.words)]))
            first += len(sentence.words)
    return truth, predicted


def judged_targets(
    network: SpanNetwork, examples: Sequence[Example], tokenizer: "Tokenizer", device: str = "cpu"
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the likeliest true sentiment of each entity that has one, [n], and its logits, [n, 3].

    An entity that the tokeniser has cut away is judged neutral.
    """
    truth: list[int] = []
    found: list[Floats] = []
    for example, (offsets, logits) in zip(
        examples, tokens_of(network, examples, tokenizer, device), strict=True
    ):
        for mark in example.targets:
            truth.append(int(np.argmax(mark.sentiment or ())))
            judged = towards(offsets, logits, mark.start, mark.end)
            found.append(np.array([0.0, 1.0, 0.0]) if judged is None else judged)
    return np.array(truth, dtype=np.int64), np.array(found).reshape(-1, 3)
