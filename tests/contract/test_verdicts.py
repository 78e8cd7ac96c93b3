"""Every verdict is kept, and the last one counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from harness.alerts import START, an_alert

from monitor.events import AlertStatus
from monitor.keys import drill_key
from monitor.store.base import Commit, Store
from monitor.store.verdicts.base import Fired, Judgement, Verdict, Verdicts

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Backend(Protocol):
    store: Callable[[], Store]
    verdicts: Callable[[], Verdicts]


def said(
    alert: str = "a", judgement: Judgement = Judgement.TRUE, minutes: int = 0, who: str = "ann"
) -> Verdict:
    return Verdict(alert, judgement, who, "seen in the filing", T0 + timedelta(minutes=minutes))


def filled(backend: Backend) -> Verdicts:
    store = backend.store()
    store.load(0)
    waiting = an_alert("p", status=AlertStatus.PENDING, fired_at=None)
    drill = an_alert("drill", drill_key("d1"), detector="drill")
    later = an_alert("b", "all", detector="volume", fired_at=START + timedelta(days=1), evalue=9.0)
    store.apply(Commit(alerts=[an_alert("a"), later, waiting, drill]))
    return backend.verdicts()


def test_the_history_is_kept_and_the_last_word_counts(backend: Backend) -> None:
    verdicts = filled(backend)
    first = said()
    # The clocks of two machines need not agree: it is the order of arrival that counts.
    second = said(judgement=Judgement.FALSE, minutes=-5, who="bob")
    assert verdicts.give(first)
    assert verdicts.give(second)
    assert verdicts.give(said("b", Judgement.EXPECTED))
    assert [second, first] == verdicts.of("a")
    assert {"a": second, "b": said("b", Judgement.EXPECTED)} == verdicts.last(["a", "b", "p"])
    assert {} == verdicts.last([])


def test_what_nobody_knows_and_what_belongs_to_a_drill_cannot_be_judged(backend: Backend) -> None:
    verdicts = filled(backend)
    assert not verdicts.give(said("unknown"))
    assert not verdicts.give(said("drill"))
    assert verdicts.of("unknown") is None
    assert [] == verdicts.of("drill")


def test_who_judges_is_shown_what_the_alert_said(backend: Backend) -> None:
    verdicts = filled(backend)
    assert an_alert("a").summary == verdicts.summary("a")
    assert verdicts.summary("unknown") is None
    assert verdicts.summary("drill") is None


def test_an_alert_that_nobody_judged_has_no_history(backend: Backend) -> None:
    assert [] == filled(backend).of("a")


def test_what_fired_comes_with_the_last_word_on_it_in_the_order_of_time(backend: Backend) -> None:
    verdicts = filled(backend)
    for judgement in (Judgement.FALSE, Judgement.DUPLICATE):
        verdicts.give(said("b", judgement))
    a = Fired("a", "share", "topic:Financials", START + timedelta(minutes=10), 1200.0, 1000.0, None)
    b = Fired("b", "volume", "all", START + timedelta(days=1), 9.0, 1000.0, Judgement.DUPLICATE)
    assert [a, b] == verdicts.fired()
    assert [b] == verdicts.fired(START + timedelta(hours=1))
