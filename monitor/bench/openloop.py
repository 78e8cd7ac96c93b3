"""Open loop: texts arrive when they arrive, however long the scorer takes with those before.

Latency counts from the moment at which a text was due, not from when it could be handed over: a
scorer that stalls must pay for all that queue up behind (no coordinated omission; Tene, "How NOT to
Measure Latency").
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from monitor.bench.contestant import BenchError
from monitor.bench.corpus import Kind

LOADS: Final = (0.5, 0.8)
"""Shares of the measured capacity."""
PATIENCE: Final = 120.0
"""Seconds for the last verdict."""
_BACK_OFF: Final = 0.001
_LOOK_AHEAD: Final = 512
_CHUNK: Final = 256

Clock = Callable[[], float]


class Ticket(Protocol):
    """A promise of verdicts."""

    def result(self, timeout: float) -> object:
        """Wait for the verdicts."""
        ...


@dataclass(frozen=True, slots=True)
class Latency:
    """One load of one corpus; seconds from arrival to verdict."""

    kind: Kind
    share: float  # of the capacity
    rate: float  # arrivals a second
    texts: int
    p50: float
    p99: float
    worst: float


def arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Return the moments of `count` Poisson arrivals, seconds from the start.

    Raises:
        ValueError: the rate is not positive.
    """
    if not rate > 0:
        raise ValueError(f"the rate of arrivals must be positive, not {rate}")
    rng = Random(seed)  # noqa: S311
    moment = 0.0
    found = []
    for _ in range(count):
        moment += rng.expovariate(rate)
        found.append(moment)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least this share of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or the share is not above 0 and at most 1.
    """
    if not values or not 0 < share <= 1:
        raise ValueError("a percentile needs values and a share in (0, 1]")
    return sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]


def offer(
    schedule: Sequence[float],
    submit: Callable[[int, int], bool],
    *,
    clock: Clock = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Hand over each text at its moment, or as soon after as it is taken.

    `submit(begin, end)` is given all that are due by now, one unless it or the clock is late, and
    returns whether it took them; what is refused is offered again, and those behind wait.
    Returns the start on the clock, to which the schedule is relative.
    """
    start = clock()
    begin = 0
    while begin < len(schedule):
        wait = start + schedule[begin] - clock()
        if wait > 0:
            sleep(wait)
        now = clock() - start
        end = begin + 1
        while end < min(len(schedule), begin + _CHUNK) and schedule[end] <= now:
            end += 1
        if submit(begin, end):
            begin = end
        else:
            sleep(_BACK_OFF)
    return start


def run(
    submit: Callable[[list[str]], Ticket | None],
    texts: Sequence[str],
    schedule: Sequence[float],
    *,
    clock: Clock = time.perf_counter,
    patience: float = PATIENCE,
) -> list[float]:
    """Return the latency of each arrival in seconds; arrival i is one text, taken in turn.

    Raises:
        BenchError: a verdict did not come.
    """
    waiting: queue.SimpleQueue[tuple[Ticket, int] | None] = queue.SimpleQueue()
    finished: list[float] = []
    failures: list[Exception] = []

    def collect() -> None:
        # Verdicts come in the order of submission; where not, the earlier one's wait counts.
        while (item := waiting.get()) is not None:
            ticket, count = item
            try:
                ticket.result(patience)
            except Exception as error:  # noqa: BLE001 - it is raised again in the caller's thread
                failures.append(error)
                return
            finished.extend([clock()] * count)

    def hand_over(begin: int, end: int) -> bool:
        if failures:
            return True
        ticket = submit([texts[number % len(texts)] for number in range(begin, end)])
        if ticket is not None:
            waiting.put((ticket, end - begin))
        return ticket is not None

    collector = threading.Thread(target=collect, name="bench-collect", daemon=True)
    collector.start()
    start = offer(schedule, hand_over, clock=clock)
    waiting.put(None)
    collector.join()
    if failures:
        raise BenchError(f"open loop: a text got no verdict: {failures[0]!r}") from failures[0]
    return [end - start - due for end, due in zip(finished, schedule, strict=True)]


def summarise(kind: Kind, share: float, rate: float, latencies: Sequence[float]) -> Latency:
    """Return the percentiles of one run."""
    return Latency(
        kind,
        share,
        rate,
        len(latencies),
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        max(latencies),
    )
