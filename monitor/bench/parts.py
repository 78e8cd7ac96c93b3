"""The scorer taken apart: the tokeniser alone, the device alone, both together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from monitor.bench.contestant import Precision
from monitor.bench.corpus import Corpus, Kind, sample
from monitor.bench.ours import Ours
from monitor.bench.rounds import LEAST_TEXTS, Advance, Clock, Plan

PARTS = ("tokeniser only", "device only", "end to end")

SHIPPED = "end to end, in the model's own windows"


@dataclass(frozen=True, slots=True)
class Part:
    """Texts a second of one part, each round; `roof` is the share of the GEMM peak it reaches."""

    kind: Kind
    precision: Precision
    part: str
    texts: int
    rates: list[float]
    roof: float | None = None

    @property
    def texts_per_second(self) -> float:
        return median(self.rates)


def take_apart(
    scorer: Ours,
    corpus: Corpus,
    plan: Plan,
    *,
    flops: Callable[[Sequence[int]], float],
    peak: float,
    clock: Clock = time.perf_counter,
    advance: Advance = lambda _what, _seconds: None,
) -> list[Part]:
    """Measure each part on the same texts, interleaved; the first pass of each is not counted."""

    def seconds(work: Callable[[], object]) -> float:
        start = clock()
        work()
        return max(clock() - start, 1e-9)

    probe = sample(corpus, LEAST_TEXTS)
    scorer.label(probe.texts)
    rate = len(probe.texts) / seconds(lambda: scorer.label(probe.texts))
    chosen = sample(corpus, _share(rate, corpus, plan))
    texts = chosen.texts
    ids = scorer.encode(texts)
    # Texts of the corpus's mean length, as in `rounds.Measured`.
    equivalent = float(chosen.tokens.sum() / corpus.tokens.mean())
    works = (
        lambda: scorer.encode(texts),
        lambda: scorer.forward(ids),
        lambda: scorer.label(texts),
    )
    rates: tuple[list[float], ...] = ([], [], [])
    for number in range(plan.rounds + 1):
        for place, work in enumerate(works):
            found = equivalent / seconds(work)
            if number:
                rates[place].append(found)
            advance(f"{corpus.kind}: {PARTS[place]}", plan.seconds)
    needed = flops([int(tokens) for tokens in chosen.tokens]) / equivalent
    return [
        Part(
            corpus.kind,
            scorer.precision,
            part,
            len(texts),
            own,
            None if part == PARTS[0] or not peak else median(own) * needed / peak,
        )
        for part, own in zip(PARTS, rates, strict=True)
    ]


def as_shipped(
    scorer: Ours,
    corpus: Corpus,
    plan: Plan,
    *,
    clock: Clock = time.perf_counter,
    advance: Advance = lambda _what, _seconds: None,
) -> Part:
    """Measure the model as the daemon runs it: long texts in windows, which no peer has."""
    probe = sample(corpus, LEAST_TEXTS).texts
    scorer.label(probe)
    start = clock()
    scorer.label(probe)
    rate = len(probe) / max(clock() - start, 1e-9)
    chosen = sample(corpus, _share(rate, corpus, plan))
    texts = chosen.texts
    equivalent = float(chosen.tokens.sum() / corpus.tokens.mean())
    rates = []
    for _ in range(plan.rounds):
        start = clock()
        scorer.label(texts)
        rates.append(equivalent / max(clock() - start, 1e-9))
        advance(f"{corpus.kind}: {SHIPPED}", plan.seconds)
    return Part(corpus.kind, scorer.precision, SHIPPED, len(texts), rates)


def _share(rate: float, corpus: Corpus, plan: Plan) -> int:
    return round(max(rate * plan.seconds, plan.least_tokens / float(corpus.tokens.mean())))
