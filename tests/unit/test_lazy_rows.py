"""Live, replayed and restarted detectors agree to the byte, whoever was silent meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness.samples import MONDAY
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detect.base import Detector
from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.table import Spoken
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings
from monitor.events import Sums

KEYS = ("all", "topic:Macro", "company:US:A", "company:US:B", "name:x", "watch:w",
        "pair:Macro|company:US:A")  # fmt: skip

counts = st.builds(Sums, n=st.integers(1, 30), negative=st.integers(0, 1)).flatmap(
    lambda s: st.integers(0, s.n).map(lambda x: Sums(s.n, x))
)
buckets = st.dictionaries(st.sampled_from(KEYS), counts, max_size=5)
streams = st.lists(
    st.tuples(
        st.integers(1, 40),  # buckets after the one before: most of them silent
        buckets,
        st.sets(st.sampled_from(KEYS), max_size=1),  # firing
        st.sets(st.sampled_from(KEYS), max_size=1),  # blind
        st.booleans(),  # restarted after it
    ),
    min_size=1,
    max_size=30,
)

MAKERS: list[Callable[[], Detector]] = [
    lambda: ShareDetector(ShareSettings(min_baseline=5.0, budget=1000.0)),
    lambda: VolumeDetector(VolumeSettings(warm_up=0.0, budget=1000.0)),
]


@pytest.mark.parametrize("make", MAKERS, ids=["share", "volume"])
@settings(max_examples=60, deadline=None)
@given(stream=streams, turned=st.randoms(use_true_random=False))
def test_order_and_restarts_change_nothing(
    make: Callable[[], Detector],
    stream: list[tuple[int, dict[str, Sums], set[str], set[str], bool]],
    turned: object,
) -> None:
    whole, broken = make(), make()
    stored: dict[str, bytes] = {}
    live: dict[str, bytes] = {}
    at = MONDAY
    for gap, sums, firing, blind, restart in stream:
        at += 300 * gap
        shuffled = dict(sorted(sums.items(), key=lambda _: turned.random()))  # type: ignore[attr-defined]
        one = whole.step(at, Spoken.of(sums), firing, blind)
        other = broken.step(at, Spoken.of(shuffled), sorted(firing), sorted(blind))
        assert one == other
        live.update(whole.drain())
        if restart:
            stored.update(broken.drain())
            broken = make()
            # A store gives the rows in an order of its own.
            broken.restore(sorted(stored.items(), key=lambda _: turned.random()))  # type: ignore[attr-defined]
            assert [] == broken.drain()
    stored.update(broken.drain())
    assert live == stored


@pytest.mark.parametrize("make", MAKERS, ids=["share", "volume"])
def test_a_row_is_small(make: Callable[[], Detector]) -> None:
    """Both and the roster's 8 bytes are at most 300 for a key."""
    sizes = {}
    for maker in MAKERS:
        detector = maker()
        detector.step(MONDAY, Spoken.of({"company:US:A": Sums(1)}), ())
        sizes[detector.name] = len(dict(detector.drain())["company:US:A"])
    assert sum(sizes.values()) + 8 <= 300


@pytest.mark.parametrize("make", MAKERS, ids=["share", "volume"])
def test_who_does_not_speak_is_not_written(make: Callable[[], Detector]) -> None:
    detector = make()
    detector.step(MONDAY, Spoken.of({"all": Sums(9, 2), "name:x": Sums(3, 1)}), ())
    detector.drain()
    detector.step(MONDAY + 300, Spoken.of({"all": Sums(9, 2)}), ())
    assert {"all"} == {key for key, _ in detector.drain() if not key.startswith("@")}


@pytest.mark.parametrize("make", MAKERS, ids=["share", "volume"])
def test_who_is_forgotten_is_told_and_begins_anew(make: Callable[[], Detector]) -> None:
    detector, fresh = make(), make()
    detector.step(MONDAY, Spoken.of({"name:x": Sums(30, 10)}), ())
    detector.drain()
    detector.forget(["name:x"])
    assert ("name:x", b"") in detector.drain()
    for one in (detector, fresh):
        one.step(MONDAY + 300, Spoken.of({"name:x": Sums(2, 1)}), ())
    states = [dict(d.drain())["name:x"] for d in (detector, fresh)]
    assert len(states[0]) == len(states[1]) > 0
