"""How a loaded model finds names and judges targets: the path that texts take in operation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from models.errors import ModelError
from models.evaluation.metrics import Counts, Floats
from models.labels import SENTIMENTS
from models.marking.examples import Example, joined_words, of_sentences, passages, types_in
from models.marking.report import Against, against
from models.network import by_length
from models.predict import Predictor
from models.spans.verdicts import KINDS, Span, TokenVerdicts
from models.text import normalise
from models.tokens.read import read
from models.tokens.report import Report, report
from models.tokens.tags import OUTSIDE, TYPES

Seen = Callable[[int, int], None]
_CHUNK = 2_048
_TYPE = dict(zip(KINDS, TYPES, strict=True))


def verdicts_of(
    predictor: Predictor,
    texts: Sequence[str],
    seen: Seen = lambda _done, _total: None,
) -> tuple[TokenVerdicts, Floats]:
    """Return what the heads say of texts: of their tokens, and the sentiments' logits, [n, 3].

    Raises:
        ModelError: the model has no head over tokens.
    """
    rows = predictor.encode(texts)
    parts: list[tuple[list[int], range, TokenVerdicts]] = []
    sentiments = np.zeros((len(rows), len(SENTIMENTS)))
    done = 0
    for batch in by_length(rows, _CHUNK):
        begun = predictor.begin([rows[i] for i in batch])
        found = begun.result().tokens
        if found is None:
            raise ModelError(
                f"model {predictor.version} has no head over tokens; train one with"
                " `python -m models spans train`, or give another --model"
            )
        parts.append((batch, range(len(batch)), found))
        sentiments[batch] = begun.logits()["sentiment"]
        done += len(batch)
        seen(done, len(rows))
    return TokenVerdicts.gathered(len(rows), parts), sentiments


def names_report(
    predictor: Predictor, path: Path, seen: Seen = lambda _done, _total: None
) -> Report:
    """Return the scores on a file of tagged words; see `models.tokens.report`.

    Words become running text first, and the sentences of a document are read together. A name of a
    type that the file never marks is not counted as found.

    Raises:
        DataError: the file cannot be read. ModelError: the model has no head over tokens.
    """
    documents = read(path)
    types = types_in(documents)
    runs = list(chain.from_iterable(passages(document) for document in documents))
    texts = [of_sentences(run, types).text for run in runs]
    found, _ = verdicts_of(predictor, texts, seen)
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


def targets_report(
    predictor: Predictor,
    examples: Sequence[Example],
    seen: Seen = lambda _done, _total: None,
) -> Against:
    """Return how targets are judged, beside the sentiment of their text for each of them.

    A target without characters, or beyond what is read, is given the sentiment of its text.

    Raises:
        ModelError: the model has no head over tokens.
    """
    truth, logits, of_texts, owners = judged_targets(predictor, examples, seen)
    record = predictor.manifest.spans
    return against(truth, logits, of_texts, owners, 1.0 if record is None else record.temperature)


def judged_targets(
    predictor: Predictor,
    examples: Sequence[Example],
    seen: Seen = lambda _done, _total: None,
) -> tuple[Counts, Floats, Floats, Counts]:
    """Return of all targets the true sentiment [n], the head's logits and those of the text [n, 3],
    and the number of the text [n]."""
    found, sentiments = verdicts_of(predictor, [e.text for e in examples], seen)
    found = replace(found, temperature=1.0)
    marks = [(i, mark) for i, example in enumerate(examples) for mark in example.targets]
    owners = np.array([i for i, _ in marks], dtype=np.int64)
    shares = found.sentiments_of(
        owners.tolist(), [mark.start for _, mark in marks], [mark.end for _, mark in marks]
    ).astype(np.float64)
    logits = np.log(np.maximum(shares, 1e-12))
    of_texts = sentiments[owners]
    unread = np.isnan(shares[:, 0])
    logits[unread] = of_texts[unread]
    truth = np.array([np.argmax(mark.sentiment or ()) for _, mark in marks], dtype=np.int64)
    return truth, logits, of_texts, owners


def _places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the characters of words in the text that they were joined to, as the model reads it."""
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
