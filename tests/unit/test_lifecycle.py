"""The life of an alert: pending, firing, resolved; and who hears of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from harness.samples import DAY, MONDAY, NOW, evidence, moment, reading

from monitor.detect.base import Reading
from monitor.detect.draft import counted, summarise
from monitor.detect.gates import Exhibit, Speaker
from monitor.detect.lifecycle import Lifecycle
from monitor.detect.surroundings import Context, Inhibited, LifecycleSettings
from monitor.events import (
    BUCKET_SECONDS,
    TOPICS,
    About,
    Alert,
    AlertStatus,
    Setting,
    Severity,
    Subject,
    Term,
)

CONTEXT = Context(NOW, NOW, "memory-1")
BANK = Subject("company:XX:HLD", "Halden Bank", 40)


class Documents:
    """The evidence that the store would give, and what it was asked for."""

    def __init__(self, sources: int = 5) -> None:
        self.sources = sources
        self.asked: list[tuple[str, int, int, int]] = []

    def __call__(self, key: str, since: int, until: int, limit: int) -> Exhibit:
        self.asked.append((key, since, until, limit))
        speakers: dict[Speaker, int] = {(f"source-{i}", None): 10 for i in range(self.sources)}
        return Exhibit(tuple(evidence(self.sources)[:limit]), {"a": 30, "b": 12}, speakers)


def life(
    documents: Documents | None = None, detector: str = "share", version: str = "share-1/x"
) -> Lifecycle:
    """A life cycle with its defaults."""
    return Lifecycle(detector, version, documents or Documents())


def fired(lifecycle: Lifecycle | None = None, start: int = MONDAY) -> Lifecycle:
    """One whose key ``all`` fired at the end of the bucket at ``start``."""
    lifecycle = lifecycle or life()
    ((alert,), _) = lifecycle.advance(start, [reading()], CONTEXT)
    assert alert.status is AlertStatus.FIRING
    return lifecycle


def quiet(n: int = 10, observed: float = 1.0) -> Reading:
    """A bucket of a firing key: ``observed`` against an upper end of 3."""
    return reading(alarm=False, bucket_documents=n, observed=observed, upper=n * 0.3)


def watch(lifecycle: Lifecycle, readings: Iterable[Reading], first: int = 1) -> list[Alert]:
    """The changes by these readings of the buckets after the one that fired."""
    changes: list[Alert] = []
    for i, r in enumerate(readings, start=first):
        changed, accepted = lifecycle.advance(MONDAY + i * BUCKET_SECONDS, [r], CONTEXT)
        assert [] == accepted
        changes += changed
    return changes


def test_an_alarm_that_passes_the_gates_fires_at_once() -> None:
    documents = Documents()
    lifecycle = life(documents)
    ((alert,), accepted) = lifecycle.advance(MONDAY + 600, [reading(since=MONDAY)], CONTEXT)
    assert [("all", MONDAY, MONDAY + 900, 10)] == documents.asked
    assert (AlertStatus.FIRING, moment(MONDAY + 900)) == (alert.status, alert.fired_at)
    assert (moment(MONDAY), moment(MONDAY + 900)) == (alert.window_start, alert.window_end)
    assert (0.6, 0.2, 40, 24) == (alert.value, alert.baseline, alert.documents, alert.negative)
    assert 10 == len(alert.evidence)
    assert {"all"} == lifecycle.firing
    assert [] == accepted


@pytest.mark.parametrize(
    ("documents", "sources"), [(4, 5), (40, 2)], ids=["few documents", "few sources"]
)
def test_an_alarm_that_fails_a_gate_is_pending(documents: int, sources: int) -> None:
    lifecycle = life(Documents(sources))
    ((alert,), _) = lifecycle.advance(MONDAY, [reading(documents=documents)], CONTEXT)
    assert (AlertStatus.PENDING, None) == (alert.status, alert.fired_at)
    assert set() == lifecycle.firing
    assert {"all"} == set(lifecycle.active)


def test_a_pending_alert_fires_under_its_id_once_the_gates_are_passed() -> None:
    documents = Documents(sources=2)
    lifecycle = life(documents)
    ((pending,), _) = lifecycle.advance(MONDAY, [reading()], CONTEXT)
    assert ([], []) == lifecycle.advance(MONDAY + 300, [reading()], CONTEXT)
    documents.sources = 3
    ((alert,), _) = lifecycle.advance(MONDAY + 600, [reading(since=MONDAY + 300)], CONTEXT)
    assert (pending.id, AlertStatus.FIRING) == (alert.id, alert.status)
    assert moment(MONDAY + 900) == alert.fired_at


@pytest.mark.parametrize("readings", [[], [quiet()]], ids=["silent", "no longer in alarm"])
def test_a_pending_alert_that_fades_ends_without_ever_having_fired(readings: list[Reading]) -> None:
    lifecycle = life(Documents(sources=1))
    lifecycle.advance(MONDAY, [reading()], CONTEXT)
    ((alert,), _) = lifecycle.advance(MONDAY + 300, readings, CONTEXT)
    assert (AlertStatus.RESOLVED, None) == (alert.status, alert.fired_at)
    assert {} == lifecycle.active


@pytest.mark.parametrize(
    ("expected", "excess"), [(Severity.WARNING, 99.0), (Severity.CRITICAL, 100.0)]
)
def test_overwhelming_evidence_is_critical(expected: Severity, excess: float) -> None:
    loud = reading(evalue=15_000.0 * excess)
    ((alert,), _) = life().advance(MONDAY, [loud], CONTEXT)
    assert expected is alert.severity


@pytest.mark.parametrize(
    ("detector", "changes"),
    [
        ("share", {"documents": 40_000, "negative": 10_400, "value": 0.26}),
        ("share", {"documents": 12, "negative": 5, "value": 0.42}),
        ("volume", {"value": 50.0, "baseline": 20.0}),
    ],
    ids=["a small shift of many", "a shift that may be small", "two and a half times as many"],
)
def test_beyond_doubt_and_not_large_is_a_warning(detector: str, changes: dict[str, float]) -> None:
    loud = replace(reading(evalue=1e12), **changes)  # type: ignore[arg-type]
    ((alert,), _) = life(detector=detector).advance(MONDAY, [loud], CONTEXT)
    assert Severity.WARNING is alert.severity


def test_three_times_the_usual_voices_beyond_doubt_are_critical() -> None:
    loud = replace(reading(evalue=1e12), value=60.0, baseline=20.0)
    ((alert,), _) = life(detector="volume").advance(MONDAY, [loud], CONTEXT)
    assert Severity.CRITICAL is alert.severity


def test_what_a_window_is_about_is_asked_when_it_fires_and_never_else() -> None:
    asked = []

    class Telling(Documents):
        def __call__(self, key: str, since: int, until: int, limit: int) -> Exhibit:
            def about() -> About:
                asked.append(until)
                return About(40, (Term("halts withdrawals", 30, 4.2),), (BANK,))

            return replace(super().__call__(key, since, until, limit), about=about)

    documents = Telling(sources=2)
    lifecycle = life(documents)
    ((pending,), _) = lifecycle.advance(MONDAY, [reading("company:XX:HLD")], CONTEXT)
    lifecycle.advance(MONDAY + 300, [reading("company:XX:HLD")], CONTEXT)
    assert ([], About()) == (asked, pending.about)
    documents.sources = 5
    ((alert,), _) = lifecycle.advance(MONDAY + 600, [reading("company:XX:HLD")], CONTEXT)
    watch(lifecycle, [replace(quiet(), key="company:XX:HLD")] * 2, first=3)
    assert [MONDAY + 900] == asked
    assert "halts withdrawals" == alert.about.terms[0].text
    assert alert.summary.startswith("Halden Bank: 60% negative")


def test_a_firing_key_resolves_after_half_an_hour_that_was_normal() -> None:
    lifecycle = fired()
    assert [] == watch(lifecycle, [quiet()] * 5)
    (alert,) = watch(lifecycle, [quiet()], first=6)
    assert AlertStatus.RESOLVED is alert.status
    assert moment(MONDAY + 7 * BUCKET_SECONDS) == alert.resolved_at
    assert moment(MONDAY + BUCKET_SECONDS) == alert.fired_at
    assert set() == lifecycle.firing


def test_the_half_hour_may_begin_any_time_after_it_fired() -> None:
    lifecycle = fired()
    assert [] == watch(lifecycle, [quiet(observed=9.0)] * 12)
    (alert,) = watch(lifecycle, [quiet(observed=2.9)] * 6, first=13)
    assert moment(MONDAY + 19 * BUCKET_SECONDS) == alert.resolved_at


def test_a_half_hour_is_judged_as_a_whole() -> None:
    """One loud bucket among quiet ones does not keep it firing, fifty a little loud ones do."""
    resolved = watch(fired(), [quiet(observed=n) for n in (1, 1, 8, 1, 1, 1)])
    assert [AlertStatus.RESOLVED] == [a.status for a in resolved]
    assert [] == watch(fired(), [quiet(observed=3.1)] * 50)


def test_what_fires_goes_on_firing_while_its_key_is_blind() -> None:
    lifecycle = fired()
    for i in range(1, 400):
        at = MONDAY + i * BUCKET_SECONDS
        assert ([], []) == lifecycle.advance(at, [quiet()], CONTEXT, Inhibited({"all"}))
    ((alert,), _) = lifecycle.advance(MONDAY + 400 * BUCKET_SECONDS, [quiet()], CONTEXT)
    assert AlertStatus.RESOLVED is alert.status


def test_an_alarm_whose_evidence_never_suffices_is_accepted_in_the_end() -> None:
    lifecycle = life(Documents(sources=2))
    for i in range(3 * 288 - 1):
        _, accepted = lifecycle.advance(MONDAY + 300 * i, [reading()], CONTEXT)
        assert [] == accepted
    at = MONDAY + 300 * (3 * 288 - 1)
    (alert,), accepted = lifecycle.advance(at, [reading()], CONTEXT)
    assert (["all"], AlertStatus.RESOLVED, None) == (accepted, alert.status, alert.fired_at)


def test_a_company_on_a_topic_is_shown_under_the_company_for_a_day_after_its_alert() -> None:
    company, pair = "company:US:A", f"pair:{TOPICS[3]}|company:US:A"
    lifecycle = life()
    lifecycle.advance(MONDAY, [reading(company)], CONTEXT)
    calm = replace(quiet(), key=company)
    end = 0
    for i in range(1, 20):
        changed, _ = lifecycle.advance(MONDAY + 300 * i, [calm], CONTEXT)
        if changed:
            end = MONDAY + 300 * i
            break
    assert AlertStatus.RESOLVED is changed[0].status
    other = life()
    other.restore([], [], lifecycle.cooling)
    ((soon,), _) = lifecycle.advance(end + 3600, [reading(pair)], CONTEXT)
    assert (company, False) == (soon.setting.under, soon.sent)
    ((late,), _) = other.advance(end + 90_000, [reading(pair)], CONTEXT)
    assert ("", True) == (late.setting.under, late.sent)


def test_silence_of_a_sparse_key_is_not_recovery() -> None:
    lifecycle = fired()
    assert [] == watch(lifecycle, [quiet(n=0, observed=0)] * 100)
    sparse = [quiet(n=1, observed=0), *[quiet(n=0, observed=0)] * 5]
    assert [] == watch(lifecycle, sparse * 19, first=101)
    (alert,) = watch(lifecycle, sparse[:1], first=101 + 19 * 6)
    assert AlertStatus.RESOLVED is alert.status


def test_silence_ends_a_burst() -> None:
    lifecycle = life(detector="volume")
    lifecycle.advance(MONDAY, [replace(reading(), value=40.0)], CONTEXT)
    (alert,) = watch(lifecycle, [quiet(n=0, observed=0)] * 6)
    assert AlertStatus.RESOLVED is alert.status


def test_a_burst_of_two_voices_an_hour_ends_when_three_have_failed_to_come() -> None:
    lifecycle = life(detector="volume")
    lifecycle.advance(MONDAY, [replace(reading(), value=2.0)], CONTEXT)
    silence = quiet(n=0, observed=0)
    assert [] == watch(lifecycle, [silence] * 17)
    (alert,) = watch(lifecycle, [silence], first=18)
    assert AlertStatus.RESOLVED is alert.status


def test_no_alert_is_over_before_its_shortest_time() -> None:
    short = LifecycleSettings(recovery=0, min_firing=900, recovery_documents=1)
    lifecycle = fired(Lifecycle("share", "v", Documents(), short))
    assert [] == watch(lifecycle, [quiet()] * 2)
    assert 1 == len(watch(lifecycle, [quiet()], first=3))


def test_after_a_day_of_firing_the_level_is_accepted() -> None:
    lifecycle = fired()
    loud = quiet(observed=9.0)
    assert [] == watch(lifecycle, [loud] * (DAY // BUCKET_SECONDS - 1))
    (changed, accepted) = lifecycle.advance(MONDAY + DAY, [loud], CONTEXT)
    assert ["all"] == accepted
    assert [AlertStatus.RESOLVED] == [a.status for a in changed]


def test_an_alert_whose_key_the_detector_forgot_ends_after_a_day() -> None:
    lifecycle = fired()
    assert ([], []) == lifecycle.advance(MONDAY + DAY - 300, [], CONTEXT)
    (changed, accepted) = lifecycle.advance(MONDAY + DAY, [], CONTEXT)
    assert [AlertStatus.RESOLVED] == [a.status for a in changed]
    assert [] == accepted


def test_keys_live_apart() -> None:
    lifecycle = life()
    (changed, _) = lifecycle.advance(MONDAY, [reading("all"), reading("kind:news")], CONTEXT)
    assert 2 == len({a.id for a in changed})
    (changed, _) = lifecycle.advance(MONDAY + DAY, [quiet()], CONTEXT)
    assert ["all", "kind:news"] == [a.key for a in changed]
    assert {} == lifecycle.active


def test_a_replay_gives_the_same_id_and_another_version_another() -> None:
    def identity(version: str = "share-1/x", **changes: object) -> str:
        ((alert,), _) = life(version=version).advance(
            MONDAY, [replace(reading(), **changes)], CONTEXT  # type: ignore[arg-type]
        )  # fmt: skip
        return alert.id

    first = identity()
    assert first == identity(value=0.61, documents=50)
    others = [identity(version="share-1/y"), identity(key="k"), identity(since=MONDAY - 300)]
    assert 4 == len({first, *others})


def test_observations_survive_a_restart() -> None:
    lifecycle = fired()
    watch(lifecycle, [quiet(observed=9.0), *[quiet()] * 4])
    restored = life()
    restored.restore(lifecycle.active.values(), lifecycle.dump())
    assert lifecycle.dump() == restored.dump()
    expected = watch(lifecycle, [quiet()] * 2, first=6)
    assert [AlertStatus.RESOLVED] == [a.status for a in expected]
    assert expected == watch(restored, [quiet()] * 2, first=6)


def test_what_an_ended_alert_saw_is_not_restored_to_one_that_fires_within_a_bucket() -> None:
    """The states are written when the bucket closes, the alert before: a crash in between finds
    the new alert and what the old one saw."""
    lifecycle = fired()
    watch(lifecycle, [quiet()] * 5)
    stored = lifecycle.dump()
    ((ended,), _) = lifecycle.advance(MONDAY + 6 * BUCKET_SECONDS, [quiet()], CONTEXT)
    assert ended.status is AlertStatus.RESOLVED
    start = MONDAY + 7 * BUCKET_SECONDS
    (again,) = lifecycle.look(start, start + 60, [reading(since=start)], CONTEXT)
    assert again.status is AlertStatus.FIRING

    restored = life()
    restored.restore(lifecycle.active.values(), stored)

    assert [("all", b"[]")] == restored.dump()
    calm = [quiet(n=1, observed=0.0)] * 7
    assert watch(lifecycle, calm, first=7) == watch(restored, calm, first=7) == []


def test_a_restore_takes_its_own_detectors_alerts_only() -> None:
    mine, others = fired(), fired(life(detector="volume"))
    restored = life()
    restored.restore(
        [*mine.active.values(), *others.active.values()],
        [("all", b"[]"), ("gone", b"[[0, 1.0, 2.0, 3]]")],
    )
    assert ["share"] == [a.detector for a in restored.active.values()]
    assert [("all", b"[]")] == restored.dump()


def test_what_an_ended_alert_saw_is_not_held_against_the_next() -> None:
    lifecycle = fired()
    watch(lifecycle, [quiet()] * 6)
    fired(lifecycle, MONDAY + 7 * BUCKET_SECONDS)
    assert [("all", b"[]")] == lifecycle.dump()


@pytest.mark.parametrize(
    ("expected", "detector", "key"),
    [
        (
            f"{TOPICS[5]}: 60% negative where 20% is usual "
            "(24 negative; 60 posts = 40 voices, 50% one text since it rose)",
            "share",
            f"topic:{TOPICS[5]}",
        ),
        (
            "Whole stream: 14.4 voices a day where 4.8 are usual "
            "(60 posts = 40 voices, 50% one text since it rose, 24 negative)",
            "volume",
            "all",
        ),
    ],
)
def test_a_summary_says_what_moved_from_what_to_what(
    expected: str, detector: str, key: str
) -> None:
    assert expected == summarise(detector, reading(key), {"a": 30, "b": 12, "c": 18})


@pytest.mark.parametrize(
    ("detector", "setting", "expected"),
    [
        (
            "share",
            Setting(corrected=(0.55, 0.421, 0.684), corrected_baseline=0.18),
            "Whole stream: 60% negative where 20% is usual; corrected 42% to 68%, usual 18% (24 ",
        ),
        (
            "volume",
            Setting(rate=(0.44, 0.79)),
            "Whole stream: 14.4 voices a day (10.6 to 19.0) where 4.8 are usual (40 voices ",
        ),
    ],
)
def test_a_summary_says_within_which_bounds(detector: str, setting: Setting, expected: str) -> None:
    assert summarise(detector, reading("all"), {}, setting).startswith(expected)


def test_without_copies_there_is_nothing_to_say_of_posts() -> None:
    assert "3 voices" == counted(3, {"a": 1, "b": 1, "c": 1})
    assert "9 posts = 3 voices" == counted(3, {str(i): 1 for i in range(9)})
