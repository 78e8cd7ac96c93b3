"""The detectors' promise, power and speed, by simulation (docs/detection.md).

    python tests/benchmarks/detect.py            # all, some minutes
    python tests/benchmarks/detect.py --scale 0.1 null drift

Prints what was realised against what was allowed, and the rivals beside the detectors on the same
streams with the same number of false alarms. Everything is from seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from harness.rivals import ears_c2, rolling_z, seasonal_tail
from harness.samples import DAY_BUCKETS, MONDAY
from harness.streams import Stream, matched, spoken_of
from numpy.typing import NDArray
from scipy.stats import nbinom

from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.table import Spoken
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings

LEVELS = (1e3, 1e4, 1e6)


def budget_for(level: float, keys: int) -> float:
    """A budget a day at which each of so many keys, all speaking, has this threshold."""
    return DAY_BUCKETS * keys / level


def realised(
    stream: Stream, settings: ShareSettings, buckets: int, warm_up: int = 0
) -> dict[float, tuple[int, float]]:
    """(alarms, allowed) for each of ``LEVELS`` after ``warm_up`` buckets."""
    size = len(stream.keys)
    detectors = {
        level: ShareDetector(replace(settings, budget=budget_for(level, size))) for level in LEVELS
    }
    alarms = dict.fromkeys(LEVELS, 0)
    firing: dict[float, list[str]] = {level: [] for level in LEVELS}
    for i in range(buckets + warm_up):
        start, n, x = stream.next()
        spoken = spoken_of(stream.keys, n, x, whole=False)
        for level, detector in detectors.items():
            found = [r.key for r in detector.step(start, spoken, firing[level]) if r.alarm]
            firing[level] = found
            if i >= warm_up:
                alarms[level] += len(found)
    # What is granted in a bucket is the same whoever speaks: at most keys / level.
    return {level: (alarms[level], size * buckets / level) for level in LEVELS}


def promise(scale: float) -> None:
    keys = 4_000
    most = max(int(10_000_000 * scale) // keys, 300)
    fewer = max(most * 2 // 5, 300)
    shares = np.random.default_rng(7).beta(4, 12, keys)
    learned = ShareSettings()
    edge = ShareSettings(prior_weight=1e12, prior_share=0.25, margin=1.0, z=0.0, min_baseline=0.0)
    spread = replace(edge, prior_pairs=1e12, prior_overdispersion=0.05)
    quarter = np.full(keys, 0.25)
    wide = Stream(shares, overdispersion=0.08)
    cases: dict[str, tuple[Stream, ShareSettings, int, int]] = {
        "null, learned baseline": (Stream(shares), learned, most, DAY_BUCKETS),
        "null, p+ known exactly": (Stream(quarter), edge, most, 0),
        "drift 0.2, 2 days": (Stream(shares, drift=0.2), learned, fewer, 2 * DAY_BUCKETS),
        "overdispersion x 1.6": (wide, learned, fewer, DAY_BUCKETS),
        "  and held at 1.0": (Stream(quarter, overdispersion=0.08), spread, fewer, 0),
    }
    print(f"{'share, false alarms':26}{'key-buckets':>12}", end="")
    print("".join(f"{f'c = {level:.0e}':>22}" for level in LEVELS))
    for name, (stream, settings, buckets, warm_up) in cases.items():
        found = realised(stream, settings, buckets, warm_up)
        cells = "".join(f"{f'{got} of {allowed:.0f}':>22}" for got, allowed in found.values())
        print(f"{name:26}{keys * buckets:12}{cells}", flush=True)


def run_detectors(
    keys: list[str], starts: list[int], n: NDArray[np.int64], x: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The statistics M of share and volume, [buckets, keys]."""
    budget = budget_for(1e6, len(keys))
    share = ShareDetector(ShareSettings(budget=budget))
    volume = VolumeDetector(VolumeSettings(budget=budget))
    found = np.zeros((2, *n.shape), dtype=np.float32)
    for i, start in enumerate(starts):
        spoken = spoken_of(keys, n[i], x[i])
        share.step(start, spoken, ())
        volume.step(start, spoken, ())
        for j, table in enumerate((share._table, volume._table)):
            rows = table.take(table.places(keys))
            found[j, i] = rows["u"].mean(axis=1) * 1e6
    return found[0], found[1]


def power(scale: float) -> None:
    keys = max(int(1_500 * scale), 60)
    days, before = 14, 10
    rng = np.random.default_rng(11)
    stream = Stream(
        rng.beta(4, 12, keys),
        documents=rng.gamma(2.0, 3.0, keys),
        at_least=5,
        overdispersion=0.05,
        rhythm=0.6,
        burstiness=0.1,
        drift=0.1,
        seed=12,
    )
    size = days * DAY_BUCKETS
    onset = size + rng.integers(12, DAY_BUCKETS - 48, keys)
    events = {"odds x 3 and volume x 3": 0, "odds x 3": 1, "volume x 3": 2}
    kind = np.arange(keys) % len(events)
    starts, counts, negative = [], [], []
    for i in range(size + DAY_BUCKETS):
        loud = (onset <= i) & (i < onset + 36)
        odds, volume = (np.where(loud & (kind != still), 3.0, 1.0) for still in (2, 1))
        start, n, x = stream.next(odds, volume)
        starts.append(start)
        counts.append(n)
        negative.append(x)
    n, x = np.array(counts), np.array(negative)
    share_m, volume_m = run_detectors(stream.keys, starts, n, x)
    methods = {
        "seasonal negative-binomial tail": [seasonal_tail(x)],
        "rolling z": [rolling_z(x)],
        "EARS-C2": [ears_c2(x)],
        "share": [share_m],
        "volume": [volume_m],
        "share and volume": [share_m, volume_m],
    }
    calm = slice(before * DAY_BUCKETS, size)
    quiet = keys * (size - before * DAY_BUCKETS)
    for rate in (1e-5, 4e-6):
        allowed = max(int(rate * quiet), 2)
        print(f"\nfor 3 h, {keys // 3} events each; {allowed} false alarms in {quiet} key-buckets")
        print(" " * 34 + "".join(f"{name:>26}" for name in events))
        for name, statistics in methods.items():
            first = np.full(keys, np.inf)
            for statistic in statistics:
                threshold = matched(statistic[calm], allowed // len(statistics))
                for key in range(keys):
                    seen = statistic[onset[key] : onset[key] + 36, key] >= threshold
                    if seen.any():
                        first[key] = min(first[key], float(seen.argmax()))
            cells = ""
            for which in events.values():
                delays = first[kind == which]
                found = np.isfinite(delays).mean()
                # An event that is not seen is one of endless delay.
                cells += f"{f'{found:.0%}, {5 * (np.median(delays) + 1):.0f} min':>26}"
            print(f"{name:34}{cells}", flush=True)


def bursts(scale: float) -> None:
    """The volume detector's alarms where nothing happens but the usual: names come in clumps that
    last for an hour and mostly say the same, topics are bursty."""
    days, names = max(int(60 * scale), 4), 3_000
    rng = np.random.default_rng(21)
    rate = rng.pareto(1.1, names) * 0.003  # stories a bucket, of each name
    detector = VolumeDetector()
    alarms: dict[str, int] = {"topics": 0, "names": 0}
    firing: list[str] = []
    coming: list[list[tuple[int, bool]]] = [[] for _ in range(13)]
    for i in range(days * DAY_BUCKETS):
        wave = 1 + 0.7 * np.sin(2 * np.pi * i / DAY_BUCKETS)
        for name in np.flatnonzero(rng.random(names) < np.minimum(rate * wave, 0.8)):
            mood = rng.beta(0.75, 2.25)  # of a story: a quarter of the voices are negative
            for later in np.append(0, rng.integers(0, 13, rng.geometric(0.6) - 1)):
                coming[later].append((int(name), bool(rng.random() < mood)))
        said = np.array(coming.pop(0), dtype=np.int64).reshape(-1, 2)
        spoken, where, voices = np.unique(said[:, 0], return_inverse=True, return_counts=True)
        negative = np.bincount(where, said[:, 1], len(spoken)).astype(np.int64)
        coming.append([])
        topics = rng.poisson(rng.gamma(4, 2.0, 20) * wave)
        keys = [f"name:{name:05d}" for name in spoken]
        seen = [(f"topic:{j:02d}", int(n)) for j, n in enumerate(topics) if n]
        n = np.array([topics.sum() + 1, *voices, *(k for _, k in seen)])
        x = np.concatenate((n[:1] // 4, negative, n[1 + len(keys) :] // 4))
        every = Spoken(["all", *keys, *(key for key, _ in seen)], n, x)
        found = [r.key for r in detector.step(MONDAY + 300 * i, every, firing) if r.alarm]
        firing = found
        for key in found:
            alarms["names" if key.startswith("name") else "topics"] += 1
    allowed = VolumeSettings().budget * days
    print(f"\nvolume: {days} days, 20 bursty topics, {names} clumpy names; {allowed:.0f} alarms "
          f"are the budget: {alarms['topics']} of topics, {alarms['names']} of names")  # fmt: skip


def speed(scale: float) -> None:
    size = max(int(100_000 * scale), 1_000)
    half = size // 2
    companies = [f"company:US:{i:06d}" for i in range(half)]
    keys = sorted([*companies, *(f"pair:Earnings|{key}" for key in companies)])
    rng = np.random.default_rng(3)
    share, volume, tail = ShareDetector(), VolumeDetector(), _Tail(size)
    spent: dict[str, list[float]] = {"all of them speak": [], "one in thirty speaks": []}
    rival: dict[str, list[float]] = {name: [] for name in spent}
    for i in range(40):
        n = rng.poisson(3, size) + 1
        if i % 2:
            n = np.where(rng.random(size) < 1 / 30, n, 0)
        x = rng.binomial(n, 0.25)
        here = np.flatnonzero(n)
        spoken = Spoken(
            ["all", *(keys[j] for j in here), "topic:Earnings"],
            np.concatenate(([n.sum()], n[here], [n.sum()])),
            np.concatenate(([x.sum()], x[here], [x.sum()])),
        )
        begin = time.process_time()
        for detector in (share, volume):
            detector.step(MONDAY + 300 * i, spoken, ())
        name = list(spent)[i % 2]
        spent[name].append(time.process_time() - begin)
        share.drain()
        volume.drain()
        begin = time.process_time()
        tail.step(x)
        rival[name].append(time.process_time() - begin)
    print(f"\none step of both detectors, {size} keys, CPU seconds (least and median)")
    for name, times in spent.items():
        taken, other = (float(np.median(of[-12:])) for of in (times, rival[name]))
        print(f"{name:24}{min(times[-12:]):8.3f} {taken:8.3f} s, {taken / other:5.1f} x the tail's")


class _Tail:
    """`seasonal_tail` a bucket at a time; it must touch every key in each."""

    def __init__(self, keys: int) -> None:
        self._level, self._excess, self._square = (np.ones(keys) for _ in range(3))

    def step(self, x: NDArray[np.int64]) -> NDArray[np.float64]:
        mean = np.maximum(self._level, 0.02)
        kappa = np.clip(self._square / np.maximum(self._excess, 1e-9), 0.2, 1e4)
        tail = np.asarray(-nbinom.logsf(x - 1, kappa, kappa / (kappa + mean)), dtype=np.float64)
        self._level = 0.999 * self._level + 0.001 * x
        self._excess = 0.999 * self._excess + ((x - mean) ** 2 - mean)
        self._square = 0.999 * self._square + mean**2
        return tail


PARTS: dict[str, Callable[[float], None]] = {
    "null": promise,
    "power": power,
    "bursts": bursts,
    "speed": speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    for name in options.parts or PARTS:
        PARTS[name](options.scale)


if __name__ == "__main__":
    main()
