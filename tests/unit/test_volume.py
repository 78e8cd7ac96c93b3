"""The volume detector: the rhythm of the day is no burst, and a burst is one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from harness.samples import DAY_BUCKETS, MONDAY, sums_of
from numpy.typing import NDArray

from monitor.detect.base import Reading
from monitor.detect.volume import SEASON, Seasonality, VolumeDetector, VolumeSettings
from monitor.events import BUCKET_SECONDS, Sums

RATES = np.array([0.02, 0.1, 0.4, 1.0, 2.0, 5.0])
"""Documents a bucket of each key at an average hour."""
KEYS = ["all", *(f"topic:{i}" for i in range(len(RATES)))]


def rhythm(bucket: int) -> float:
    """Quiet nights, a peak in the afternoon: from 0.15 to 1.85 of the average."""
    return 1.0 + 0.85 * math.sin(2 * math.pi * (bucket / DAY_BUCKETS - 0.35))


def counts(rng: np.random.Generator, bucket: int) -> NDArray[np.int64]:
    """The stream and its keys in one bucket."""
    n = rng.poisson(RATES * rhythm(bucket))
    return np.append(n.sum(), n)


def warm(days: int, seed: int = 1) -> tuple[VolumeDetector, np.random.Generator, list[Reading]]:
    """A detector that has seen some ordinary days, and the alarms of them."""
    rng, detector, alarms = np.random.default_rng(seed), VolumeDetector(KEYS), list[Reading]()
    for i in range(days * DAY_BUCKETS):
        alarms += detector.step(MONDAY + i * BUCKET_SECONDS, sums_of(KEYS, counts(rng, i)), ())
    return detector, rng, alarms


def steady(detector: VolumeDetector, n: int, buckets: int, firing: Sequence[str] = ()) -> None:
    """So many documents of every key in each of the next buckets."""
    first = int(detector._table.rows["seen"][0])
    for i in range(first, first + buckets):
        detector.step(MONDAY + i * BUCKET_SECONDS, {k: Sums(n) for k in ("all", "k")}, firing)


def figure(detector: VolumeDetector, key: str, name: str) -> float:
    """One figure of a key's state; of M the largest."""
    return float(np.max(detector._table.rows[name][detector._table.index[key]]))


def test_silence_of_a_blind_key_is_not_its_new_level_and_is_not_learned_later() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 3 * DAY_BUCKETS)
    before = {name: figure(detector, "k", name) for name in ("documents", "exposure")}
    at = MONDAY + 3 * DAY_BUCKETS * BUCKET_SECONDS
    for i in range(DAY_BUCKETS):
        assert [] == detector.step(at + 300 * i, {"all": Sums(4)}, (), blind={"k"})
    assert before == {name: figure(detector, "k", name) for name in before}
    steady(detector, 4, 12)  # what was not heard leaves the lag
    assert before == {name: figure(detector, "k", name) for name in before}
    steady(detector, 4, 24)
    level = figure(detector, "k", "documents") / figure(detector, "k", "exposure")
    assert pytest.approx(before["documents"] / before["exposure"], rel=1e-3) == level


def test_a_blind_key_may_still_alarm() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    at = MONDAY + 2 * DAY_BUCKETS * BUCKET_SECONDS
    alarms = [
        r
        for i in range(12)
        for r in detector.step(at + 300 * i, {"all": Sums(4), "k": Sums(40)}, (), blind={"k"})
    ]
    assert {"k"} == {r.key for r in alarms if r.alarm}


def test_a_level_accepted_while_nothing_was_heard_is_the_one_from_before() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = figure(detector, "k", "documents")
    at = MONDAY + 2 * DAY_BUCKETS * BUCKET_SECONDS
    for i in range(12):
        detector.step(at + 300 * i, {"all": Sums(4)}, (), blind={"k"})
    detector.accept("k")
    assert before == figure(detector, "k", "documents")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_rhythm_of_the_day_alone_alarms_nobody(seed: int) -> None:
    _, _, alarms = warm(days=14, seed=seed)
    assert [] == alarms


def test_five_times_as_many_documents_are_a_burst_within_the_hour() -> None:
    detector, rng, _ = warm(days=8)
    found: set[str] = set()
    for i in range(8 * DAY_BUCKETS + 150, 8 * DAY_BUCKETS + 162):
        n = counts(rng, i)
        n[1:] *= 5
        n[0] = n[1:].sum()
        for reading in detector.step(MONDAY + i * BUCKET_SECONDS, sums_of(KEYS, n), ()):
            found.add(reading.key)
    assert {"all", "topic:3", "topic:4", "topic:5"} <= found


def test_a_reading_tells_documents_an_hour_against_those_expected() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    at = MONDAY + 2 * DAY_BUCKETS * BUCKET_SECONDS
    reading = next(
        r
        for i in range(12)
        for r in detector.step(at + 300 * i, {"all": Sums(4), "k": Sums(40, 9)}, ())
    )
    assert "k" == reading.key
    assert at == reading.since
    assert 12 * 40 == pytest.approx(reading.value)
    assert 12 * 4 == pytest.approx(reading.baseline, rel=0.15)
    assert 40 == reading.observed
    assert 2 * reading.baseline / 12 == pytest.approx(reading.upper, rel=0.01)
    assert reading.documents == 40 * (reading.negative // 9)


def test_nobody_alarms_before_a_whole_day_was_seen() -> None:
    detector = VolumeDetector(["all", "k"], VolumeSettings(warm_up=1.0))
    steady(detector, 1, DAY_BUCKETS - 13)
    readings = []
    for i in range(DAY_BUCKETS - 13, DAY_BUCKETS):
        readings += detector.step(MONDAY + i * 300, {"all": Sums(500), "k": Sums(500)}, ())
    assert [] == readings
    assert 2 == len(
        detector.step(MONDAY + DAY_BUCKETS * 300, {"all": Sums(500), "k": Sums(500)}, ())
    )


def test_empty_buckets_are_evidence_that_a_burst_is_over() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    steady(detector, 30, 1)
    high = figure(detector, "k", "m")
    steady(detector, 0, 1)
    once = figure(detector, "k", "m")
    steady(detector, 0, 5)
    assert high > 10 > once > figure(detector, "k", "m")


def test_an_empty_bucket_lowers_the_level_too() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = figure(detector, "k", "documents") / figure(detector, "k", "exposure")
    steady(detector, 0, DAY_BUCKETS)
    after = figure(detector, "k", "documents") / figure(detector, "k", "exposure")
    assert after < 0.75 * before


def test_a_key_that_fires_learns_no_level() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = [figure(detector, "k", n) for n in ("documents", "exposure")]
    steady(detector, 100, DAY_BUCKETS, firing=["k"])
    assert before == [figure(detector, "k", n) for n in ("documents", "exposure")]
    assert figure(detector, "all", "documents") > 5 * before[0]


def test_the_rhythm_is_not_learned_from_a_burst_of_the_whole_stream() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = dict(detector.drain())[SEASON]
    steady(detector, 100, 12, firing=["all"])
    assert before == dict(detector.drain())[SEASON]


def test_the_level_is_learned_at_the_factor_of_its_own_hour() -> None:
    """The level follows an hour behind; where the rhythm is steep that hour's factor differs."""
    detector = VolumeDetector(["all", "k"])
    loud, quiet = Sums(20), Sums(2)
    for i in range(15 * DAY_BUCKETS):
        n = loud if i // 12 % 2 else quiet
        detector.step(MONDAY + i * 300, {"all": n, "k": n}, ())
    level = figure(detector, "k", "documents") / figure(detector, "k", "exposure")
    assert 11 == pytest.approx(level, rel=0.25)


def test_an_accepted_level_is_that_of_an_average_hour() -> None:
    detector = VolumeDetector(["all", "k"])
    for i in range(15 * DAY_BUCKETS + 24):
        n = Sums(20) if i // 12 % 2 else Sums(2)
        detector.step(MONDAY + i * 300, {"all": n, "k": n}, ["k"] if i >= 15 * DAY_BUCKETS else ())
    detector.accept("k")
    level = figure(detector, "k", "documents") / figure(detector, "k", "exposure")
    assert 11 == pytest.approx(level, rel=0.25)


def test_a_restored_detector_reads_the_same() -> None:
    one, rng, _ = warm(days=3)
    other, same, _ = warm(days=3)
    restored = VolumeDetector(KEYS)
    restored.restore(other.drain())
    assert [] == restored.drain()
    read: list[tuple[Reading, Reading]] = []
    for i in range(3 * DAY_BUCKETS, 4 * DAY_BUCKETS):
        start, n = MONDAY + i * BUCKET_SECONDS, counts(rng, i) * 4
        assert (n == counts(same, i) * 4).all()
        left, right = (d.step(start, sums_of(KEYS, n), ["topic:5"]) for d in (one, restored))
        read += zip(left, right, strict=True)
    assert {"topic:5", "all"} <= {a.key for a, _ in read}
    assert all(a == b for a, b in read)
    assert one.drain() == restored.drain()


def test_a_rise_after_a_page_is_a_rise_of_its_own() -> None:
    detector = VolumeDetector(["all", "k"])
    steady(detector, 4, 2 * DAY_BUCKETS)
    steady(detector, 60, 12, firing=["k"])
    steady(detector, 4, 6, firing=["k"])
    resolved = MONDAY + (2 * DAY_BUCKETS + 18) * BUCKET_SECONDS
    (second,) = [
        r
        for r in detector.step(resolved, {"all": Sums(4), "k": Sums(400)}, ())
        if r.alarm and r.key == "k"
    ]
    assert (resolved, 400) == (second.since, second.documents)


def learned(per_hour: Sequence[float], days: int) -> Seasonality:
    """A profile learned without decay from the same day again and again."""
    season = Seasonality()
    for i in range(days * DAY_BUCKETS):
        season.learn(MONDAY + i * 300, int(per_hour[i // 12 % 24]), decay=1.0)
    return season


def test_before_a_day_was_seen_every_hour_is_average() -> None:
    season = learned([0.0] * 12 + [9.0] * 12, days=1)
    assert 1.0 == Seasonality().factor(MONDAY)
    fresh = Seasonality()
    for i in range(DAY_BUCKETS - 1):
        fresh.learn(MONDAY + i * 300, 5, decay=1.0)
    assert 1.0 == fresh.factor(MONDAY)
    assert season.factor(MONDAY) < 1 < season.factor(MONDAY + 43_200)


def test_a_silent_stream_has_average_hours() -> None:
    assert 1.0 == learned([0.0] * 24, days=3).factor(MONDAY)


def test_an_hour_is_shrunk_to_its_hour_of_day_and_that_to_the_mean() -> None:
    per_hour = [0.0] * 24
    per_hour[12] = 48.0
    season = learned(per_hour, days=2)
    mean = 2 * 12 * 48 / 576
    daily = (2 * 12 * 48 + 24 * mean) / (24 + 24)
    seen = (12 * 48 + 48 * daily) / (12 + 48)
    unseen = (0 + 48 * daily) / (0 + 48)
    noon = MONDAY + 12 * 3600
    assert seen / mean == pytest.approx(season.factor(noon))
    assert unseen / mean == pytest.approx(season.factor(noon + 3 * 86_400))


def test_no_hour_is_so_quiet_that_one_document_is_a_burst() -> None:
    per_hour = [0.0] * 23 + [1000.0]
    assert 0.1 == learned(per_hour, days=28).factor(MONDAY + 3600)


def test_a_steady_stream_learns_factors_of_one() -> None:
    season = learned([7.0] * 24, days=9)
    assert [pytest.approx(1.0)] * 168 == [season.factor(MONDAY + h * 3600) for h in range(168)]
