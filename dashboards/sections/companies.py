"""What the window speaks of: companies and stories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboards import cards, charts, frames, named, palette, queries, words
from dashboards.queries import Target
from dashboards.sections import window

COMPANIES = 300
"""Rows of the table of companies."""
COMPANY_DOCUMENTS = 8
"""Of the company that was clicked on."""
STORIES = 10


def companies(at: Target, colours: palette.Palette) -> None:
    """Whom the window speaks of; beneath, the one that was clicked on."""
    span = window.span(queries.vitals(at))
    note = "Independent voices, and what they say of each; click on a row to see more"
    st.html(cards.heading("Companies and names", note))
    with st.container(horizontal=True):
        wanted = st.segmented_control(
            "Which",
            list(named.SORTS.values()),
            default=list(named.SORTS.values()),
            selection_mode="multi",
            key="company_sorts",
            label_visibility="collapsed",
        )
        order = st.segmented_control(
            "Order",
            ["Most voices", "Most negative"],
            default="Most voices",
            required=True,
            key="company_order",
            label_visibility="collapsed",
        )
    sorts = tuple(sort for sort, word in named.SORTS.items() if word in wanted)
    frame = named.companies(queries.companies(at, span, sorts, COMPANIES) if sorts else [])
    if order == "Most negative":
        frame = frame.sort_values(["share", "voices"], ascending=False, na_position="last")
    if frame.empty:
        st.html(cards.nothing("Nobody was named.", "Widen the window."))
        return
    config = st.column_config
    event = st.dataframe(
        frame.assign(share=frame["share"] * 100).style.format(_signed, subset=["net"]),
        key="companies",
        hide_index=True,
        height=330,
        on_select="rerun",
        selection_mode="single-row",
        column_order=["name", "sort", "voices", "posts", "share", "interval", "net"],
        column_config={
            "name": config.TextColumn("Name", width="medium"),
            "sort": config.TextColumn("Kind"),
            "voices": config.NumberColumn("Voices", format="localized"),
            "posts": config.NumberColumn("Posts", format="localized", help="Copies included."),
            "share": config.ProgressColumn(
                "Negative", min_value=0, max_value=100, format="%.0f %%"
            ),
            "interval": config.TextColumn("90 % interval"),
            "net": config.NumberColumn("Net"),
        },
    )
    key = named.chosen(event, frame)
    if key is not None:
        _company(at, key, span, colours)


def _signed(value: Any) -> str:
    return "–" if pd.isna(value) else words.signed(value)


def _company(at: Target, key: str, span: frames.Span, colours: palette.Palette) -> None:
    sums = queries.buckets_of(at, key, span)
    total = frames.totals(sums, key)
    shown = frames.panel(sums, key, span, frames.step_for(span, total.n))
    spans = frames.alert_spans(queries.alerts(at), key, span)
    name = queries.key_names(at, (key,)).get(key)
    st.html(cards.panel_title(key, total.share, total.net, total.n, False, name))
    st.vega_lite_chart(spec=charts.mood(shown, spans, colours, 140), key=f"company {key}")
    until = datetime.fromtimestamp(span.until, UTC)
    since = datetime.fromtimestamp(span.since, UTC)
    st.html(cards.listed(queries.pieces(at, key, since, until, COMPANY_DOCUMENTS)))


def stories(at: Target) -> None:
    """What was told most."""
    span = window.span(queries.vitals(at))
    note = "Copies of one text are one story: told by how many, in how many posts"
    st.html(cards.heading("Stories", note))
    found = queries.stories(at, span, STORIES)
    if not found:
        st.html(cards.nothing("No story here.", "Widen the window."))
        return
    st.html(named.stories(found))
