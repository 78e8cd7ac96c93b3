"""The stream itself: its sources, how fast it goes through, what was rejected."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboards import cards, charts, listening, palette, queries
from dashboards.health import STALLED_AFTER, Level, state
from dashboards.queries import Target

FLOW_MINUTES = 30
"""Of the charts of throughput and lag."""


def sources(at: Target) -> None:
    """Whether each of them speaks."""
    rows = queries.sources(at)
    if not any(row.name for row in rows):
        st.html(cards.heading("Sources"))
        st.html(cards.nothing("No source is known yet.", "They are listed as they speak."))
        return
    now = datetime.now(UTC)
    level = state(queries.vitals(at).pulse, now, STALLED_AFTER).level
    st.html(cards.heading("Sources", listening.summary(rows)))
    st.html(listening.tiles(rows, trusted=level is not Level.STALLED))


def pipeline(at: Target, colours: palette.Palette) -> None:
    """Throughput, lag and what was rejected."""
    frame, vitals = queries.flow(at, FLOW_MINUTES), queries.vitals(at)
    with st.container(key="m_three"):
        speed, lag, rejected = st.columns(3, gap="medium")
    with speed:
        note = f"Documents scored in each half minute, the last {FLOW_MINUTES} minutes of wall time"
        st.html(cards.heading("Throughput", note))
        st.vega_lite_chart(spec=charts.throughput(frame, colours), key="throughput")
    with lag:
        note = "From publication in Kafka to the score: mean, and the worst (dashed)"
        st.html(cards.heading("Lag", note))
        shown = frame.assign(words=frame["lag_words"])
        st.vega_lite_chart(spec=charts.lag(shown, colours), key="lag")
    with rejected:
        st.html(cards.heading("Rejected", "Kept with their original bytes, and why"))
        reasons = sorted(vitals.counts.dead_letters.items(), key=lambda r: -r[1])
        if reasons:
            st.html(cards.reasons(reasons))
        else:
            st.html(cards.nothing("Nothing was rejected.", "Every record read was valid."))
