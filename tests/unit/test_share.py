"""The share detector: few false alarms, quick on a true one, and a baseline that keeps still."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from harness.samples import DAY_BUCKETS, MONDAY, sums_of
from numpy.typing import NDArray

from monitor.detect.base import Reading
from monitor.detect.share import ShareDetector, ShareSettings
from monitor.events import BUCKET_SECONDS, Sums

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass
class World:
    """Beta-binomial counts of the keys and of the whole stream, from a seed."""

    shares: NDArray[np.float64]
    overdispersion: float = 0.05
    documents: float = 4.0
    at_least: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        self.keys = ["all", *(f"topic:{i}" for i in range(len(self.shares)))]
        self._rng = np.random.default_rng(self.seed)

    def bucket(self, odds_ratio: float = 1.0) -> Mapping[str, Sums]:
        """The next bucket; the odds of every share times ``odds_ratio``."""
        odds = self.shares / (1 - self.shares) * odds_ratio
        p = odds / (1 + odds)
        n = self.at_least + self._rng.poisson(self.documents, len(p))
        if self.overdispersion:
            scale = (1 - self.overdispersion) / self.overdispersion
            p = self._rng.beta(p * scale, (1 - p) * scale)
        x = self._rng.binomial(n, p)
        return sums_of(self.keys, np.append(n.sum(), n), np.append(x.sum(), x))


def run(
    detector: ShareDetector, world: World, buckets: int, odds_ratio: float = 1.0, first: int = 0
) -> Iterator[tuple[int, Reading]]:
    """(bucket number, alarm); a key in alarm counts as firing for one bucket, which resets it."""
    firing: set[str] = set()
    for i in range(first, first + buckets):
        start = MONDAY + i * BUCKET_SECONDS
        alarms = [r for r in detector.step(start, world.bucket(odds_ratio), firing) if r.alarm]
        firing = {r.key for r in alarms}
        yield from ((i, r) for r in alarms)


def row(detector: ShareDetector, key: str) -> bytes:
    """The state of one key."""
    return dict(detector._table.dump())[key]


def field(detector: ShareDetector, key: str, name: str) -> float:
    """One figure of a key's state."""
    return float(detector._table.rows[name][detector._table.index[key]])


@pytest.mark.parametrize(
    ("overdispersion", "documents"), [(0.02, 4.0), (0.05, 4.0), (0.05, 25.0), (0.1, 25.0)]
)
def test_ordinary_days_stay_far_within_the_budget_of_false_alarms(
    overdispersion: float, documents: float
) -> None:
    """About 300,000 key-buckets, thresholds low enough that the budget allows 300 alarms.

    The whole stream is steadier than any topic here, and must not speak for them.
    """
    shares = np.random.default_rng(7).beta(4, 12, 200)
    budget, days = 60.0, 5
    world = World(shares, overdispersion, documents)
    detector = ShareDetector(world.keys, ShareSettings(budget=budget))
    alarms = list(run(detector, world, days * DAY_BUCKETS))
    assert len(alarms) <= budget * days / 5


@pytest.mark.parametrize("overdispersion", [0.0, 0.05])
def test_at_the_very_edge_of_the_null_false_alarms_keep_the_bound(overdispersion: float) -> None:
    """p⁺ is the true share here, so nothing but E[alarms in T updates] <= T / c protects us."""
    share, budget, days, keys = 0.25, 500.0, 4, 300
    edge = ShareSettings(
        budget=budget, prior_weight=1e12, prior_share=share, margin=1.0, z=0.0, min_baseline=0.0
    )
    world = World(np.full(keys, share), overdispersion, documents=5.0)
    detector = ShareDetector(world.keys, edge)
    alarms = [a for _, a in run(detector, world, days * DAY_BUCKETS) if a.key != "all"]
    bound = budget * days * keys / (keys + 1)
    assert 0 < len(alarms) <= bound


@pytest.mark.parametrize(
    ("documents", "detected", "median_minutes"), [(25.0, 12, 45), (3.0, 8, 150)]
)
def test_three_hours_of_odds_times_three_are_detected(
    documents: float, detected: int, median_minutes: float
) -> None:
    """Thirty documents a bucket say it in three quarters of an hour; eight need some two hours."""
    world = World(np.linspace(0.1, 0.35, 12), 0.02, documents, at_least=5, seed=3)
    detector = ShareDetector(world.keys)
    before = 4 * DAY_BUCKETS
    assert [] == list(run(detector, world, before))
    first: dict[str, int] = {}
    for i, reading in run(detector, world, 36, odds_ratio=3.0, first=before):
        first.setdefault(reading.key, i)
    first.pop("all")
    delays = [(i + 1 - before) * BUCKET_SECONDS / 60 for i in first.values()]
    delays += [math.inf] * (12 - len(delays))
    assert detected <= len(first)
    assert float(np.median(delays)) <= median_minutes


def test_a_reading_dates_the_rise_and_counts_since_then() -> None:
    world = World(np.full(12, 0.2), documents=3.0, at_least=5, seed=5)
    detector = ShareDetector(world.keys)
    before = 4 * DAY_BUCKETS
    list(run(detector, world, before))
    onset = MONDAY + before * BUCKET_SECONDS
    _, reading = next(run(detector, world, 36, odds_ratio=6.0, first=before))
    assert abs(reading.since - onset) <= 3600
    assert reading.evalue >= reading.threshold
    assert reading.value == reading.negative / reading.documents
    assert reading.value > 2 * reading.baseline
    assert reading.observed > reading.upper > 0


def test_a_rise_after_a_page_is_a_rise_of_its_own() -> None:
    """A window, and with it an alert's id, must not reach back over the page before."""
    detector = ShareDetector(["all", "k"])
    calm, loud = {"all": Sums(12, 2), "k": Sums(12, 2)}, {"all": Sums(12, 2), "k": Sums(12, 11)}
    at = MONDAY
    for _ in range(2 * DAY_BUCKETS):
        assert [] == detector.step(at, calm, ())
        at += BUCKET_SECONDS

    def rise() -> Reading:
        nonlocal at
        for _ in range(20):
            alarms = [r for r in detector.step(at, loud, ()) if r.alarm and r.key == "k"]
            at += BUCKET_SECONDS
            if alarms:
                return alarms[0]
        pytest.fail("no alarm")

    first = rise()
    for sums in [loud] * 12 + [calm] * 6:
        detector.step(at, sums, ["k"])
        at += BUCKET_SECONDS
    resolved = at
    second = rise()
    assert first.since < resolved <= second.since
    assert second.documents <= 12 * 20


def test_a_key_that_fires_learns_nothing() -> None:
    world = World(np.full(3, 0.2))
    detector = ShareDetector(world.keys)
    list(run(detector, world, 2 * DAY_BUCKETS))
    names = ("negative", "documents", "excess", "pairs", "active", "seen")
    before = {n: field(detector, "topic:1", n) for n in names}
    other = field(detector, "topic:2", "negative")
    for i in range(DAY_BUCKETS):
        detector.step(MONDAY + (2 * DAY_BUCKETS + i) * 300, world.bucket(20.0), ["topic:1"])
    assert before == {n: field(detector, "topic:1", n) for n in names}
    assert field(detector, "topic:2", "negative") > 2 * other


def test_what_is_heard_of_a_blind_key_is_never_learned() -> None:
    detector = ShareDetector(["all", "k"])
    calm = {"all": Sums(40, 10), "k": Sums(8, 2)}
    starts = iter(range(MONDAY, MONDAY + DAY_BUCKETS * 300, 300))
    for _ in range(150):
        detector.step(next(starts), calm, ())
    before = field(detector, "k", "documents"), field(detector, "k", "negative")
    half = {"all": Sums(36, 7), "k": Sums(4, 4)}
    for _ in range(100):
        detector.step(next(starts), half, (), blind={"k"})
    assert before == (field(detector, "k", "documents"), field(detector, "k", "negative"))
    for _ in range(24):
        detector.step(next(starts), calm, ())
    share = field(detector, "k", "negative") / field(detector, "k", "documents")
    assert pytest.approx(0.25) == share


def test_a_key_that_fires_is_read_in_every_bucket_without_an_alarm() -> None:
    detector = ShareDetector(["all", "k"])
    (silent,) = detector.step(MONDAY, {}, ["k"])
    assert ("k", False, 0, 0.0) == (silent.key, silent.alarm, silent.bucket_documents, silent.upper)


def test_a_cold_key_does_not_alarm() -> None:
    detector = ShareDetector(["all", "k"], ShareSettings(min_baseline=40))
    for i in range(12 + 39):  # one document a bucket; the baseline follows an hour behind
        assert [] == detector.step(MONDAY + i * 300, {"k": Sums(1, 1)}, ())
    assert field(detector, "k", "documents") < 40


def test_the_baseline_follows_an_hour_behind() -> None:
    detector = ShareDetector(["all"])
    for i in range(12):
        detector.step(MONDAY + i * 300, {"all": Sums(5, 1)}, ())
        assert 0 == field(detector, "all", "documents")
    detector.step(MONDAY + 3600, {}, ())
    assert (5, 1) == (field(detector, "all", "documents"), field(detector, "all", "negative"))


def test_a_sparse_key_forgets_more_slowly_than_a_busy_one() -> None:
    detector = ShareDetector(["all", "sparse"])
    for i in range(40 * DAY_BUCKETS // 12):
        sparse = {"sparse": Sums(1, 0)} if i % 24 == 0 else {}
        detector.step(MONDAY + i * 300, {"all": Sums(12, 3), **sparse}, ())
    lost = {k: field(detector, k, "documents") for k in ("all", "sparse")}
    for i in range(2 * DAY_BUCKETS):
        detector.step(MONDAY + 10**7 + i * 300, {}, ())
    kept = {k: field(detector, k, "documents") / lost[k] for k in lost}
    assert 0.45 < kept["all"] < 0.65
    assert kept["sparse"] > 0.85


def test_accepting_a_level_starts_the_baseline_from_the_last_hour() -> None:
    world = World(np.full(2, 0.2), documents=8)
    detector = ShareDetector(world.keys)
    list(run(detector, world, 2 * DAY_BUCKETS))
    for i in range(12):
        loud = {"topic:0": Sums(10, 8), "all": Sums(20, 10)}
        detector.step(MONDAY + (2 * DAY_BUCKETS + i) * 300, loud, ["topic:0"])
    detector.accept("topic:0")
    assert (120, 96) == (
        field(detector, "topic:0", "documents"),
        field(detector, "topic:0", "negative"),
    )


def test_a_restored_detector_reads_the_same() -> None:
    keys, days = [f"topic:{i}" for i in range(30)], 2
    worlds = [World(np.full(30, 0.25), seed=9), World(np.full(30, 0.25), seed=9)]
    settings = ShareSettings(budget=30_000.0)
    one, other = ShareDetector(["all", *keys], settings), ShareDetector(["all", *keys], settings)
    list(run(one, worlds[0], days * DAY_BUCKETS))
    list(run(other, worlds[1], days * DAY_BUCKETS))
    states = other.drain()
    assert states
    restored = ShareDetector(["all", *keys], settings)
    restored.restore(states)
    assert [] == restored.drain()
    expected = list(run(one, worlds[0], 100, 2.0, first=days * DAY_BUCKETS))
    assert expected
    assert expected == list(run(restored, worlds[1], 100, 2.0, first=days * DAY_BUCKETS))
    assert one.drain() == restored.drain()


def test_a_drain_gives_nothing_until_the_next_step() -> None:
    detector = ShareDetector(["all"])
    assert [] == detector.drain()
    detector.step(MONDAY, {}, ())
    assert ["all"] == [key for key, _ in detector.drain()]
    assert [] == detector.drain()


def test_every_parameter_is_part_of_the_version() -> None:
    versions = {
        ShareDetector(["all"], s).version
        for s in (ShareSettings(), ShareSettings(budget=0.6), ShareSettings(z=1.3))
    }
    assert 3 == len(versions)
    assert ShareDetector(["all"]).version == ShareDetector(["all", "k"], ShareSettings()).version


def test_a_key_that_appears_gets_a_row_and_the_others_keep_theirs() -> None:
    world = World(np.full(2, 0.2))
    detector = ShareDetector(world.keys)
    list(run(detector, world, 100))
    before = field(detector, "topic:1", "documents")
    detector.step(MONDAY + 30_000, {"new": Sums(3, 3)}, ())
    assert {"all", "topic:0", "topic:1", "new"} == {key for key, _ in detector.drain()}
    assert abs(field(detector, "topic:1", "documents") - before) < 20
    assert 0 == field(detector, "new", "documents")
