"""The mood over time: of the whole stream, of topics, and of all topics at a glance."""

from __future__ import annotations

import streamlit as st

from dashboards import cards, charts, frames, palette, queries, words
from dashboards.queries import Target
from dashboards.sections import window
from monitor.events import TOPICS, AlertStatus
from monitor.keys import ALL, topic_key

PANELS = 6
"""Topics shown to begin with …"""
MOST_PANELS = 8
"""… and at most."""


def mood(at: Target, colours: palette.Palette) -> None:
    """The whole stream and some topics, each with its alerts."""
    vitals = queries.vitals(at)
    span = window.span(vitals)
    sums, alerts = queries.buckets(at, span), queries.alerts(at)
    if "topics" not in st.session_state:
        st.session_state["topics"] = frames.default_topics(sums, alerts, PANELS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.html(cards.heading("Mood over time"))
        measure = st.segmented_control(
            "Measure",
            ["Negative share", "Net sentiment"],
            default="Negative share",
            required=True,
            key="measure",
            label_visibility="collapsed",
        )
    chosen = st.multiselect(
        "Topics",
        TOPICS,
        key="topics",
        max_selections=MOST_PANELS,
        label_visibility="collapsed",
        placeholder="Choose topics to see beside the whole stream",
    )
    net = measure == "Net sentiment"
    firing = {a.key for a in alerts if a.status is AlertStatus.FIRING}

    def panel(key: str, height: int) -> None:
        total = frames.totals(sums, key)
        frame = frames.panel(sums, key, span, frames.step_for(span, total.n))
        spans = frames.alert_spans(alerts, key, span)
        draw = charts.net if net else charts.mood
        st.html(cards.panel_title(key, total.share, total.net, total.n, key in firing))
        st.vega_lite_chart(spec=draw(frame, spans, colours, height), key=f"mood {key} {net}")

    panel(ALL, 210)
    with st.container(key="m_grid"):
        for row in range(0, len(chosen), 2):
            for column, topic in zip(st.columns(2), chosen[row : row + 2], strict=False):
                with column:
                    panel(topic_key(topic), 140)
    st.html(cards.mood_key(colours, net))


def heat(at: Target, colours: palette.Palette) -> None:
    """All topics at a glance."""
    span = window.span(queries.vitals(at))
    sums = queries.buckets(at, span)
    busiest = sums[sums["key"] != ALL].groupby("key")["n"].sum()
    usual = int(busiest.median()) if len(busiest) else 0
    step = frames.step_for(span, usual, aim=charts.ENOUGH)
    cells = frames.heat_cells(sums, span, step)
    st.html(cards.heading("Which topic turned, and when"))
    st.html(cards.heat_key(colours, words.duration(step)))
    st.vega_lite_chart(spec=charts.heat(cells, colours), key="heat")
