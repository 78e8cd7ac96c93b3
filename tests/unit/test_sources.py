"""Quiet or blind: who should have spoken and did not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from harness.samples import DAY, MONDAY, moment
from harness.speaking import Listener, Times, negative_binomial, said, sessions, spoken, until

from monitor.aggregate.roster import OTHERS, STREAM
from monitor.aggregate.sources import UNKNOWN_END, Sources, SourceSettings
from monitor.events import BUCKET_SECONDS, SourceState
from monitor.heartbeat import Contact
from monitor.store.base import RhythmRow, SourceRow

HOUR = 3600


def busy(rng: np.random.Generator, days: int) -> dict[str, Times]:
    """Two sources that speak by day and hardly at night, and one that never rests."""
    return {
        "wire": negative_binomial(rng, days, 10.0, 2.0),
        "forum": negative_binomial(rng, days, 4.0, 0.5),
        "ticker": np.sort(rng.uniform(MONDAY, MONDAY + days * DAY, days * 24 * 12)),
    }


def followed(days: int, **stops: float) -> tuple[Listener, dict[str, Times]]:
    """Sources heard for so many days, of which some stopped after some days."""
    speakers = busy(np.random.default_rng(1), days + 3)
    for name, day in stops.items():
        speakers[name] = until(speakers[name], day)
    listener = Listener(Sources())
    listener.follow(speakers, days)
    return listener, speakers


@pytest.mark.parametrize("seed", [1, 2])
def test_bursts_and_sessions_stay_within_the_budget_of_false_alarms(seed: int) -> None:
    days = 37
    rng = np.random.default_rng(seed)
    speakers = {
        f"burst {hourly} {dispersion}": negative_binomial(rng, days, hourly, dispersion)
        for hourly in (0.5, 3.0, 15.0)
        for dispersion in (0.1, 0.5, 3.0)
    }
    speakers |= {
        f"session {on} {off}": sessions(rng, days, on, off, 10.0)
        for on, off in ((1, 3), (0.5, 8), (4, 12))
    }
    listener = Listener(Sources(SourceSettings(budget=2.0)))
    listener.follow(speakers, days)
    months = (days - 7) / 30
    assert len(listener.blind()) <= 2.0 * months


def test_a_busy_source_that_dies_is_blind_within_hours_and_the_others_are_not() -> None:
    listener, _ = followed(12, wire=10.5)
    assert ["wire"] == listener.blind()
    (turn,) = [t for t in listener.turns if t.state is SourceState.BLIND]
    assert 0.5 * HOUR <= turn.at - (MONDAY + 10.5 * DAY) < 6 * HOUR
    assert turn.missing > 10
    assert turn.often < turn.allowed


def test_a_source_that_never_speaks_at_night_is_quiet_at_night() -> None:
    rng = np.random.default_rng(3)
    day = negative_binomial(rng, 15, 12.0, 2.0)
    by_day = day[(day - MONDAY) % DAY // HOUR < 20]
    by_day = by_day[(by_day - MONDAY) % DAY // HOUR >= 7]
    listener = Listener(Sources())
    speakers = {"wire": by_day, "ticker": np.arange(MONDAY, MONDAY + 15 * DAY, 240.0)}
    listener.follow(speakers, 14.1)  # twenty-four minutes past two on a Monday
    assert SourceState.QUIET is listener.state("wire")
    assert [] == listener.blind()


def test_a_new_source_is_never_blind() -> None:
    rng = np.random.default_rng(1)
    speakers = busy(rng, 12)
    speakers["young"] = np.sort(rng.uniform(MONDAY + 6 * DAY, MONDAY + 8 * DAY, 4_000))
    listener = Listener(Sources())
    listener.follow(speakers, 11)
    assert SourceState.NEW is listener.state("young")
    assert [] == listener.blind()


def test_the_first_live_document_ends_blindness_and_known_history_does_not() -> None:
    listener, _ = followed(12, wire=10.5)
    old = [said("wire", listener.now - DAY, history=True)]
    assert SourceState.BLIND not in {t.was for t in listener.step(old)}
    (turn,) = listener.step([said("wire", listener.now + 10)])
    assert ("wire", SourceState.SPEAKING, SourceState.BLIND) == turn[:3]


def test_an_outage_is_not_learned_as_the_sources_way_to_speak() -> None:
    listener, speakers = followed(12, wire=10.5)
    before = listener.sources.share_of_stream("wire")
    listener.follow({**speakers, "wire": np.array([listener.now + 20.0])}, 1 / 24)
    assert pytest.approx(before, rel=0.1) == listener.sources.share_of_stream("wire")


def test_a_source_that_answers_and_has_nothing_new_is_quiet() -> None:
    speakers = busy(np.random.default_rng(1), 12)
    listener = Listener(Sources())
    listener.follow(speakers, 10)
    speakers["wire"] = until(speakers["wire"], 10)
    for documents in spoken(speakers, listener.bucket, 288):
        listener.contacts["wire"] = Contact(succeeded=moment(listener.now))
        listener.step(documents)
    assert [] == listener.blind()
    assert SourceState.QUIET is listener.state("wire")


def test_a_source_that_cannot_be_reached_is_blind_at_once_and_says_why() -> None:
    listener, _ = followed(1)
    listener.contacts["wire"] = Contact(failures=2, reason="HTTP 503")
    listener.contacts["unheard of"] = Contact(failures=9, reason="no such host")
    turns = {t.name: t for t in listener.step([said("wire", listener.now)])}
    assert ["unheard of"] == [n for n, t in turns.items() if t.state is SourceState.BLIND]
    assert "no such host" in turns["unheard of"].reason
    listener.contacts["wire"] = Contact(failures=3, reason="HTTP 503")
    (turn,) = listener.step([said("ticker", listener.now)])
    assert ("wire", SourceState.BLIND) == turn[:2]
    assert "3 attempts" in turn.reason and "HTTP 503" in turn.reason
    listener.contacts["wire"] = Contact(succeeded=moment(listener.now))
    (turn,) = [t for t in listener.step([said("ticker", listener.now)]) if t.name == "wire"]
    assert (SourceState.NEW, SourceState.BLIND) == (turn.state, turn.was)


def test_when_everybody_falls_silent_there_is_one_alarm_and_it_ends_with_the_first_word() -> None:
    listener, _ = followed(10)
    for _ in range(12 * 48):
        listener.step()  # the watermark stands still: no bucket closes
    assert [STREAM] == listener.blind()
    (turn,) = [t for t in listener.step([said("wire", listener.now)]) if t.name == STREAM]
    assert (SourceState.SPEAKING, SourceState.BLIND) == (turn.state, turn.was)
    assert SourceState.BLIND is not listener.state("ticker")


def test_after_a_silence_of_all_whoever_stays_silent_has_his_own_time_again() -> None:
    listener, speakers = followed(10)
    for _ in range(12 * 12):
        listener.step()
    returned = listener.now
    listener.follow({**speakers, "ticker": until(speakers["ticker"], 10)}, 1)
    (turn,) = [t for t in listener.turns if t.state is SourceState.BLIND and t.name]
    assert "ticker" == turn.name
    assert turn.at - returned >= 0.5 * HOUR


def test_records_that_wait_in_the_log_are_nobodys_silence() -> None:
    listener, _ = followed(10)
    for _ in range(12 * 24):
        assert [] == listener.step(behind=40_000)
    assert [] == listener.blind()


def test_a_log_whose_end_nobody_tells_is_kafkas_fault_and_said_to_be() -> None:
    listener, _ = followed(10)
    turns = [t for _ in range(12) for t in listener.step(behind=None)]
    (turn,) = [t for t in turns if t.state is SourceState.BLIND]
    assert (STREAM, UNKNOWN_END) == (turn.name, turn.reason)
    (turn,) = [t for t in listener.step(behind=0) if t.name == STREAM]
    assert SourceState.BLIND is turn.was


def test_what_was_said_late_is_a_sign_of_life_all_the_same() -> None:
    """A source whose clock is hours behind delivers, and so it is not blind."""
    rng = np.random.default_rng(1)
    speakers = busy(rng, 12)
    listener = Listener(Sources())
    for documents in spoken(speakers, 0, 11 * 288):
        late = [
            said(d.source, d.published_at.timestamp() - (5 * HOUR if d.source == "wire" else 0))
            for d in documents
        ]
        listener.step(late)
    assert [] == listener.blind()


def test_a_source_that_is_blind_for_too_long_is_given_up() -> None:
    speakers = busy(np.random.default_rng(1), 40)
    speakers["wire"] = until(speakers["wire"], 10)
    listener = Listener(Sources())
    listener.follow(speakers, 26)
    assert ["wire"] == [t.name for t in listener.turns if t.gone]
    assert ["wire"] == listener.sources.drain()[2]
    assert "wire" not in {row.name for row in listener.sources.rows()}


def test_beyond_the_limit_a_new_source_takes_the_room_of_one_with_nothing_in_memory() -> None:
    listener = Listener(Sources(SourceSettings(limit=2)))
    for _ in range(3):
        listener.step([said(n, listener.now) for n in ("a", "b", "c")])
    names = {row.name for row in listener.sources.rows()}
    assert {STREAM, "a", "b", OTHERS} == names
    for i in range(40 * 288):  # what was said once is forgotten in time
        listener.step(
            [said("a", listener.now), *([said("d", listener.now)] if i % 500 == 0 else [])]
        )
    assert {"a", "d"} <= {row.name for row in listener.sources.rows()}


@pytest.mark.parametrize("seed", range(4))
def test_restarts_at_any_moment_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    speakers = busy(np.random.default_rng(seed), 12)
    speakers["wire"] = until(speakers["wire"], 8.5)
    whole, broken = Listener(Sources()), Listener(Sources())
    rows: dict[str, SourceRow] = {}
    rhythms: dict[str, RhythmRow] = {}
    for documents in spoken(speakers, 0, 10 * 288):
        whole.step(documents)
        broken.step(documents)
        changed, rhythm, gone = broken.sources.drain()
        rows.update((row.name, row) for row in changed)
        rhythms.update((row.name, row) for row in rhythm)
        assert [] == gone
        if rng.random() < 0.01:
            broken.sources = Sources()
            broken.sources.restore(rows.values(), rhythms.values())
    assert whole.turns == broken.turns
    assert whole.sources.rows() == broken.sources.rows()
    assert "wire" in broken.blind()


def test_after_a_long_stop_nobody_is_judged_before_he_could_speak() -> None:
    listener, _ = followed(10)
    rows, rhythms, _ = listener.sources.drain(everything=True)
    listener.sources.drain()
    listener.sources = Sources()
    listener.sources.restore(rows, rhythms)
    listener.bucket += 12 * 12
    assert SourceState.BLIND not in {t.state for t in listener.step()}
    for _ in range(7):
        listener.step()
    assert [STREAM] == listener.blind()


def test_what_is_shown_is_the_last_day() -> None:
    listener = Listener(Sources())
    for i in range(3 * 288):
        listener.step(
            [said("wire", listener.now + 1), *([said("wire", listener.now + 2)] * (i % 2))]
        )
    row = next(row for row in listener.sources.rows() if row.name == "wire")
    assert 25 == len(row.recent)
    assert 18 == row.recent[-2]
    assert 18 * 24 == row.seen
    assert pytest.approx(18 * 24, rel=0.05) == row.expected
    assert moment(MONDAY + 3 * DAY - BUCKET_SECONDS + 2) == row.last
