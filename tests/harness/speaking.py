"""Sources that speak to a rhythm from a seed, and one who listens to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from harness.samples import DAY, DAY_BUCKETS, MONDAY, moment
from numpy.typing import NDArray

from monitor.aggregate.sources import Sources, Turn
from monitor.events import BUCKET_SECONDS, Document, Kind, Origin, SourceState
from monitor.heartbeat import Contact

Times = NDArray[np.float64]


def said(source: str, at: float, history: bool = False) -> Document:
    """One document of a source."""
    return Document(
        id=f"{source}-{at}",
        kind=Kind.NEWS,
        source=source,
        published_at=moment(at),
        title="Orders fell",
        text="The plant will close a line.",
        url=None,
        author=None,
        lang="en",
        tickers=(),
        origin=Origin("news", 0, 0),
        appended_at=moment(at),
        history=history,
    )


def rhythm(days: int, night: float = 0.1, weekend: float = 0.25) -> NDArray[np.float64]:
    """Factors of the buckets: few documents at night and at the end of the week."""
    hours = np.arange(days * DAY_BUCKETS) // 12
    day, hour = hours // 24 % 7, hours % 24
    return np.where((hour >= 7) & (hour < 20), 1.5, night) * np.where(day < 5, 1.2, weekend)


def negative_binomial(
    rng: np.random.Generator, days: int, hourly: float, dispersion: float
) -> Times:
    """Event times: a bucket's count has the variance μ + μ² / ``dispersion``."""
    mean = hourly / 12 * rhythm(days)
    return _placed(rng, rng.poisson(rng.gamma(dispersion, mean / dispersion)))


def sessions(rng: np.random.Generator, days: int, on: float, off: float, hourly: float) -> Times:
    """Event times: bursts of ``on`` hours in the mean, between silences of ``off`` hours."""
    rate = np.zeros(days * DAY_BUCKETS)
    at, speaking = 0.0, False
    while at < len(rate):
        lasts = rng.exponential(12 * (on if speaking else off))
        if speaking:
            rate[int(at) : int(at + lasts) + 1] = hourly / 12
        at, speaking = at + lasts, not speaking
    return _placed(rng, rng.poisson(rate))


def _placed(rng: np.random.Generator, counts: NDArray[np.int64]) -> Times:
    buckets = np.repeat(np.arange(len(counts)), counts)
    return np.sort(MONDAY + (buckets + rng.uniform(0, 1, len(buckets))) * BUCKET_SECONDS)


@dataclass
class Listener:
    """Feeds a `Sources` bucket by bucket, as the pipeline does, and judges after each."""

    sources: Sources
    bucket: int = 0
    """The next one, counted from Monday."""
    closed: int = MONDAY
    contacts: dict[str, Contact] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    @property
    def now(self) -> float:
        """The daemon's clock."""
        return float(MONDAY + self.bucket * BUCKET_SECONDS)

    def follow(self, speakers: Mapping[str, Times], days: float) -> None:
        """Hear them for so many days."""
        buckets = round(days * DAY_BUCKETS)
        for documents in spoken(speakers, self.bucket, buckets):
            self.step(documents)

    def step(self, documents: Sequence[Document] = (), behind: int | None = 0) -> list[Turn]:
        """One bucket; the turns that it brought."""
        start = int(self.now)
        self.bucket += 1
        turns = self.sources.hear(documents, self.now if behind == 0 else None)
        if documents:  # they move the watermark over the buckets without any
            for passed in range(self.closed, start + 1, BUCKET_SECONDS):
                self.sources.close(passed)
            self.closed = start + BUCKET_SECONDS
        turns += self.sources.judge(self.now, behind, self.contacts, lambda name: (f"of {name}",))
        self.turns += turns
        return turns

    def blind(self) -> list[str]:
        """Who turned blind so far, in order."""
        return [t.name for t in self.turns if t.state is SourceState.BLIND]

    def state(self, name: str) -> SourceState:
        """Of one source."""
        return next(row.state for row in self.sources.rows() if row.name == name)


def spoken(speakers: Mapping[str, Times], first: int, buckets: int) -> Iterator[Sequence[Document]]:
    """The documents of each bucket, in order of time."""
    names = np.array([name for name, times in speakers.items() for _ in times])
    times = np.concatenate(list(speakers.values()))
    order = np.argsort(times, kind="stable")
    names, times = names[order], times[order]
    edges = MONDAY + np.arange(first, first + buckets + 1) * BUCKET_SECONDS
    places = np.searchsorted(times, edges)
    for begin, end in pairwise(places):
        yield [
            said(str(n), float(t)) for n, t in zip(names[begin:end], times[begin:end], strict=True)
        ]


def until(times: Times, days: float) -> Times:
    """What was said before that many days had passed."""
    kept: Times = times[times < MONDAY + days * DAY]
    return kept
