"""The alerts: the latest, what is silenced, and how often each rule was right."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboards import cards, muted, queries, words
from dashboards.queries import Target
from monitor.errors import StoreError
from monitor.events import Alert, AlertStatus
from monitor.store.verdicts.base import Judgement, Verdict


def alerts(at: Target) -> None:
    """Those that fire, and the latest of the others."""
    wanted = str(st.query_params.get("alert", ""))[:64]  # what the link of a notification names
    found, delivered = queries.alerts(at, wanted), queries.deliveries(at)
    receipts = queries.receipts(at)
    st.html(cards.heading("Latest alerts"))
    if wanted and all(a.id != wanted for a in found):
        st.html(
            cards.nothing(
                f"No alert has the id {wanted}.",
                "The link is cut off, or of another monitor, or the alert is not kept any more.",
            )
        )
    if not found:
        st.html(
            cards.nothing(
                "No alert so far.",
                "That is good news only while the line on top says “Live”.",
            )
        )
        return
    shown = [a for a in found if a.status is not AlertStatus.RESOLVED or a.id == wanted]
    shown += [a for a in found if a not in shown][: max(1, 3 - len(shown))]
    rest = [a for a in found if a not in shown]

    now, mutes = datetime.now(UTC), queries.muted(at)
    judged = queries.verdicts(at, tuple(a.id for a in found))

    def listed(some: list[Alert]) -> None:
        for a in some:
            how = delivered.get(a.id, _undelivered(a))
            marks = muted.marks(a, mutes, now)
            st.html(cards.alert_card(a, how, receipts.get(a.id, ()), a.id == wanted, marks))
            if a.fired_at is not None and a.detector != "drill":
                _verdict(at, a.id, judged.get(a.id))

    listed(shown)
    if rest:
        with st.expander(f"{len(rest)} earlier"):
            listed(rest)


def _verdict(at: Target, alert_id: str, last: Verdict | None) -> None:
    """The buttons to judge an alert; the last word is marked, and who said it."""
    # Another key with each verdict, since a control that the browser knows keeps what it shows.
    key = f"verdict {alert_id} {last.at.timestamp() if last else ''}"

    def note() -> None:
        chosen = st.session_state.get(key)
        if chosen is None or (last is not None and chosen == last.judgement.value):
            return
        try:
            queries.judge(at, alert_id, Judgement(chosen))
        except StoreError as error:
            st.session_state[key] = last.judgement.value if last else None
            st.toast(f"The verdict could not be noted: {error}")

    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            "Verdict",
            [judgement.value for judgement in Judgement],
            default=last.judgement.value if last else None,
            key=key,
            on_change=note,
            label_visibility="collapsed",
            help="What this alert turned out to be. The last word counts.",
        )
        st.caption(f"judged by {last.who}, {words.moment(last.at)}" if last else "not judged yet")


def _undelivered(alert: Alert) -> str:
    return "no delivery recorded" if alert.sent else "told to nobody"


def silences(at: Target) -> None:
    """Nothing at all where nothing is silenced."""
    now, mutes = datetime.now(UTC), queries.muted(at)
    if any(now < silence.ends for silence in mutes.silences):
        st.html(cards.heading("Silences", muted.summary(mutes, now)))
        st.html(muted.silences(mutes, now))


def rules(at: Target) -> None:
    """How often each was right."""
    note = "Of the alerts that somebody judged: true of true and false; 95 % intervals"
    st.html(cards.heading("How often each rule was right", note))
    found = queries.rules(at)
    if not any(rule.judged for rule in found):
        st.html(cards.nothing("No alert was judged yet.", "The buttons below each alert do it."))
        return
    st.html(cards.rules(found))
