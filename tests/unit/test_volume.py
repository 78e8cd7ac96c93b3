"""The volume detector: the rhythm of the day is no burst, and a burst is one."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pytest
from harness.samples import DAY_BUCKETS, MONDAY, sums_of
from numpy.typing import NDArray

from monitor.detect.base import Reading
from monitor.detect.table import Spoken
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings
from monitor.events import BUCKET_SECONDS, Sums

RATES = np.array([0.02, 0.1, 0.4, 1.0, 2.0, 5.0])
"""Documents a bucket of each key at an average hour."""
KEYS = ["all", *(f"topic:{i}" for i in range(len(RATES)))]


def step(
    detector: VolumeDetector, start: int, sums: Mapping[str, Sums], firing: Collection[str] = ()
) -> list[Reading]:
    return detector.step(start, Spoken.of(sums), firing)


def rhythm(bucket: int) -> float:
    """Quiet nights, a peak in the afternoon: from 0.15 to 1.85 of the average."""
    return 1.0 + 0.85 * math.sin(2 * math.pi * (bucket / DAY_BUCKETS - 0.35))


def counts(rng: np.random.Generator, bucket: int) -> NDArray[np.int64]:
    """The stream and its keys in one bucket."""
    n = rng.poisson(RATES * rhythm(bucket))
    return np.append(n.sum(), n)


def warm(days: int, seed: int = 1) -> tuple[VolumeDetector, np.random.Generator, list[Reading]]:
    """A detector that has seen some ordinary days, and the alarms of them."""
    rng, detector, alarms = np.random.default_rng(seed), VolumeDetector(), list[Reading]()
    for i in range(days * DAY_BUCKETS):
        alarms += step(detector, MONDAY + i * BUCKET_SECONDS, sums_of(KEYS, counts(rng, i)), ())
    return detector, rng, alarms


def steady(detector: VolumeDetector, n: int, buckets: int, firing: Sequence[str] = ()) -> None:
    """So many documents of every key in each of the next buckets."""
    first = int(detector._groups.pool.buckets)
    for i in range(first, first + buckets):
        both = {k: Sums(n) for k in ("all", "topic:k")}
        step(detector, MONDAY + i * BUCKET_SECONDS, both, firing)


def figure(detector: VolumeDetector, key: str, name: str) -> float:
    """One figure of a key's state; of M the largest."""
    row = detector._table.one(key)
    return 0.0 if row is None else float(np.max(row[name][0]))


def test_a_blind_key_may_still_alarm() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    at = MONDAY + 2 * DAY_BUCKETS * 300
    loud = Spoken.of({"all": Sums(4), "topic:k": Sums(40)})
    alarms = [r for i in range(12) for r in detector.step(at + 300 * i, loud, (), ["topic:k"])]
    assert "topic:k" in {r.key for r in alarms if r.alarm}


def test_a_level_accepted_while_nothing_was_heard_is_the_one_from_before() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = figure(detector, "topic:k", "documents")
    at = MONDAY + 2 * DAY_BUCKETS * 300
    for i in range(12):
        detector.step(at + 300 * i, Spoken.of({"all": Sums(4)}), (), ["topic:k"])
    detector.accept("topic:k")
    assert before == pytest.approx(figure(detector, "topic:k", "documents"), rel=0.02)


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
        for reading in step(detector, MONDAY + i * BUCKET_SECONDS, sums_of(KEYS, n), ()):
            found.add(reading.key)
    assert {"all", "topic:3", "topic:4", "topic:5"} <= found


def test_a_reading_tells_documents_an_hour_against_those_expected() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    at = MONDAY + 2 * DAY_BUCKETS * BUCKET_SECONDS
    reading = next(
        r
        for i in range(12)
        for r in step(detector, at + 300 * i, {"all": Sums(4), "topic:k": Sums(40, 9)}, ())
    )
    assert "topic:k" == reading.key
    assert at == reading.since
    assert 12 * 40 == pytest.approx(reading.value)
    assert 12 * 4 == pytest.approx(reading.baseline, rel=0.15)
    assert 40 == reading.observed
    assert 2 * reading.baseline / 12 == pytest.approx(reading.upper, rel=0.01)
    assert reading.documents == 40 * (reading.negative // 9)


def test_nobody_alarms_before_a_whole_day_was_seen() -> None:
    detector = VolumeDetector(VolumeSettings(warm_up=1.0))
    steady(detector, 1, DAY_BUCKETS - 13)
    readings = []
    for i in range(DAY_BUCKETS - 13, DAY_BUCKETS):
        readings += step(detector, MONDAY + i * 300, {"all": Sums(500), "topic:k": Sums(500)}, ())
    assert [] == readings
    assert 2 == len(
        step(detector, MONDAY + DAY_BUCKETS * 300, {"all": Sums(500), "topic:k": Sums(500)}, ())
    )


def test_empty_buckets_are_evidence_that_a_burst_is_over() -> None:
    left = []
    for silent in (0, 1, 6):
        detector = VolumeDetector()
        steady(detector, 4, 2 * DAY_BUCKETS)
        steady(detector, 30, 1)
        steady(detector, 0, silent)
        steady(detector, 4, 1)  # only who speaks is touched, and then the silence counts
        left.append(figure(detector, "topic:k", "u"))
    assert left[0] > left[1] > 3 * left[2]


def test_an_empty_bucket_lowers_the_level_too() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = figure(detector, "topic:k", "documents") / figure(detector, "topic:k", "exposure")
    steady(detector, 0, DAY_BUCKETS)
    steady(detector, 4, 1)
    after = figure(detector, "topic:k", "documents") / figure(detector, "topic:k", "exposure")
    assert after < 0.75 * before


def test_a_key_that_fires_learns_no_level() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = [figure(detector, "topic:k", n) for n in ("documents", "exposure")]
    steady(detector, 6, DAY_BUCKETS, firing=["topic:k"])
    assert before == [figure(detector, "topic:k", n) for n in ("documents", "exposure")]
    assert figure(detector, "all", "documents") > 1.5 * before[0]


def test_a_level_that_rises_is_not_learned_before_it_is_told_as_such() -> None:
    """Nobody calls it firing here; still the level is that of before."""
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = figure(detector, "topic:k", "documents") / figure(detector, "topic:k", "exposure")
    steady(detector, 60, 48)
    after = figure(detector, "topic:k", "documents") / figure(detector, "topic:k", "exposure")
    assert after < 1.05 * before


def test_the_rhythm_is_not_learned_from_a_burst_of_the_whole_stream() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    before = detector._groups.seasons.state[:3].copy()
    steady(detector, 100, 12, firing=["all"])
    assert (before == detector._groups.seasons.state[:3]).all()
    steady(detector, 100, 12)
    assert not (before[0] == detector._groups.seasons.state[0]).all()


def test_the_level_is_learned_at_the_factor_of_its_own_hour() -> None:
    """The level follows an hour behind; where the rhythm is steep that hour's factor differs."""
    detector = VolumeDetector()
    loud, quiet = Sums(20), Sums(2)
    for i in range(15 * DAY_BUCKETS):
        n = loud if i // 12 % 2 else quiet
        step(detector, MONDAY + i * 300, {"all": n, "topic:k": n}, ())
    level = figure(detector, "topic:k", "documents") / figure(detector, "topic:k", "exposure")
    assert 11 == pytest.approx(level, rel=0.25)


def test_an_accepted_level_is_that_of_an_average_hour() -> None:
    detector = VolumeDetector()
    for i in range(15 * DAY_BUCKETS + 24):
        n = Sums(20) if i // 12 % 2 else Sums(2)
        step(
            detector,
            MONDAY + i * 300,
            {"all": n, "topic:k": n},
            ["topic:k"] if i >= 15 * DAY_BUCKETS else (),
        )
    detector.accept("topic:k")
    level = figure(detector, "topic:k", "documents") / figure(detector, "topic:k", "exposure")
    assert 11 == pytest.approx(level, rel=0.25)


def test_a_restored_detector_reads_the_same() -> None:
    one, rng, _ = warm(days=3)
    other, same, _ = warm(days=3)
    restored = VolumeDetector()
    restored.restore(other.drain())
    assert [] == restored.drain()
    read: list[tuple[Reading, Reading]] = []
    for i in range(3 * DAY_BUCKETS, 4 * DAY_BUCKETS):
        start, n = MONDAY + i * BUCKET_SECONDS, counts(rng, i) * 4
        assert (n == counts(same, i) * 4).all()
        left, right = (step(d, start, sums_of(KEYS, n), ["topic:5"]) for d in (one, restored))
        read += zip(left, right, strict=True)
    assert {"topic:5", "all"} <= {a.key for a, _ in read}
    assert all(a == b for a, b in read)
    assert one.drain() == restored.drain()


def test_a_rise_after_a_page_is_a_rise_of_its_own() -> None:
    detector = VolumeDetector()
    steady(detector, 4, 2 * DAY_BUCKETS)
    steady(detector, 60, 12, firing=["topic:k"])
    steady(detector, 4, 6, firing=["topic:k"])
    resolved = MONDAY + (2 * DAY_BUCKETS + 18) * BUCKET_SECONDS
    (second,) = [
        r
        for r in step(detector, resolved, {"all": Sums(4), "topic:k": Sums(400)}, ())
        if r.alarm and r.key == "topic:k"
    ]
    assert (resolved, 400) == (second.since, second.documents)


def names_of_a_day(rng: np.random.Generator, number: int = 60) -> dict[str, Sums]:
    """One bucket of a stream in which new names come and go: few voices, some in clumps."""
    found: dict[str, Sums] = {}
    for _ in range(rng.poisson(3)):
        name = (
            f"company:US:{rng.integers(0, number) if rng.random() < 0.8 else rng.integers(10**6)}"
        )
        found.setdefault(name, Sums()).n += int(rng.geometric(0.7))
    found["all"] = Sums(sum(s.n for s in found.values()) + 10)
    return found


def watched(days: int = 3) -> tuple[VolumeDetector, int, list[Reading]]:
    """A detector that knows how names behave, the start of the next bucket, and its alarms."""
    rng, detector, alarms = np.random.default_rng(8), VolumeDetector(), list[Reading]()
    for i in range(days * DAY_BUCKETS):
        alarms += step(detector, MONDAY + i * 300, names_of_a_day(rng), ())
    return detector, MONDAY + days * DAY_BUCKETS * 300, alarms


def test_a_company_that_bursts_out_of_nothing_alarms_on_its_own_name() -> None:
    detector, at, before = watched()
    assert [] == [r for r in before if r.alarm]
    rng, first = np.random.default_rng(1), 0
    for i in range(12):
        sums = names_of_a_day(rng) | {"company:US:BNK": Sums(6, 5)}
        alarms = [r for r in step(detector, at + 300 * i, sums) if r.alarm]
        if alarms:
            first = i + 1
            break
    assert ["company:US:BNK"] == [r.key for r in alarms]
    assert first <= 9, "within the hour"
    assert (at, 6 * first) == (alarms[0].since, alarms[0].documents)
    assert alarms[0].rate < 1.0


def test_a_name_that_nobody_knew_and_that_is_heard_six_times_in_two_days_alarms() -> None:
    detector, at, _ = watched(days=8)
    rng, alarms = np.random.default_rng(2), list[Reading]()
    for i in range(2 * DAY_BUCKETS):
        sums = names_of_a_day(rng)
        if i % (DAY_BUCKETS // 3) == 5:
            sums["company:IN:NEW"] = Sums(1, 1)
        alarms += [r for r in step(detector, at + 300 * i, sums) if r.alarm]
    assert "company:IN:NEW" in {r.key for r in alarms}
    first = next(r for r in alarms if r.key == "company:IN:NEW")
    assert first.documents <= 6
    assert at + 5 * 300 == first.since


def test_a_name_that_is_always_heard_so_often_does_not_alarm() -> None:
    _, _, alarms = watched(days=8)
    assert [] == [r for r in alarms if r.alarm]


def test_the_level_accepted_of_a_name_is_that_since_it_rose() -> None:
    detector, at, _ = watched(days=8)
    for i in range(DAY_BUCKETS):
        sums = {"all": Sums(20)} | ({"name:new": Sums(1)} if i % 24 == 0 else {})
        step(detector, at + 300 * i, sums, ["name:new"] if i > 48 else ())
    detector.accept("name:new")
    level = figure(detector, "name:new", "documents") / figure(detector, "name:new", "exposure")
    assert 1 / 24 == pytest.approx(level, rel=0.5)


def test_a_clump_of_five_voices_is_how_names_are_spoken_of() -> None:
    detector, at, _ = watched()
    readings = step(detector, at, {"all": Sums(20), "company:US:NEW": Sums(5)})
    assert [] == [r for r in readings if r.alarm]


def test_in_the_first_day_of_an_installation_everybody_is_new_and_nobody_alarms() -> None:
    detector = VolumeDetector()
    for i in range(20):
        assert [] == step(detector, MONDAY + 300 * i, {"all": Sums(60), "name:x": Sums(50)})


def test_new_names_tell_what_is_to_be_expected_of_the_next() -> None:
    quiet, loud = VolumeDetector(), VolumeDetector()
    for detector, buckets in ((quiet, 1), (loud, 6)):
        for i in range(2 * DAY_BUCKETS):
            sums = {"all": Sums(20), f"name:{i // buckets}": Sums(1)}
            step(detector, MONDAY + 300 * i, sums)
        step(detector, MONDAY + 2 * DAY_BUCKETS * 300, {"name:new": Sums(1)})
    expected = [
        detector.recent("name:new", MONDAY, MONDAY + 2 * DAY_BUCKETS * 300).expected
        for detector in (quiet, loud)
    ]
    assert expected[1] > 4 * expected[0]


def test_what_is_not_heard_of_a_blind_key_lowers_no_level() -> None:
    levels = []
    for blind in (["topic:k"], []):
        detector = VolumeDetector()
        steady(detector, 4, 2 * DAY_BUCKETS)
        at = MONDAY + 2 * DAY_BUCKETS * 300
        for i in range(DAY_BUCKETS):
            detector.step(at + 300 * i, Spoken.of({"all": Sums(4)}), (), blind)
        step(detector, at + 300 * DAY_BUCKETS, {"topic:k": Sums(4)})
        documents, exposure = (figure(detector, "topic:k", n) for n in ("documents", "exposure"))
        levels.append(documents / exposure)
    assert 4 == pytest.approx(levels[0], rel=0.05)
    assert levels[1] < 0.75 * levels[0]


@pytest.mark.parametrize(
    ("key", "outlives"),
    [("all", True), ("kind:news", True), ("company:US:A", True), ("watch:w", True),
     ("topic:Macro", False), ("name:x", False), ("pair:Macro|company:US:A", False)],
)  # fmt: skip
def test_how_much_is_written_outlives_the_model_unless_the_model_says_about_what(
    key: str, outlives: bool
) -> None:
    assert outlives == VolumeDetector().outlives_model(key)
