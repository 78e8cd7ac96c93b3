"""The window of the page: how much of event time it shows."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboards import frames
from dashboards.queries import Vitals

_KEY = "window"


def control() -> None:
    """The buttons that choose it."""
    st.segmented_control(
        "Window",
        list(frames.WINDOWS),
        default="3 d",
        required=True,
        key=_KEY,
        label_visibility="collapsed",
        help="The window ends at the newest event in the store, not at the wall clock.",
    )


def chosen() -> str:
    """Its name, of `frames.WINDOWS`."""
    return str(st.session_state[_KEY])


def span(vitals: Vitals) -> frames.Span:
    """What it means now."""
    newest = vitals.pulse.newest_event or datetime.now(UTC)
    return frames.window(chosen(), vitals.oldest_event or newest, newest)
