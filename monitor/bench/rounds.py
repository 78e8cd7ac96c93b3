"""Rounds that are interleaved between the contestants, so that a busy machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import numpy as np

from monitor.bench.contestant import Contestant, Labels, Precision
from monitor.bench.corpus import Corpus, spread

LEAST_AGREEMENT: Final = 0.99
"""Share of labels like the reference's below which a speed means nothing and is not reported."""

LEAST_TEXTS: Final = 32
"""Of a round, however slow the contestant: one batch of the slowest."""

_FIRST: Final = 4
_GUESS: Final = 16

Clock = Callable[[], float]
Advance = Callable[[str, float], None]
"""Told what was done and how many seconds of the plan that was."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured in each round.

    `seconds` a contestant, but at least `LEAST_TEXTS`, or `least_tokens` where it sorts: among few
    texts there is nothing to sort. `check` texts are compared with the reference's labels.
    """

    rounds: int
    seconds: float
    check: int
    least_tokens: int


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of one contestant; `cpu` are seconds of all threads of the process."""

    seconds: float
    cpu: float


@dataclass(slots=True)
class Measured:
    """A contestant on a corpus.

    Texts are those of the whole corpus's mean length, `mean_tokens`: a contestant that is slow
    labels few, whose mean may be another.
    """

    name: str
    precision: Precision
    texts: int  # of a round
    tokens: int  # of a round, padding not included
    flops: float  # useful ones of a round
    mean_tokens: float  # of a text of the whole corpus
    rounds: list[Round] = field(default_factory=list)
    agreement: float = 1.0
    compared: int = 0  # labels
    failure: str | None = None

    @property
    def rates(self) -> list[float]:
        """Texts a second, each round."""
        return [self.tokens / self.mean_tokens / round_.seconds for round_ in self.rounds]

    @property
    def texts_per_second(self) -> float:
        return median(self.rates)

    @property
    def tokens_per_second(self) -> float:
        return self.texts_per_second * self.mean_tokens

    @property
    def cpu_per_thousand(self) -> float:
        """CPU seconds for 1,000 texts."""
        cpu = median(round_.cpu for round_ in self.rounds)
        return cpu * 1_000 * self.mean_tokens / self.tokens

    @property
    def flops_per_second(self) -> float:
        return self.tokens_per_second * self.flops / self.tokens

    @property
    def refusal(self) -> str | None:
        """Why there is no speed to report, or None."""
        if self.failure is not None:
            return self.failure
        if self.agreement < LEAST_AGREEMENT:
            return (
                f"{self.agreement:.4f} of {self.compared} labels are the reference's, below"
                f" {LEAST_AGREEMENT}: it computes something else, so its speed is not reported"
            )
        return None


def ratios(first: Measured, second: Measured) -> list[float]:
    """Return how many times faster the first is, round by round."""
    return [a / b for a, b in zip(first.rates, second.rates, strict=True)]


def agreement(found: Labels, truth: Labels) -> float:
    """Return the share of equal labels, both tasks counted."""
    return float(np.mean(found == truth))


def measure(
    contestants: Sequence[Contestant],
    corpus: Corpus,
    plan: Plan,
    *,
    flops: Callable[[Sequence[int]], float],
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
    between: Callable[[], None] = lambda: None,
    advance: Advance = lambda _what, _seconds: None,
) -> list[Measured]:
    """Measure all contestants, of which the first is the reference.

    Each gets as many texts as `plan` says, the same in all rounds, of the same composition
    (`corpus.spread`). `between` runs before each round. A peer that raises is reported
    as failed and takes no further part; the reference must not fail.
    """
    order = spread([int(tokens) for tokens in corpus.tokens])
    truth = np.full((len(corpus.texts), 2), -1, np.int64)
    known = sorted(order[: plan.check])
    reference = contestants[0]
    found: list[Measured] = []
    shares: list[list[int]] = []
    for contestant in contestants:
        failure = None
        try:
            rows = _share(contestant, corpus, order, plan, clock)
        except Exception as error:
            if contestant is reference:
                raise
            failure, rows = f"failed: {_first_line(error)}", sorted(order[:LEAST_TEXTS])
        tokens = [int(count) for count in corpus.tokens[rows]]
        shares.append(rows)
        found.append(
            Measured(
                contestant.name,
                contestant.precision,
                len(rows),
                sum(tokens),
                flops(tokens),
                float(corpus.tokens.mean()),
                failure=failure,
            )
        )
        advance(f"{corpus.kind}: warm-up", plan.seconds / 2)
    truth[known] = reference.label([corpus.texts[row] for row in known])
    advance(f"{corpus.kind}: labels of the reference", plan.seconds)
    for number in range(plan.rounds):
        between()
        # Another one begins each round: what a round's first suffers is nobody's lot.
        for turn in range(len(contestants)):
            index = (turn + number) % len(contestants)
            one, rows = found[index], shares[index]
            if one.failure is None:
                _turn(contestants[index], corpus, rows, one, truth, clock, cpu_clock)
            advance(f"{corpus.kind}: round {number + 1}, {one.name} {one.precision}", plan.seconds)
    return found


def _turn(
    contestant: Contestant,
    corpus: Corpus,
    rows: list[int],
    one: Measured,
    truth: Labels,
    clock: Clock,
    cpu_clock: Clock,
) -> None:
    texts = [corpus.texts[row] for row in rows]
    cpu, start = cpu_clock(), clock()
    try:
        labels = contestant.label(texts)
    except Exception as error:  # noqa: BLE001 - foreign code raises whatever it likes
        one.failure = f"failed: {_first_line(error)}"
        return
    one.rounds.append(Round(max(clock() - start, 1e-9), cpu_clock() - cpu))
    compared = truth[rows][:, 0] >= 0
    one.compared = int(compared.sum()) * 2
    one.agreement = min(one.agreement, agreement(labels[compared], truth[rows][compared]))


def _share(
    contestant: Contestant, corpus: Corpus, order: Sequence[int], plan: Plan, clock: Clock
) -> list[int]:
    """The rows of a round of this contestant, which is warmed up on the way."""
    least = round(plan.least_tokens / float(corpus.tokens.mean())) if contestant.sorts else 0
    least = max(LEAST_TEXTS, least)
    contestant.label(corpus.take(sorted(order[:_FIRST])).texts)  # the first pass compiles
    rate = _rate(contestant, corpus, order[:_GUESS], clock)
    if rate * plan.seconds > least:
        # What a small call costs beside its texts would make the share too small.
        more = order[: max(_GUESS, round(rate * plan.seconds / 4))]
        rate = max(rate, _rate(contestant, corpus, more, clock))
    return sorted(order[: max(least, round(rate * plan.seconds))])


def _rate(contestant: Contestant, corpus: Corpus, rows: Sequence[int], clock: Clock) -> float:
    texts = corpus.take(sorted(rows)).texts
    start = clock()
    contestant.label(texts)
    return len(texts) / max(clock() - start, 1e-9)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"
