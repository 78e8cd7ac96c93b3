"""The share detector: few false alarms, quick on a true one, and a baseline that keeps still."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from harness.samples import DAY_BUCKETS, MONDAY, sums_of
from numpy.typing import NDArray

from monitor.detect.base import Reading
from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.table import Spoken
from monitor.events import BUCKET_SECONDS, Bucket, Sums

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


def step(
    detector: ShareDetector, start: int, sums: Mapping[str, Sums], firing: Collection[str] = ()
) -> list[Reading]:
    return detector.step(start, Spoken.of(sums), firing)


def run(
    detector: ShareDetector, world: World, buckets: int, odds_ratio: float = 1.0, first: int = 0
) -> Iterator[tuple[int, Reading]]:
    """(bucket number, alarm); a key in alarm counts as firing for one bucket, which resets it."""
    firing: set[str] = set()
    for i in range(first, first + buckets):
        start = MONDAY + i * BUCKET_SECONDS
        alarms = [r for r in step(detector, start, world.bucket(odds_ratio), firing) if r.alarm]
        firing = {r.key for r in alarms}
        yield from ((i, r) for r in alarms)


def field(detector: ShareDetector, key: str, name: str) -> float:
    """One figure of a key's state."""
    row = detector._table.one(key)
    return 0.0 if row is None else float(row[name][0])


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
    detector = ShareDetector(ShareSettings(budget=budget))
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
    detector = ShareDetector(edge)
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
    detector = ShareDetector()
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
    detector = ShareDetector()
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
    detector = ShareDetector()
    calm, loud = (
        {"all": Sums(12, 2), "topic:k": Sums(12, 2)},
        {"all": Sums(12, 2), "topic:k": Sums(12, 11)},
    )
    at = MONDAY
    for _ in range(2 * DAY_BUCKETS):
        assert [] == step(detector, at, calm, ())
        at += BUCKET_SECONDS

    def rise() -> Reading:
        nonlocal at
        for _ in range(20):
            alarms = [r for r in step(detector, at, loud, ()) if r.alarm and r.key == "topic:k"]
            at += BUCKET_SECONDS
            if alarms:
                return alarms[0]
        pytest.fail("no alarm")

    first = rise()
    for sums in [loud] * 12 + [calm] * 6:
        step(detector, at, sums, ["topic:k"])
        at += BUCKET_SECONDS
    resolved = at
    second = rise()
    assert first.since < resolved <= second.since
    assert second.documents <= 12 * 20


def test_a_key_that_fires_learns_nothing() -> None:
    world = World(np.full(3, 0.2))
    detector = ShareDetector()
    list(run(detector, world, 2 * DAY_BUCKETS))
    names = ("negative", "documents", "excess", "pairs", "active", "seen")
    before = {n: field(detector, "topic:1", n) for n in names}
    other = field(detector, "topic:2", "negative")
    for i in range(DAY_BUCKETS):
        step(detector, MONDAY + (2 * DAY_BUCKETS + i) * 300, world.bucket(20.0), ["topic:1"])
    assert before == {n: field(detector, "topic:1", n) for n in names}
    assert field(detector, "topic:2", "negative") > 2 * other


def test_a_key_that_fires_is_read_in_every_bucket_without_an_alarm() -> None:
    detector = ShareDetector()
    step(detector, MONDAY - 300, {"topic:k": Sums(3)})
    (silent,) = step(detector, MONDAY, {}, ["topic:k"])
    assert ("topic:k", False, 0, 0.0) == (
        silent.key,
        silent.alarm,
        silent.bucket_documents,
        silent.upper,
    )


def test_a_cold_key_does_not_alarm() -> None:
    detector = ShareDetector(ShareSettings(min_baseline=40))
    for i in range(12 + 39):  # one document a bucket; the baseline follows an hour behind
        assert [] == step(detector, MONDAY + i * 300, {"topic:k": Sums(1, 1)}, ())
    assert field(detector, "topic:k", "documents") < 40


def test_the_baseline_follows_an_hour_behind() -> None:
    detector = ShareDetector()
    for i in range(12):
        step(detector, MONDAY + i * 300, {"all": Sums(5, 1)}, ())
        assert 0 == field(detector, "all", "documents")
    step(detector, MONDAY + 3600, {"all": Sums(1)}, ())
    assert (5, 1) == (field(detector, "all", "documents"), field(detector, "all", "negative"))


def test_a_sparse_key_forgets_more_slowly_than_a_busy_one() -> None:
    detector = ShareDetector()
    for i in range(40 * DAY_BUCKETS // 12):
        sparse = {"topic:sparse": Sums(1, 0)} if i % 24 == 0 else {}
        step(detector, MONDAY + i * 300, {"all": Sums(12, 3), **sparse}, ())
    lost = {k: field(detector, k, "documents") for k in ("all", "topic:sparse")}
    step(
        detector,
        MONDAY + (40 * DAY_BUCKETS // 12 + 2 * DAY_BUCKETS) * 300,
        {k: Sums(1) for k in lost},
        (),
    )
    kept = {k: field(detector, k, "documents") / lost[k] for k in lost}
    assert 0.45 < kept["all"] < 0.65
    assert kept["topic:sparse"] > 0.85


def test_accepting_a_level_starts_the_baseline_from_the_last_hour() -> None:
    world = World(np.full(2, 0.2), documents=8)
    detector = ShareDetector()
    list(run(detector, world, 2 * DAY_BUCKETS))
    for i in range(12):
        loud = {"topic:0": Sums(10, 8), "all": Sums(20, 10)}
        step(detector, MONDAY + (2 * DAY_BUCKETS + i) * 300, loud, ["topic:0"])
    detector.accept("topic:0")
    assert (120, 96) == (
        field(detector, "topic:0", "documents"),
        field(detector, "topic:0", "negative"),
    )


def test_a_restored_detector_reads_the_same() -> None:
    days = 2
    worlds = [World(np.full(30, 0.25), seed=9), World(np.full(30, 0.25), seed=9)]
    settings = ShareSettings(budget=30_000.0)
    one, other = ShareDetector(settings), ShareDetector(settings)
    list(run(one, worlds[0], days * DAY_BUCKETS))
    list(run(other, worlds[1], days * DAY_BUCKETS))
    states = other.drain()
    assert states
    restored = ShareDetector(settings)
    restored.restore(states)
    assert [] == restored.drain()
    expected = list(run(one, worlds[0], 100, 2.0, first=days * DAY_BUCKETS))
    assert expected
    assert expected == list(run(restored, worlds[1], 100, 2.0, first=days * DAY_BUCKETS))
    assert one.drain() == restored.drain()


def test_a_drain_gives_nothing_until_the_next_step() -> None:
    detector = ShareDetector()
    assert [] == detector.drain()
    step(detector, MONDAY, {"all": Sums(1)}, ())
    assert ["all"] == [key for key, _ in detector.drain()]
    assert [] == detector.drain()


def test_every_parameter_is_part_of_the_version() -> None:
    versions = {
        ShareDetector(s).version
        for s in (ShareSettings(), ShareSettings(budget=0.6), ShareSettings(z=1.3))
    }
    assert 3 == len(versions)
    assert ShareDetector().version == ShareDetector(ShareSettings()).version


def test_a_key_that_appears_gets_a_row_and_the_others_keep_theirs() -> None:
    world = World(np.full(2, 0.2))
    detector = ShareDetector()
    list(run(detector, world, 100))
    before = field(detector, "topic:1", "documents")
    step(detector, MONDAY + 30_000, {"topic:new": Sums(3, 3)}, ())
    assert {"all", "topic:0", "topic:1", "topic:new"} == {key for key, _ in detector.drain()}
    step(detector, MONDAY + 30_300, {"topic:1": Sums(3, 3)}, ())
    assert ["topic:1"] == [key for key, _ in detector.drain()], "only who speaks is written"
    assert abs(field(detector, "topic:1", "documents") - before) < 20
    assert 0 == field(detector, "topic:new", "documents")


def test_known_history_counts_the_less_the_older_it_is() -> None:
    detector = ShareDetector()
    old = MONDAY - 2 * DAY_BUCKETS * BUCKET_SECONDS
    detector.learn([Bucket("topic:k", start, 100, 40, 0, 0) for start in (old, MONDAY)], MONDAY)
    assert 150 == pytest.approx(field(detector, "topic:k", "documents"))
    assert 60 == pytest.approx(field(detector, "topic:k", "negative"))


def base(detector: ShareDetector, key: str) -> float:
    return detector.recent(key, MONDAY, MONDAY).expected


def test_a_company_leans_on_all_companies_and_a_topic_on_the_stream() -> None:
    """What is said towards companies is worse here than what texts say as a whole."""
    detector = ShareDetector()
    for i in range(2 * DAY_BUCKETS):
        loud = {f"company:US:{c}": Sums(10, 6) for c in "AB"}
        step(detector, MONDAY + 300 * i, {"all": Sums(20, 2), "topic:t": Sums(20, 2), **loud})
    now = MONDAY // 300 + 2 * DAY_BUCKETS
    assert 0.6 == pytest.approx(detector._baselines.of("company:US:NEW", now), abs=0.02)
    assert 0.1 == pytest.approx(detector._baselines.of("topic:new", now), abs=0.02)


def test_a_company_on_a_topic_leans_on_the_odds_of_both() -> None:
    detector = ShareDetector()
    for i in range(4 * DAY_BUCKETS):
        sums = {
            "all": Sums(40, 8),
            "topic:Legal": Sums(20, 10),
            "company:US:A": Sums(10, 1),
            "company:US:B": Sums(30, 7),
        }
        step(detector, MONDAY + 300 * i, sums)
    found = detector._baselines.of("pair:Legal|company:US:A", MONDAY // 300 + 4 * DAY_BUCKETS)
    odds = (0.1 / 0.9) * (0.5 / 0.5) / (0.2 / 0.8)
    assert odds / (1 + odds) == pytest.approx(found, abs=0.02)


def hot(buckets: int = 30) -> tuple[ShareDetector, int]:
    """A detector some of whose evidence has risen, and the start of the next bucket."""
    detector = ShareDetector()
    for i in range(2 * DAY_BUCKETS):
        step(detector, MONDAY + 300 * i, {"all": Sums(12, 2), "topic:k": Sums(12, 2)})
    at = MONDAY + 2 * DAY_BUCKETS * 300
    for _ in range(buckets):
        if detector.hot:
            break
        alarms = step(detector, at, {"all": Sums(12, 6), "topic:k": Sums(12, 7)})
        assert not alarms
        at += 300
    assert "topic:k" in detector.hot
    return detector, at


def test_a_look_into_the_open_bucket_changes_nothing_and_may_alarm_before_its_end() -> None:
    detector, at = hot()
    before = dict(detector.drain())
    part = Spoken.of({"topic:k": Sums(30, 29)})
    (reading,) = detector.look(at, part, ())
    assert ("topic:k", True) == (reading.key, reading.alarm)
    assert reading.evalue >= reading.threshold
    assert [] == detector.look(at, Spoken.of({"topic:k": Sums(2, 1)}), ())
    assert [] == detector.look(at, part, ["topic:k"]), "who fires needs no look"
    assert [] == detector.drain()
    assert before
    # The whole bucket says what its part has said: the null is that of its beginning.
    assert "topic:k" in {r.key for r in step(detector, at, {"topic:k": Sums(30, 29)}) if r.alarm}


def test_who_is_far_from_the_threshold_is_not_looked_at() -> None:
    detector = ShareDetector()
    for i in range(2 * DAY_BUCKETS):
        step(detector, MONDAY + 300 * i, {"all": Sums(12, 2), "topic:k": Sums(12, 2)})
    assert not detector.hot
    at = MONDAY + 2 * DAY_BUCKETS * 300
    assert [] == detector.look(at, Spoken.of({"topic:k": Sums(200, 200)}), ())


def test_what_is_heard_of_a_blind_key_is_never_learned() -> None:
    one, other = ShareDetector(), ShareDetector()
    for detector in (one, other):
        for i in range(2 * DAY_BUCKETS):
            step(detector, MONDAY + 300 * i, {"all": Sums(9, 2), "topic:k": Sums(9, 2)})
    at = MONDAY + 2 * DAY_BUCKETS * 300
    for i in range(24):
        loud = Spoken.of({"all": Sums(9, 9), "topic:k": Sums(9, 9)})
        one.step(at + 300 * i, loud, (), blind=["topic:k"])
        other.step(at + 300 * i, loud, ())
    for i in range(24, 48):
        for detector in (one, other):
            step(detector, at + 300 * i, {"topic:k": Sums(9, 2)})
    share = field(one, "topic:k", "negative") / field(one, "topic:k", "documents")
    assert 2 / 9 == pytest.approx(share, abs=0.001)
    assert field(other, "topic:k", "negative") / field(other, "topic:k", "documents") > 0.24


def test_the_last_hour_is_held_against_the_baseline() -> None:
    detector = ShareDetector()
    for i in range(2 * DAY_BUCKETS):
        step(detector, MONDAY + 300 * i, {"all": Sums(10, 2)})
    at = MONDAY + 2 * DAY_BUCKETS * 300
    for i in range(6):
        step(detector, at + 300 * i, {"all": Sums(10, 8)}, ["all"])
    last = at + 300 * 5
    since = detector.recent("all", at, last)
    assert (60, 48.0) == (since.documents, since.observed)
    assert 12 == pytest.approx(since.expected, rel=0.05)
    assert 120 == detector.recent("all", at - 86_400, last).documents
    assert 0 == detector.recent("topic:unknown", at, last).documents
