"""The detectors' figures, smaller: tests/benchmarks/detect.py has those of the documentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness.rivals import Statistic, seasonal_tail
from harness.samples import DAY_BUCKETS, MONDAY
from harness.streams import Floats, Stream, matched, spoken_of

from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.table import Spoken
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings

EDGE = ShareSettings(prior_weight=1e12, prior_share=0.25, margin=1.0, z=0.0, min_baseline=0.0)
"""p⁺ is the true share: nothing but the bound itself protects."""


@pytest.mark.parametrize(
    ("stream", "settings", "least"),
    [
        (Stream(np.full(400, 0.25)), EDGE, 5),
        (Stream(np.full(400, 0.25), drift=0.2, memory=0.3), ShareSettings(), 0),
        (
            Stream(np.full(400, 0.25), overdispersion=0.08),
            replace(EDGE, prior_pairs=1e12, prior_overdispersion=0.05),
            5,
        ),
    ],
    ids=["at the edge", "drift", "overdispersion x 1.6"],
)
def test_false_alarms_stay_within_what_is_paid_out(
    stream: Stream, settings: ShareSettings, least: int
) -> None:
    budget, days = 120.0, 2
    detector = ShareDetector(replace(settings, budget=budget))
    alarms, firing = 0, list[str]()
    for _ in range(days * DAY_BUCKETS):
        start, n, x = stream.next()
        spoken = spoken_of(stream.keys, n, x, whole=False)
        firing = [r.key for r in detector.step(start, spoken, firing) if r.alarm]
        alarms += len(firing)
    assert least <= alarms <= budget * days


def test_the_bound_holds_while_keys_come_and_go() -> None:
    """Names that live for an hour each, of very different activity, at the edge of the null."""
    budget, rng = 200.0, np.random.default_rng(3)
    detector = ShareDetector(replace(EDGE, budget=budget))
    alarms, firing = 0, list[str]()
    for i in range(DAY_BUCKETS):
        busy = [f"topic:{j}" for j in range(3)]
        names = [f"name:{i // 12}-{j:02d}" for j in range(40) if rng.random() < (j + 1) / 40]
        keys = sorted([*busy, *names])
        n = rng.poisson(6, len(keys)) + 1
        # Pools would tell the names' own share, which is the same.
        x = rng.binomial(n, rng.beta(0.25 * 19, 0.75 * 19, len(keys)))
        found = detector.step(MONDAY + 300 * i, Spoken(keys, n, x), firing)
        firing = [r.key for r in found if r.alarm]
        alarms += len(firing)
    assert 0 < alarms <= budget


def test_events_are_seen_at_least_as_often_as_by_a_seasonal_negative_binomial_tail() -> None:
    """Odds and volume × 3 for three hours, both methods with the same number of false alarms."""
    keys, calm_days, warm_up = 48, 4, 2
    rng = np.random.default_rng(11)
    stream = Stream(
        rng.beta(4, 12, keys),
        documents=rng.gamma(2.0, 3.0, keys),
        at_least=5,
        rhythm=0.6,
        burstiness=0.1,
        seed=5,
    )
    size = calm_days * DAY_BUCKETS
    onset = size + rng.integers(12, 100, keys)
    budget = DAY_BUCKETS * keys / 1e6
    share = ShareDetector(ShareSettings(budget=budget))
    volume = VolumeDetector(VolumeSettings(budget=budget))
    steps = size + 140
    counts = np.zeros((steps, keys), dtype=np.int64)
    levels = np.zeros((2, steps, keys), dtype=np.float32)
    for i in range(steps):
        loud = np.where((onset <= i) & (i < onset + 36), 3.0, 1.0)
        start, n, x = stream.next(loud, loud)
        counts[i] = x
        spoken = spoken_of(stream.keys, n, x)
        share.step(start, spoken, ())
        volume.step(start, spoken, ())
        for j, table in enumerate((share._table, volume._table)):
            levels[j, i] = table.take(table.places(stream.keys))["u"].mean(axis=1)

    def first(statistic: Statistic, allowed: int) -> Floats:
        limit = matched(statistic[warm_up * DAY_BUCKETS : size], allowed)
        seen = [statistic[at : at + 36, k] >= limit for k, at in enumerate(onset)]
        return np.array([s.argmax() if s.any() else np.inf for s in seen])

    ours = np.minimum(first(levels[0], 1), first(levels[1], 1))
    tail = first(seasonal_tail(counts), 2)
    assert np.isfinite(ours).mean() >= max(np.isfinite(tail).mean(), 0.95)
    assert 5 * (np.median(ours) + 1) <= 35
