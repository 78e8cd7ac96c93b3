"""The page. ``streamlit run dashboards/app.py -- --database sqlite:///monitor.db``

Each section is a fragment that runs again by itself: a refresh sends new rows for the charts that
are already on the screen, and leaves the rest of the page alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from dashboards import cards, palette, queries
from dashboards.sections import alerts, companies, documents, header, mood, stream, window
from monitor.errors import StoreError


def section(seconds: float, body: Callable[..., None], *arguments: object) -> None:
    """Run a section now and then every ``seconds``; its faults stay its own."""

    def guarded() -> None:
        try:
            body(*arguments)
        except StoreError as error:
            st.html(cards.nothing("This part can't be read just now.", f"{error}. It tries again."))

    live = bool(st.session_state.get("live", True))
    st.fragment(guarded, run_every=seconds if live else None, key=body.__name__)()


def page() -> None:
    """Build the page once; from then on its sections refresh themselves."""
    st.set_page_config(page_title="Sentiment monitor", layout="wide")
    colours = palette.of(st.context.theme.type)
    st.html(palette.style_sheet(colours))
    url = queries.url_from(sys.argv[1:])
    try:
        at = queries.target(url)
        vitals = queries.vitals(at)
    except (StoreError, OSError):
        st.html('<h1 class="m-title" style="padding:0">Sentiment monitor</h1>')
        _waiting(url)
        return

    empty = vitals.pulse.newest_event is None
    top, tools = st.columns([3, 2], vertical_alignment="center")
    with top:
        st.html(
            '<h1 class="m-title" style="padding:0">Sentiment monitor'
            "<span>all times in UTC</span></h1>"
        )
    with tools, st.container(horizontal=True, horizontal_alignment="right"):
        window.control()
        st.toggle("Refresh", value=True, key="live", help="Off: the page stands still to be read.")
    section(5, header.header, at, url, empty)
    if empty:
        st.html(
            cards.nothing(
                "Nothing has been scored yet.",
                "As soon as the first document is, the mood appears here by itself.",
            )
        )
        section(10, stream.pipeline, at, colours)
        return
    slow = window.chosen() in ("30 d", "All")
    with st.container(key="m_main"):
        left, right = st.columns([1.75, 1], gap="medium")
        with left:
            section(60 if slow else 15, mood.mood, at, colours)
            section(60 if slow else 15, companies.companies, at, colours)
            section(60 if slow else 30, mood.heat, at, colours)
        with right:
            section(8, alerts.alerts, at)
            section(8, alerts.silences, at)
            section(30, alerts.rules, at)
            section(60 if slow else 30, companies.stories, at)
    section(10, stream.sources, at)
    section(10, stream.pipeline, at, colours)
    section(15, documents.documents, at)
    st.fragment(documents.explanations, key="explanations")(colours)


def _waiting(url: str | None) -> None:
    """Look again every few seconds; go on by itself once there is something to read."""

    def look() -> None:
        there = False
        try:
            at = queries.target(url)
            there = True
            queries.vitals(at)
        except (StoreError, OSError) as error:
            place, now = queries.shown_place(url), datetime.now(UTC)
            st.html(cards.no_database(place, there, str(error), now))
        else:
            st.rerun(scope="app")

    st.fragment(look, run_every=3, key="waiting")()


page()
