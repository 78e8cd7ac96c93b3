"""Integrated gradients of each word, with the error that the sum of their scores has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.errors import ModelError
from models.explanation.reading import LogOdds, Reading, read, replacement_of
from models.explanation.record import Baseline, Explanation, Word
from models.labels import LABELS, TASKS, Task
from models.predict import Predictor
from models.softmax import scaled

BOUND: Final = 0.05
"""Completeness error under which the integral is fine enough."""
FIRST: Final = 16
CAP: Final = 512
"""Steps of the integral: of the first attempt and of the last."""
SMALLEST: Final = 0.1
"""Differences of log-odds below this count as this in the completeness error."""
BUDGET: Final = 2_048
"""Tokens of a pass forward and back, unless one step alone has more."""

Floats = npt.NDArray[np.float64]
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Integral:
    """The score of each word, [words], the difference they explain, and how it was found."""

    scores: Floats
    difference: float
    error: float  # of completeness, see `Explanation`
    steps: int


def explain(
    predictor: Predictor,
    texts: Sequence[str],
    *,
    task: Task = "sentiment",
    target: str | None = None,
    baseline: Baseline = "pad",
    bound: float = BOUND,
    cap: int = CAP,
    advance: Advance = lambda _done, _all: None,
) -> tuple[Explanation, ...]:
    """Explain the verdict on each text; the probabilities are those of `Predictor.predict`.

    Args:
        predictor: loaded in float32.
        target: the class to explain; None is the likeliest class of each text.
        baseline: the token whose embedding stands for "no word".
        bound: the steps of the integral are doubled until the completeness error is below this,
        cap: or until they are this many.
        advance: told (texts done, texts in all).

    Raises:
        ModelError: no such class, a text without words, a predictor in 16 bits, no captum.
    """
    names = LABELS[task]
    wanted = None if target is None else class_of(task, target)
    found: list[Explanation] = []
    for done, text in enumerate(texts, start=1):
        reading = read(predictor, text)
        shares = probabilities(predictor, [reading.row], task)[0]
        index = int(shares.argmax()) if wanted is None else wanted
        integral = integrate(predictor, reading, task, index, baseline, bound, cap)
        found.append(
            Explanation.model_validate(
                {
                    "model": predictor.version,
                    "task": task,
                    "class": names[index],
                    "probability": round(float(shares[index]), 6),
                    "words": _words(text, reading, integral.scores),
                    "difference": round(integral.difference, 6),
                    "completeness_error": round(integral.error, 6),
                    "steps": integral.steps,
                    "baseline": baseline,
                }
            )
        )
        advance(done, len(texts))
    return tuple(found)


def class_of(task: Task, name: str) -> int:
    """Return the index of a class by its name, in any case.

    Raises:
        ModelError: no such class of the task.
    """
    for index, label in enumerate(LABELS[task]):
        if label.lower() == name.strip().lower():
            return index
    other = next(
        (f"; it is a class of --task {t}" for t in TASKS if t != task and name in LABELS[t]), ""
    )
    raise ModelError(
        f"class {name!r}: {task} has {', '.join(repr(label) for label in LABELS[task])}{other}"
    )


def probabilities(predictor: Predictor, rows: Sequence[Sequence[int]], task: Task) -> Floats:
    """Return the calibrated probabilities of rows of tokens, [n, classes]."""
    logits = predictor.logits(rows)[task]
    return scaled(logits, predictor.manifest.heads[task].temperature)


def by_word(reading: Reading, function: LogOdds, attributions: Tensor) -> Floats:
    """Return the score of each word, [words], from those of all embeddings, [1, w, l, hidden].

    A token in two windows has what it says in both.
    """
    each = attributions.detach().sum(-1)[0].double().cpu().numpy()
    places = np.zeros(len(reading.row))
    for window, cut in enumerate(function.places):
        places[cut] += each[window, : len(cut)]
    return np.array([places[list(tokens)].sum() for tokens in reading.tokens])


def integrate(
    predictor: Predictor,
    reading: Reading,
    task: Task,
    target: int,
    baseline: Baseline,
    bound: float,
    cap: int,
) -> Integral:
    """Integrate the gradients of the log-odds of a class, finely enough for the bound.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", equation 1, by
    Gauss-Legendre quadrature; completeness is their proposition 1.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ModelError(
            "explanations need captum; install it with: pip install 'monitor[train]'"
        ) from error
    function = LogOdds(predictor, reading.row, task, target)
    replacement = replacement_of(predictor.tokenizer, predictor.network.pad_id, baseline)
    start, end = function.baseline(replacement), function.embeddings()
    with torch.no_grad():
        difference = float(function(end) - function(start))
    method = IntegratedGradients(function)
    steps = FIRST
    while True:
        attributions = method.attribute(
            end,
            baselines=start,
            n_steps=steps,
            method="gausslegendre",
            internal_batch_size=max(1, BUDGET // function.tokens),
        )
        total = float(attributions.sum())
        missed = abs(total - difference) / max(abs(difference), SMALLEST)
        if missed < bound or steps * 2 > cap:
            return Integral(by_word(reading, function, attributions), difference, missed, steps)
        steps *= 2


def _words(text: str, reading: Reading, scores: Floats) -> list[Word]:
    found: list[Word] = []
    for word, score in zip(reading.words, scores, strict=True):
        start, end = reading.text.span(word.start, word.end)
        if found and start < found[-1].end:
            # Two words of one origin, as of an entity that stands for several characters.
            last = found.pop()
            start, score = last.start, score + last.score
        found.append(Word(start=start, end=end, text=text[start:end], score=round(float(score), 6)))
    return found
