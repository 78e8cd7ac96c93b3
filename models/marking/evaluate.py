"""How names are found and targets judged: the figures of a file."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from models.evaluation.metrics import Counts, Floats
from models.marking.examples import Example, joined_words, of_sentences
from models.marking.judge import Judge
from models.marking.report import Against, against
from models.spans.verdicts import KINDS, Span
from models.text import normalise
from models.tokens.read import Sentence
from models.tokens.report import Report, report
from models.tokens.tags import OUTSIDE, TYPES

_TYPE: Final = dict(zip(KINDS, TYPES, strict=True))


def names_report(judge: Judge, runs: Sequence[Sequence[Sentence]], types: frozenset[str]) -> Report:
    """Return the scores on tagged sentences; see `models.tokens.report`.

    Words become running text first, and the sentences of a run are read together. A name of a type
    that the file never marks, so that it is not among `types`, is not counted as found.
    """
    texts = [of_sentences(run, types).text for run in runs]
    found, _ = judge(texts)
    truth: list[tuple[str, ...]] = []
    predicted: list[tuple[str, ...]] = []
    for number, run in enumerate(runs):
        words = [word for sentence in run for word in sentence.words]
        names = [name for name in found.spans(number) if _TYPE[name.type] in types]
        tags = _tags(_places(texts[number], words), names)
        for sentence in run:
            truth.append(sentence.tags)
            predicted.append(tuple(tags[: len(sentence.words)]))
            del tags[: len(sentence.words)]
    return report(truth, predicted)


def targets_report(judge: Judge, examples: Sequence[Example], temperature: float = 1.0) -> Against:
    """Return how targets are judged, beside the sentiment of their text for each of them."""
    return against(*judged_targets(judge, examples), temperature)


def judged_targets(
    judge: Judge, examples: Sequence[Example]
) -> tuple[Counts, Floats, Floats, Counts]:
    """Return of all targets in turn what is true and what was found.

    A target without characters, or beyond what is read, is given the sentiment of its text.

    Returns:
        The true sentiments [n], the head's logits [n, 3], those of the texts [n, 3], and the
        number of the text that each target is in [n].
    """
    found, sentiments = judge([example.text for example in examples])
    found = replace(found, temperature=1.0)
    marks = [(i, mark) for i, example in enumerate(examples) for mark in example.targets]
    owners = np.array([i for i, _ in marks], dtype=np.int64)
    shares = found.sentiments_of(
        owners.tolist(), [mark.start for _, mark in marks], [mark.end for _, mark in marks]
    ).astype(np.float64)
    of_texts = sentiments[owners]
    unread = np.isnan(shares[:, 0])
    logits = np.log(np.maximum(shares, 1e-12))
    logits[unread] = of_texts[unread]
    truth = np.array([np.argmax(mark.sentiment or ()) for _, mark in marks], dtype=np.int64)
    return truth, logits, of_texts, owners


def _places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the characters of words in the text they were joined to, as the model reads it."""
    read_as = normalise(text)
    if read_as == text:
        return joined_words(words)[1]
    found: list[tuple[int, int]] = []
    last = 0
    for word in words:
        clean = normalise(word)
        start = read_as.find(clean, last)
        if clean and start >= 0:
            last = start + len(clean)
            found.append((start, last))
        else:
            found.append((last, last))
    return found


def _tags(places: Sequence[tuple[int, int]], names: Sequence[Span]) -> list[str]:
    found = [OUTSIDE] * len(places)
    for name in names:
        inside = [
            word
            for word, (start, end) in enumerate(places)
            if start < name.end and name.start < end
        ]
        for number, word in enumerate(inside):
            found[word] = f"{'I' if number else 'B'}-{_TYPE[name.type]}"
    return found
