"""The detectors with their alerts: who is inhibited, who makes room, how far is looked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from harness.samples import DAY_BUCKETS, MONDAY, NOW, evidence

from monitor.detect.calendar import Calendar, Event
from monitor.detect.correction import UNCORRECTED, Correction
from monitor.detect.draft import WITHIN_ERROR
from monitor.detect.gates import Exhibit, Speaker
from monitor.detect.roster import Roster
from monitor.detect.share.detector import ShareDetector
from monitor.detect.surroundings import BLIND, CHANGED, Context, LifecycleSettings
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.watch import Watch
from monitor.events import Alert, AlertStatus, Sums
from monitor.store.base import KeyState

CONTEXT = Context(NOW, NOW, "memory-1")
CALM: Mapping[str, Sums] = {"all": Sums(12, 2), "topic:Macro": Sums(12, 2)}
LOUD: Mapping[str, Sums] = {"all": Sums(12, 10), "topic:Macro": Sums(12, 10)}
SHARE = "topic:Macro"


def exhibit(_key: str, _since: int, _until: int, limit: int) -> Exhibit:
    speakers: dict[Speaker, int] = {(f"source-{i}", None): 10 for i in range(5)}
    return Exhibit(tuple(evidence(5)[:limit]), {"a": 30, "b": 12}, speakers)


def make(
    *, correction: Correction = UNCORRECTED, calendar: Calendar | None = None, places: int = 100
) -> Watch:
    return Watch(
        (ShareDetector(), VolumeDetector()),
        exhibit,
        LifecycleSettings(),
        roster=Roster(places),
        calendar=calendar,
        correction=lambda _key, _model: correction,
    )


def run(
    watch: Watch,
    buckets: int,
    sums: Mapping[str, Sums],
    first: int,
    context: Context = CONTEXT,
    blind: Collection[str] = (),
) -> list[Alert]:
    """The changes of alerts of the share detector over so many buckets alike."""
    found: list[Alert] = []
    for i in range(first, first + buckets):
        found += watch.step(MONDAY + 300 * i, sums, context, blind)
    return [a for a in found if a.detector == "share"]


def warmed(watch: Watch) -> Watch:
    assert [] == run(watch, 2 * DAY_BUCKETS, CALM, 0)
    return watch


AFTER = 2 * DAY_BUCKETS


def test_a_rise_of_one_topic_that_is_the_whole_stream_is_shown_as_the_topic() -> None:
    changes = run(warmed(make()), 12, LOUD, AFTER)
    fired = {a.key: a for a in changes if a.status is AlertStatus.FIRING}
    assert ("", SHARE) == (fired[SHARE].setting.under, fired["all"].setting.under)
    assert fired[SHARE].sent
    assert not fired["all"].sent
    assert ["all"] == [e.key for e in fired[SHARE].setting.explained]
    assert fired[SHARE].setting.corrected is not None


def test_who_was_shown_under_another_is_sent_when_that_one_has_ended() -> None:
    watch = warmed(make())
    run(watch, 12, LOUD, AFTER)
    apart = {"all": Sums(24, 20), "topic:Macro": Sums(12, 2), "topic:Energy": Sums(12, 12)}
    changes = run(watch, 12, apart, AFTER + 12)
    freed = [a for a in changes if a.key == "all" and a.status is AlertStatus.FIRING]
    assert [("", True)] == [(a.setting.under, a.sent) for a in freed]


def test_nobody_is_paged_of_a_key_for_which_a_source_does_not_speak() -> None:
    watch = warmed(make())
    changes = run(watch, 12, LOUD, AFTER, blind=[SHARE])
    assert [(AlertStatus.PENDING, BLIND)] == [
        (a.status, a.setting.insufficient) for a in changes if a.key == SHARE
    ]
    changes = run(watch, 2, LOUD, AFTER + 12)
    assert AlertStatus.FIRING in {a.status for a in changes if a.key == SHARE}


def test_nobody_is_paged_of_what_another_model_has_just_come_to_judge() -> None:
    watch = make()
    run(watch, AFTER, CALM, 0)
    other = replace(CONTEXT, model_version="memory-2")
    # The detectors' states go over here, as if the other model judged alike.
    changes = run(watch, 11, LOUD, AFTER, other)
    assert {(AlertStatus.PENDING, CHANGED)} == {(a.status, a.setting.insufficient) for a in changes}
    changes = run(watch, 3, LOUD, AFTER + 11, other)
    assert AlertStatus.FIRING in {a.status for a in changes}


def test_a_share_within_the_errors_of_the_model_waits() -> None:
    poor = Correction(0.55, 0.45, 60, 60)
    changes = run(warmed(make(correction=poor)), 12, LOUD, AFTER)
    assert {(AlertStatus.PENDING, WITHIN_ERROR)} >= {
        (a.status, a.setting.insufficient) for a in changes if a.status is AlertStatus.PENDING
    }
    assert WITHIN_ERROR in {a.setting.insufficient for a in changes}


def test_what_the_calendar_expects_fires_and_is_not_sent_until_its_time_is_over() -> None:
    at = MONDAY + 300 * AFTER
    calendar = Calendar([Event("all", at, at + 3600, "results")])
    watch = warmed(make(calendar=calendar))
    changes = run(watch, 11, LOUD, AFTER)
    assert {("results", False)} == {(a.setting.expected, a.sent) for a in changes if a.fired_at}
    changes = run(watch, 2, LOUD, AFTER + 11)
    assert [True] == [a.sent for a in changes if a.key == SHARE]


def test_between_two_minutes_it_is_looked_into_the_open_bucket_once() -> None:
    watch = warmed(make())
    i = AFTER
    while not watch._pairs[0][0].hot:
        assert [] == run(watch, 1, LOUD, i)
        i += 1
    start, asked = MONDAY + 300 * i, list[tuple[tuple[str, ...], int, int]]()

    def part(keys: Collection[str], begin: int, until: int) -> Mapping[str, Sums]:
        asked.append((tuple(keys), begin, until))
        return {key: Sums(40, 39) for key in keys} if until >= start + 120 else {}

    fired = list(watch.look(start, start + 130.0, part, CONTEXT))
    assert [start + 60, start + 120] == [until for _, _, until in asked]
    assert {SHARE, "all"} == {a.key for a in fired}
    assert {start + 120} == {int(a.fired_at.timestamp()) for a in fired if a.fired_at}
    assert [] == list(watch.look(start, start + 170.0, part, CONTEXT))
    restored = make()
    states = list(watch.drain("memory-1"))
    restored.restore(states, fired, "memory-1")
    assert restored._looked == watch._looked


def test_who_makes_room_is_forgotten_by_every_detector_and_by_the_store() -> None:
    watch = make(places=1)
    list(watch.step(MONDAY, {"all": Sums(9), "company:US:OLD": Sums(1)}, CONTEXT))
    stored = {(s.detector, s.key): s for s in watch.drain("m")}
    list(watch.step(MONDAY + 300, {"all": Sums(9), "company:US:NEW": Sums(8)}, CONTEXT))
    drained = list(watch.drain("m"))
    emptied = {s.detector for s in drained if s.key == "company:US:OLD" and not s.state}
    assert {"share", "volume", "roster"} == emptied
    assert {d for d, key in stored if key == "company:US:OLD"} == emptied
    assert ("volume", "company:US:NEW") in {(s.detector, s.key) for s in drained}


def test_a_restored_watch_goes_on_as_the_one_that_was_never_stopped() -> None:
    whole, broken = make(), make()
    stored: dict[tuple[str, str], KeyState] = {}
    alerts: dict[str, Alert] = {}
    for i in range(AFTER + 20):
        loud = i >= AFTER
        sums = {**(LOUD if loud else CALM), f"name:{i % 7}": Sums(1 + i % 3, i % 2)}
        one = list(whole.step(MONDAY + 300 * i, sums, CONTEXT))
        other = list(broken.step(MONDAY + 300 * i, sums, CONTEXT))
        assert one == other
        if i % 97 == 0 or loud:
            stored.update({(s.detector, s.key): s for s in broken.drain("memory-1")})
            alerts.update((a.id, a) for a in other)
            active = [a for a in alerts.values() if a.status is not AlertStatus.RESOLVED]
            broken = make()
            broken.restore(stored.values(), active, "memory-1")
    assert any(a.status is AlertStatus.FIRING for a in alerts.values())


@pytest.mark.parametrize("version", ["memory-1", "memory-2"])
def test_the_roster_outlives_the_model(version: str) -> None:
    watch = make()
    list(watch.step(MONDAY, {"company:US:A": Sums(3)}, CONTEXT))
    restored = make()
    restored.restore(list(watch.drain("memory-1")), [], version)
    assert 1 == restored._roster.followed
