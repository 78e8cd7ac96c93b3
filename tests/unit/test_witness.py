"""What a detector keeps of a key that alarms gives the same reading again, to the bit."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from monitor.detect.base import Detector, Reading
from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.table import Spoken
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings
from monitor.detect.witness import Witness
from monitor.events import BUCKET_SECONDS, TOPICS, Sums
from monitor.keys import pair_key, topic_key

MONDAY = 1_772_409_600
COMPANIES = [f"company:US:A{i}" for i in range(4)]
KEYS = [
    "all",
    "kind:news",
    topic_key(TOPICS[3]),
    topic_key(TOPICS[5]),
    *COMPANIES,
    "name:Somebody",
    "watch:mine",
    "other:company",
    *(pair_key(topic, company) for topic in (3, 5) for company in COMPANIES[:2]),
]


def share() -> ShareDetector:
    """With a short memory and a budget that makes it nervous."""
    return ShareDetector(ShareSettings(budget=300.0, min_baseline=10.0, half_life=0.2))


def volume() -> VolumeDetector:
    return VolumeDetector(VolumeSettings(budget=300.0, warm_up=0.05, half_life=0.2))


def figures(reading: Reading) -> tuple[object, ...]:
    return astuple(replace(reading, witness=None))


def again(reading: Reading, detector: Detector) -> Reading:
    assert reading.witness is not None
    return detector.again(reading.witness)


def buckets(seed: int, number: int) -> list[tuple[int, Spoken]]:
    """A random stream in which every key speaks at its own rate and turns at its own time."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.2, 12.0, len(KEYS))
    turns = rng.integers(number // 2, number, len(KEYS))
    made = []
    for i in range(number):
        loud = np.where(i >= turns, rng.choice([1.0, 4.0], len(KEYS)), 1.0)
        n = rng.poisson(rates * loud)
        x = rng.binomial(n, np.where(i >= turns, 0.8, 0.2))
        sums = {k: Sums(int(a), int(b)) for k, a, b in zip(KEYS, n, x, strict=True)}
        made.append((MONDAY + i * BUCKET_SECONDS, Spoken.of(sums)))
    return made


@pytest.mark.parametrize("make", [share, volume])
@pytest.mark.parametrize("seed", range(2))
def test_every_alarm_is_given_again_whoever_fires_or_is_blind_beside_it(
    make: type[Detector], seed: int
) -> None:
    detector, rng = make(), np.random.default_rng(seed)
    alarms: list[Reading] = []
    firing: set[str] = set()
    for start, spoken in buckets(seed, 120):
        blind = set(rng.choice(KEYS, rng.integers(0, 3), replace=False).tolist()) - firing
        found = detector.step(start, spoken, firing, blind)
        for reading in found:
            if reading.key in firing:
                assert reading.witness is None
                continue
            alarms.append(reading)
            assert figures(reading) == figures(again(reading, make()))
            if reading.key not in blind and rng.random() < 0.5:
                firing.add(reading.key)
        firing -= set(rng.choice(KEYS, 1).tolist())
    sorts = {reading.key.partition(":")[0] for reading in alarms}
    assert len(alarms) > 30
    assert {"company", "pair"} <= sorts
    assert len(sorts) >= 5


@pytest.mark.parametrize("seed", range(2))
def test_so_is_every_alarm_within_an_open_bucket(seed: int) -> None:
    detector = share()
    early = 0
    for start, spoken in buckets(seed, 120):
        part = Spoken(spoken.keys, spoken.n - spoken.n // 3, spoken.negative - spoken.n // 3)
        part = replace(part, negative=np.maximum(part.negative, 0))
        for reading in detector.look(start, part, ()):
            early += 1
            assert figures(reading) == figures(again(reading, share()))
        detector.step(start, spoken, ())
    assert early > 10


def alarm() -> Reading:
    detector = share()
    for start, spoken in buckets(1, 120):
        for reading in detector.step(start, spoken, ()):
            if reading.key.startswith("pair:"):
                return reading
    pytest.fail("no pair has alarmed")


def test_of_a_pair_all_on_whom_its_null_leans_are_kept_and_nobody_else() -> None:
    reading = alarm()
    assert reading.witness is not None
    topic, company = reading.key.removeprefix("pair:").rsplit("|", 1)
    kin = {reading.key, f"topic:{topic}", company, "@company", "all"}
    assert kin == set(reading.witness.states)
    assert set(reading.witness.spoken) <= kin


@pytest.mark.parametrize("change", ["state", "spoken", "shared", "settings"])
def test_whatever_of_a_witness_is_changed_changes_the_reading(change: str) -> None:
    reading = alarm()
    witness = reading.witness
    assert witness is not None
    settings = ShareSettings(**witness.settings)
    changed: Witness = witness
    if change == "state":
        row = bytearray(witness.states[reading.key])
        row[0:8] = np.float64(np.frombuffer(row[0:8])[0] + 1e-6).tobytes()
        changed = replace(witness, states={**witness.states, reading.key: bytes(row)})
    elif change == "spoken":
        n, x = witness.spoken[reading.key]
        changed = replace(witness, spoken={**witness.spoken, reading.key: (n + 1, x)})
    elif change == "shared":
        changed = replace(witness, shared=(*(2 * n for n in witness.shared[:-1]), 1))
    else:
        settings = replace(settings, margin=settings.margin + 1e-9)
    assert figures(reading) != figures(ShareDetector(settings).again(changed))
