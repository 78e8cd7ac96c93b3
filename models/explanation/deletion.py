"""The deletion test: do the words with the highest scores carry the verdict?

Source: DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", section 4.
Comprehensiveness is what the probability of the class loses when the words are deleted (more is
better), sufficiency what it loses when nothing but the words is left (less is better).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.errors import ModelError
from models.evaluation.metrics import Interval, percentile_interval
from models.explanation.attribution import BOUND, CAP, Advance, integrate, probabilities
from models.explanation.rankings import attention_rollout, gradient_times_input
from models.explanation.reading import LogOdds, Reading, read
from models.explanation.record import Baseline
from models.labels import Task
from models.predict import Predictor

SHARES: Final = (0.1, 0.2, 0.3)
"""Shares of a text's words that are deleted or kept."""
SEEDS: Final = 5
"""Draws of random words for each text."""
FEWEST: Final = 5
"""Words that a text needs for its tenth to be a word at all."""

OURS: Final = "integrated gradients"
RANDOM: Final = "random words"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """Means over the texts for one ranking and one share of the words.

    `tokens`: share of a text's sub-tokens that the words had.
    """

    ranking: str
    share: float
    comprehensiveness: Interval
    sufficiency: Interval
    tokens: float


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much integrated gradients are better than another ranking, texts paired.

    Means over all shares, in probability; above 0 integrated gradients are better.
    """

    against: str
    comprehensiveness: Interval
    sufficiency: Interval


@dataclass(frozen=True, slots=True)
class Deletion:
    """The whole test. `errors` are the completeness errors of the texts, sorted."""

    model: str
    task: Task
    baseline: Baseline
    texts: int
    passed_over: int  # texts of fewer than `FEWEST` words
    probability: float  # mean, of the classes explained
    points: tuple[Point, ...]
    gains: tuple[Gain, ...]
    errors: tuple[float, ...]


def deletion_test(
    predictor: Predictor,
    texts: Sequence[str],
    *,
    task: Task = "sentiment",
    baseline: Baseline = "pad",
    seed: int = 0,
    advance: Advance = lambda _done, _all: None,
) -> Deletion:
    """Delete and keep the words that speak most for each text's likeliest class.

    Words are those with a letter or a digit; their tokens are taken out of the row, specials stay.
    All rankings take the same number of words of a text.

    Raises:
        ModelError: no text has words enough, or as `explain`.
    """
    rng = np.random.default_rng(seed)
    drops: dict[str, list[Floats]] = {}
    errors: list[float] = []
    found: list[float] = []
    for done, text in enumerate(texts, start=1):
        advance(done, len(texts))
        try:
            reading = read(predictor, text)
        except ModelError:
            continue  # of links alone
        eligible = _eligible(reading)
        if len(eligible) < FEWEST:
            continue
        shares = probabilities(predictor, [reading.row], task)[0]
        target = int(shares.argmax())
        integral = integrate(predictor, reading, task, target, baseline, BOUND, CAP)
        errors.append(integral.error)
        found.append(float(shares[target]))
        function = LogOdds(predictor, reading.row, task, target)
        orders = {
            OURS: [integral.scores],
            "gradient x input": [gradient_times_input(reading, function)],
            RANDOM: [rng.random(len(reading.words)) for _ in range(SEEDS)],
        }
        rollout = attention_rollout(predictor, reading)
        if rollout is not None:
            orders["attention rollout"] = [rollout]
        for name, each in _drops(predictor, reading, eligible, orders, task, target).items():
            drops.setdefault(name, []).append(each)
    if not errors:
        raise ModelError(
            f"the deletion test needs texts of at least {FEWEST} words; none of"
            f" {len(texts)} has as many"
        )
    # A ranking that some texts do not have cannot be paired.
    values = {name: np.stack(rows) for name, rows in drops.items() if len(rows) == len(errors)}
    return Deletion(
        model=predictor.version,
        task=task,
        baseline=baseline,
        texts=len(errors),
        passed_over=len(texts) - len(errors),
        probability=float(np.mean(found)),
        points=tuple(
            Point(
                ranking=name,
                share=share,
                comprehensiveness=mean_interval(rows[:, index, 0]),
                sufficiency=mean_interval(rows[:, index, 1]),
                tokens=float(rows[:, index, 2].mean()),
            )
            for name, rows in values.items()
            for index, share in enumerate(SHARES)
        ),
        gains=tuple(
            Gain(
                against=name,
                comprehensiveness=mean_interval((values[OURS] - rows)[:, :, 0].mean(1)),
                sufficiency=mean_interval((rows - values[OURS])[:, :, 1].mean(1)),
            )
            for name, rows in values.items()
            if name != OURS
        ),
        errors=tuple(sorted(errors)),
    )


def mean_interval(values: Floats, rounds: int = 2_000, seed: int = 0) -> Interval:
    """Return the mean of [n] values with its 95 % percentile bootstrap interval."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (rounds, len(values)))].mean(1)
    return percentile_interval(float(values.mean()), means)


def _eligible(reading: Reading) -> list[int]:
    return [
        index
        for index, word in enumerate(reading.words)
        if any(c.isalnum() for c in reading.text.text[word.start : word.end])
    ]


def _drops(
    predictor: Predictor,
    reading: Reading,
    eligible: Sequence[int],
    orders: dict[str, list[Floats]],
    task: Task,
    target: int,
) -> dict[str, Floats]:
    """Return comprehensiveness, sufficiency and share of tokens, [shares, 3], of each ranking."""
    reader = predictor.reader
    ends = {*range(reader.before), *range(len(reading.row) - reader.after, len(reading.row))}
    inner = len(reading.row) - len(ends)
    rows: list[list[int]] = [list(reading.row)]
    sizes: list[float] = []
    for scorings in orders.values():
        for scores in scorings:
            ranked = sorted(eligible, key=lambda index: -float(scores[index]))
            for share in SHARES:
                top = ranked[: max(1, round(share * len(ranked)))]
                taken = {place for index in top for place in reading.tokens[index]}
                rows.append([t for i, t in enumerate(reading.row) if i not in taken])
                rows.append([t for i, t in enumerate(reading.row) if i in taken or i in ends])
                sizes.append(len(taken) / inner)
    whole, *others = probabilities(predictor, rows, task)[:, target]
    lost = (whole - np.array(others)).reshape(-1, len(SHARES), 2)
    each = np.concatenate([lost, np.array(sizes).reshape(-1, len(SHARES), 1)], axis=2)
    found: dict[str, Floats] = {}
    start = 0
    for name, scorings in orders.items():
        found[name] = each[start : start + len(scorings)].mean(0)
        start += len(scorings)
    return found
