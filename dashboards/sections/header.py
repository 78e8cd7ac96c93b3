"""The head of the page: whether the system is alive, and the figures of the window."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboards import cards, charts, frames, listening, queries, words
from dashboards.health import STALLED_AFTER, Level, state
from dashboards.queries import Target, Vitals
from dashboards.sections import window
from monitor.alert.standing import Standing
from monitor.errors import StoreError
from monitor.keys import ALL


def header(at: Target, url: str | None, was_empty: bool) -> None:
    """How the system does, and the figures of the window; the page begins anew where the database
    is another one or is no longer empty."""
    try:
        now_there = queries.target(url)
        vitals = queries.vitals(now_there)
    except (StoreError, OSError):
        st.rerun(scope="app")
    if now_there != at or was_empty != (vitals.pulse.newest_event is None):
        st.rerun(scope="app")
    now, pulse = datetime.now(UTC), vitals.pulse
    current = state(pulse, now, STALLED_AFTER, listening.blindness(queries.sources(at)))
    st.html(cards.header(current, _facts(vitals)))
    if was_empty:
        return
    span = window.span(vitals)
    sums = frames.totals(queries.buckets(at, span), ALL)
    before = queries.before(at, span) if frames.WINDOWS[window.chosen()] else (0, 0)
    live = queries.standings(at)
    moving = current.level in (Level.LIVE, Level.QUIET, Level.BLIND)
    with st.container(key="m_tiles"):
        tiles = st.columns(6)
    tiles[0].metric(
        "Negative share",
        words.percent(sums.share),
        _change(sums, before),
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Of all independent voices in the window; beneath, against the window before.",
    )
    tiles[1].metric(
        "Net sentiment",
        "–" if sums.net is None else words.signed(sums.net),
        f"{sums.n:,} voices",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="The mean of P(positive) − P(negative), from −1 to +1.",
    )
    tiles[2].metric(
        "Alerts firing",
        f"{live[Standing.FIRING]}",
        cards.beside_firing(live),
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    tiles[3].metric(
        "Scored, last minute",
        words.rate(vitals.per_second) if moving else "0 /s",
        f"{pulse.documents:,} in all",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    tiles[4].metric(
        "Lag to the score",
        "–" if vitals.lag_p50 is None else words.duration(vitals.lag_p50),
        "nothing scored in 5 min"
        if vitals.lag_p95 is None
        else f"95 %: {words.duration(vitals.lag_p95)}",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="From the publication in Kafka to the score, over the last 5 minutes: the median.",
    )
    seen = pulse.documents + pulse.rejected
    tiles[5].metric(
        "Rejected",
        f"{pulse.rejected:,}",
        f"{words.percent(pulse.rejected / seen, 1)} of what was read" if seen else None,
        delta_color="off",
        delta_arrow="off",
        border=True,
    )


def _change(sums: frames.Totals, before: tuple[int, int]) -> str:
    n, negative = before
    if sums.share is None or n < charts.ENOUGH:
        return "nothing to compare with"
    return f"{words.signed((sums.share - negative / n) * 100, 0)} points on before"


def _facts(vitals: Vitals) -> list[tuple[str, str]]:
    pulse, facts = vitals.pulse, []
    if pulse.newest_event is not None:
        facts.append(("newest event", words.moment(pulse.newest_event)))
    if pulse.written_at is not None:
        facts.append(("last write", f"{pulse.written_at:%Y-%m-%d %H:%M:%S}"))
    if vitals.partitions:
        plural = "" if vitals.partitions == 1 else "s"
        facts.append(
            ("read", f"{vitals.offsets:,} offsets on {vitals.partitions} partition{plural}")
        )
    if vitals.last_rejected is not None:
        rejected = vitals.last_rejected
        reason = rejected.reason.replace("_", " ")
        facts.append(("last rejected", f"{rejected.place}, {reason}"))
    if vitals.counts.gaps:
        facts.append(("lost to retention", f"{vitals.counts.gaps:,} records"))
    return facts
